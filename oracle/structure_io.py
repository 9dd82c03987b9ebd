"""Structure files: every format that pymatgen or ASE reads, with errors a user can act on."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pymatgen.core.periodic_table import DummySpecies
from pymatgen.core.structure import Structure

from oracle.errors import OracleError
from oracle.files import write_whole
from oracle.material import SYMPREC

_OVERLAP = 0.5  # Å; no two nuclei of any solid are closer
_CIF = (".cif", ".mcif")
_JSON = (".json", ".yaml", ".yml")
_POSCAR = ("poscar", "contcar")
_COMPRESSED = (".gz", ".bz2", ".xz")


def read_structure(path: Path) -> Structure:
    """The crystal a file holds, in the frame of the file, without oxidation states.

    Of a relaxation or trajectory the last step is taken.

    Raises:
        OracleError: stage ``read``, naming the file: missing, not understood, not periodic, more
            than one compound, partial occupancies, overlapping or unknown atoms.
    """
    if not path.is_file():
        raise OracleError("read", f"{path} does not exist or is no file; expected a structure file")
    with _quiet():
        try:
            structures = _parsed(path)
        except OracleError:
            raise
        except Exception as error:
            # Readers raise whatever their format makes them trip over, StopIteration included.
            raise OracleError(
                "read",
                f"{path} cannot be read as a structure ({_cause(error)}); "
                "expected CIF, POSCAR, extended XYZ, JSON or another format of ASE or pymatgen",
            ) from error
    if not structures:
        raise OracleError("read", f"{path} holds no structure; expected one crystal")
    for structure in structures:
        _check_elements(structure, path)
    formulas = list(dict.fromkeys(s.composition.reduced_formula for s in structures))
    if len(formulas) > 1:
        raise OracleError(
            "read",
            f"{path} holds {len(formulas)} compounds ({', '.join(formulas[:3])}, ...); expected "
            "one crystal: split the file, or search it as a pool",
        )
    return _checked(structures[-1], path)


def write_cif(structure: Structure, path: Path) -> None:
    """Write a structure with its symmetry; a reader sees a whole file or none.

    All digits are kept: conductivities on coarse meshes feel a change of 1e-9 Å by 0.1 %, and a
    file that is evaluated again should give the same number.

    Args:
        structure: ordered; symmetric positions are those within `oracle.material.SYMPREC`.
        path: of the file; its folder is made.
    """
    from pymatgen.io.cif import CifWriter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = str(CifWriter(structure, symprec=SYMPREC, significant_figures=15))
    write_whole(path, text.encode())


def _parsed(path: Path) -> Sequence[Structure]:
    """All structures of a file, by the reader that knows most of its format."""
    plain = path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path
    name, suffix = plain.name.lower(), plain.suffix.lower()
    if suffix in _CIF:
        from pymatgen.io.cif import CifParser

        # ASE would keep one of the atoms that share a site; pymatgen reports the occupancies.
        return list(
            CifParser(path, occupancy_tolerance=1.0 + 1e-6).parse_structures(primitive=False)
        )
    if name.startswith(_POSCAR) or suffix in (".vasp", ".poscar"):
        from monty.io import zopen
        from pymatgen.io.vasp.inputs import Poscar

        with zopen(path, "rt", encoding="utf-8") as file:
            return [Poscar.from_str(str(file.read())).structure]
    if suffix in _JSON:
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            return [Structure.from_file(path)]  # else it is JSON of ASE
    return _with_ase(path)


def _with_ase(path: Path) -> Sequence[Structure]:
    from ase.io import read
    from pymatgen.io.ase import AseAtomsAdaptor

    images = read(path, index=":", do_not_split_by_at_sign=True)
    for atoms in images:
        directions = int(np.sum(atoms.pbc))
        if directions < 3 or abs(atoms.cell.volume) < 1e-6:
            raise OracleError(
                "read",
                f"{path} is periodic in {directions} of 3 directions; expected a crystal: "
                "give a lattice and pbc in all directions",
            )
    return [AseAtomsAdaptor.get_structure(atoms) for atoms in images]


def _check_elements(structure: Structure, path: Path) -> None:
    """Refuse dummies, by class: their Z is a hash that differs from process to process.

    pymatgen cannot even name the formula of some.
    """
    for species in (key for site in structure for key in site.species):
        if isinstance(species, DummySpecies):
            raise OracleError(
                "read", f"{path}: {species.symbol!r} is no element; expected symbols such as Na"
            )


def _checked(structure: Structure, path: Path) -> Structure:
    formula = structure.composition.reduced_formula
    if not structure.is_ordered:
        raise OracleError(
            "read",
            f"{path}: {formula} has partial occupancies; "
            "expected one element per site: give an ordered structure",
        )
    # Distances between sites leave out an atom's distance to its own images.
    shortest = min(structure.lattice.get_lll_reduced_lattice().abc)
    if shortest < _OVERLAP or not structure.is_valid(tol=_OVERLAP):
        raise OracleError(
            "read",
            f"{path}: two atoms of {formula} are less than {_OVERLAP} Å apart; "
            "expected separate atoms: check lattice and units",
        )
    structure.remove_oxidation_states()
    return Structure(structure.lattice, [s.specie.symbol for s in structure], structure.frac_coords)


def _cause(error: Exception) -> str:
    """A library's complaint on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what readers print away from ``--json``, and make a guess of theirs an error."""
    from pymatgen.io.vasp.inputs import BadPoscarWarning

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A POSCAR without element names would otherwise be read as hydrogen, helium, ...
        warnings.simplefilter("error", BadPoscarWarning)
        yield
