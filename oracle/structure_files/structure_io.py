"""Structure files: every format that pymatgen or ASE reads, with errors a user can act on."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pymatgen.core.structure import Structure

from oracle.materials.crystal_checks import (
    Reading,
    Unusable,
    check_crystal,
    check_periodicity,
    isotope_refused,
)
from oracle.materials.rounding import SYMPREC
from oracle.runtime.errors import OracleError
from oracle.runtime.files import write_whole
from oracle.runtime.plain_json import parse_json
from oracle.runtime.plain_yaml import parse_yaml
from oracle.runtime.text_files import decoded, is_packed, read_bytes, read_text, unpacked_name
from oracle.structure_files.document_shapes import documents
from oracle.structure_files.images import one_crystal
from oracle.structure_files.structure_documents import structure_of
from oracle.structure_files.structure_names import CIF, DOCUMENTS, is_poscar

_ANY_TEXT = "latin-1"  # only names and comments in these formats are not ASCII
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")  # byte-order marks, which ASE cannot read


def read_structure(path: Path) -> Structure:
    """The crystal in a file, without remarks; see `read_file`."""
    return read_file(path).structure


def read_file(path: Path) -> Reading:
    """The crystal in a file, in the frame of the file, without oxidation states.

    The last step of a relaxation or trajectory is taken.

    Raises:
        OracleError: stage ``read``, naming the file: missing, too large, not understood, not
            periodic, more than one crystal, a structure that contradicts its own formula, partial
            occupancies, isotopes, overlapping or unknown atoms.
    """
    if not path.is_file():
        raise OracleError(
            "read", f"{path} does not exist or is not a file; expected a structure file"
        )
    with quiet_readers():
        try:
            reading = _parsed(path)
            check_crystal(reading.structure)
        except Unusable as problem:
            raise OracleError("read", f"{path}: {problem}") from problem
        except (OracleError, MemoryError):
            raise
        except Exception as error:
            # Readers raise exceptions of any class, even StopIteration, on malformed files.
            raise OracleError(
                "read",
                f"{path} cannot be read as a structure ({cause_of(error)}); "
                "expected CIF, POSCAR, extended XYZ, JSON or another format of ASE or pymatgen",
            ) from error
    return replace(reading, structure=_plain(reading.structure))


def write_cif(structure: Structure, path: Path) -> None:
    """Write a structure with its symmetry, atomically.

    All digits are written: on coarse meshes a change of 1e-9 Å alters conductivities by 0.1 %, and
    evaluating the file again should give the same number.

    Args:
        structure: ordered; its symmetry is found with the tolerance
            `oracle.materials.rounding.SYMPREC`.
        path: of the file; its folder is created.
    """
    from pymatgen.io.cif import CifWriter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = str(CifWriter(structure, symprec=SYMPREC, significant_figures=15))
    write_whole(path, text.encode())


def cause_of(error: Exception) -> str:
    """Class and message of a library's exception on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


@contextlib.contextmanager
def quiet_readers() -> Iterator[None]:
    """Keep what readers print and warn of out of the output."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def from_atoms(atoms: Any) -> Structure:
    """The structure of ASE atoms, with masses where the atoms have masses of their own.

    Raises:
        Unusable: not periodic in three directions.
    """
    from pymatgen.io.ase import AseAtomsAdaptor

    check_periodicity(atoms.pbc, atoms.cell.array)
    return AseAtomsAdaptor.get_structure(atoms)


def _parsed(path: Path) -> Reading:
    """The crystal in a file, read by the reader that is best for its format."""
    name = unpacked_name(path.name)
    suffix = Path(name).suffix.lower()
    # Each reader of pymatgen imports large parts of SciPy that no other format needs.
    if suffix in CIF:
        from oracle.structure_files.cif_files import read_cif

        return one_crystal(read_cif(read_text(path, otherwise=_ANY_TEXT)), steps=False)
    if is_poscar(name):
        from oracle.structure_files.poscar_files import read_poscar

        return read_poscar(read_text(path, otherwise=_ANY_TEXT))
    if suffix in DOCUMENTS:
        text = read_text(path)
        value = parse_json(text) if suffix == ".json" else parse_yaml(text)
        structures = documents(value)
        if structures:
            return one_crystal([Reading(structure_of(one)) for one in structures], steps=False)
    return _with_ase(path, name, steps=suffix not in (".db", ".json"))


def _with_ase(path: Path, name: str, *, steps: bool) -> Reading:
    with path.open("rb") as stream:
        marked = stream.read(3).startswith(_MARKS)
    if not marked and not is_packed(path):
        return _images(path, steps=steps)
    content = read_bytes(path)
    if content.startswith(_MARKS):
        content = decoded(content, str(path)).encode()
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / name
        plain.write_bytes(content)
        return _images(plain, steps=steps)


def _images(path: Path, *, steps: bool) -> Reading:
    from ase.io import read
    from ase.io.formats import filetype

    from oracle.structure_files.espresso_masses import remarks_on_masses

    try:
        images = read(path, index=":", do_not_split_by_at_sign=True)
    except KeyError as error:
        if error.args in (("D",), ("T",)):
            raise isotope_refused(str(error.args[0])) from error
        raise
    remarks: tuple[str, ...] = ()
    if filetype(str(path)) == "espresso-in":
        remarks = tuple(remarks_on_masses(read_text(path, otherwise=_ANY_TEXT)))
    return one_crystal([Reading(from_atoms(atoms), remarks) for atoms in images], steps=steps)


def _plain(structure: Structure) -> Structure:
    """The structure with elements and positions only."""
    structure.remove_oxidation_states()
    return Structure(structure.lattice, [s.specie.symbol for s in structure], structure.frac_coords)
