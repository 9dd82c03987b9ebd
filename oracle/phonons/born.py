"""Born effective charges and the dielectric tensor, which split longitudinal from transverse modes.

They belong to one crystal. They are read from phonopy's BORN file, which gives them in the frame of
a structure file for the atoms of its primitive cell, or computed for a relaxed crystal by a DFT
program. Here they are in the frame of the conventional cell.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oracle.phonons.settings import BornCharges, Tensor
from oracle.potentials import dft
from oracle.potentials.dft_settings import EspressoSettings
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError
from oracle.runtime.stages import StageStore
from oracle.runtime.text_files import read_text

if TYPE_CHECKING:
    from phonopy.structure.atoms import PhonopyAtoms
    from pymatgen.core.structure import Structure

    from oracle.phonons.relax import Relaxed

Array = NDArray[np.float64]
_EXCESS = 0.2  # largest sum of charges, e per atom; even coarse meshes of wave vectors leave less
_SAME = 0.05  # Å; largest distance of an atom of the given cell from its canonical position


def read_born(
    path: Path, structure: Structure, conventional: Structure, rotation: Array
) -> BornCharges:
    """The charges in a BORN file.

    Args:
        path: of the file, in phonopy's format; the atoms are those of the primitive cell that
            phonopy finds for the structure.
        structure: the crystal that the charges belong to.
        conventional: conventional cell of its canonical crystal.
        rotation: (3, 3), takes vectors from the frame of `structure` to that of `conventional`.

    Raises:
        OracleError: stage ``read``; not such a file, or not of this crystal.
    """
    primitive, born, dielectric = _parsed(path, structure)
    match = _matched(
        primitive.cell @ rotation.T,
        primitive.positions @ rotation.T,
        list(primitive.symbols),
        conventional,
    )
    if match is None:
        raise OracleError("read", f"{path}: its atoms do not lie on those of the structure")
    charges = BornCharges(
        dielectric=_tensor(rotation @ dielectric @ rotation.T),
        charges=tuple(_tensor(rotation @ born[i] @ rotation.T) for i in match),
    )
    excess = charge_excess(charges)
    if excess > _EXCESS:
        raise OracleError(
            "read",
            f"{path}: its charges add up to {excess:.2f} e per atom; expected 0 for a crystal "
            "without net charge: they may be of another crystal, or in another order",
        )
    return charges


def _parsed(path: Path, structure: Structure) -> tuple[PhonopyAtoms, Array, Array]:
    """What a BORN file says: primitive cell, charges (n_primitive, 3, 3), dielectric tensor (3, 3).

    Raises:
        OracleError: stage ``read``; not such a file, or not of a crystal like the given one.
    """
    from phonopy import Phonopy
    from phonopy.file_IO import parse_BORN_from_strings

    from oracle.phonons.atomic_data import phonopy_cell

    symbols = [site.specie.symbol for site in structure]
    cell = phonopy_cell(structure.lattice.matrix, structure.frac_coords, symbols)
    primitive = Phonopy(cell, primitive_matrix="auto", log_level=0).primitive
    try:
        with np.errstate(invalid="ignore"):  # values that are not finite are refused below
            parsed = parse_BORN_from_strings(read_text(path, otherwise="latin-1"), primitive)
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        cause = " ".join(str(error).split())[:150] or type(error).__name__
        raise OracleError(
            "read",
            f"{path} cannot be read ({cause}); expected phonopy's BORN format: a factor, the "
            "dielectric tensor, then one tensor for each independent atom of the primitive cell",
        ) from error
    born = np.asarray(parsed["born"], dtype=np.float64)
    dielectric = np.asarray(parsed["dielectric"], dtype=np.float64)
    if not (np.isfinite(born).all() and np.isfinite(dielectric).all()):
        raise OracleError(
            "read", f"{path} has a value that is not finite; expected finite numbers only"
        )
    if born.shape != (len(primitive), 3, 3) or np.linalg.eigvalsh(dielectric).min() < 1.0 - 1e-6:
        raise OracleError(
            "read",
            f"{path}: charges of {len(born)} atoms, smallest dielectric constant "
            f"{np.linalg.eigvalsh(dielectric).min():.3g}; expected {len(primitive)} and at least 1",
        )
    return primitive, born, dielectric


def charge_excess(born: BornCharges) -> float:
    """Largest component of the sum of charges, e per atom; 0 for exact charges."""
    return float(np.abs(np.mean(born.charges, axis=0)).max())


def computed_born(
    relaxed: Relaxed, engine: EspressoSettings, store: StageStore
) -> tuple[BornCharges, float]:
    """Charges of a relaxed crystal from density-functional perturbation theory, or stored ones.

    They are made to obey the crystal's symmetry and to add up to zero.

    Returns:
        The charges, and the largest component of their sum before, e per atom, which tells how far
        the mesh of wave vectors and the cutoff are from convergence.

    Raises:
        OracleError: stage ``read``, a program or pseudopotential is missing; stage ``dft``, the
            program fails or the crystal is a metal.
    """
    key = digest_of({"relaxed": relaxed.digest, "engine": dft.digest(engine)})
    stored = store.load("born", key)
    if stored is None:
        arrays, facts = _computed(relaxed, engine)
        store.save("born", key, arrays, facts)
    else:
        arrays, facts = stored
    born = BornCharges(
        dielectric=_tensor(arrays["dielectric"]), charges=tuple(map(_tensor, arrays["charges"]))
    )
    return born, float(facts["excess"])


def _computed(
    relaxed: Relaxed, engine: EspressoSettings
) -> tuple[dict[str, Array], dict[str, float]]:
    """Dielectric tensor (3, 3), charges (n_conventional, 3, 3), and the excess of the charges."""
    from ase import Atoms
    from phonopy import Phonopy
    from phonopy.structure.symmetry import symmetrize_borns_and_epsilon
    from pymatgen.core.structure import Structure

    from oracle.phonons.atomic_data import phonopy_cell
    from oracle.potentials.dft_engines import Espresso

    dft.check(engine)
    conventional = phonopy_cell(relaxed.cell, relaxed.positions, relaxed.symbols)
    small = Phonopy(conventional, primitive_matrix="auto", log_level=0).primitive
    atoms = Atoms(list(small.symbols), positions=small.positions, cell=small.cell, pbc=True)
    dielectric, charges = Espresso(engine).response(atoms)
    structure = Structure(relaxed.cell, list(relaxed.symbols), relaxed.positions)
    match = _matched(small.cell, small.positions, list(small.symbols), structure)
    assert match is not None  # the primitive cell is cut out of this one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the sum of the charges, which is reported below
        symmetric, tensor = symmetrize_borns_and_epsilon(charges[match], dielectric, conventional)
    excess = float(np.abs(charges.mean(axis=0)).max())
    return {"dielectric": np.asarray(tensor), "charges": np.asarray(symmetric)}, {"excess": excess}


def _matched(
    lattice: Array, positions: Array, symbols: list[str], conventional: Structure
) -> NDArray[np.int64] | None:
    """Index of the primitive atom that each conventional atom is an image of; None if one is not.

    Args:
        lattice: (3, 3), rows of the primitive cell, rotated into the frame of `conventional`, Å.
        positions: (n_primitive, 3), Cartesian in that frame, Å; the origin may differ.
        symbols: (n_primitive,), their elements.
        conventional: the conventional cell.

    Returns:
        (n_conventional,).
    """
    conventional_positions = np.asarray(conventional.cart_coords)
    names = np.array([site.specie.symbol for site in conventional])
    alike = names[:, None] == np.array(symbols)[None]
    inverse = np.linalg.inv(lattice)
    for first in np.flatnonzero(names == symbols[0]):
        shift = conventional_positions[first] - positions[0]
        apart = (conventional_positions[:, None] - positions[None] - shift) @ inverse
        distances = np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=2)
        fits = (distances < _SAME) & alike
        if (fits.sum(axis=1) == 1).all():
            return np.asarray(fits.argmax(axis=1))
    return None


def _tensor(array: Array) -> Tensor:
    a, b, c = ((float(x), float(y), float(z)) for x, y, z in array)
    return a, b, c
