"""Supercells, displacements and force constants by finite differences, with phono3py."""

from __future__ import annotations

import functools
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray
from phono3py import Phono3py
from phono3py.file_IO import write_fc2_to_hdf5, write_fc3_to_hdf5
from phono3py.phonon3.fc3 import compact_fc3_to_full_fc3
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.cells import Primitive, Supercell, get_primitive, guess_primitive_matrix
from phonopy.structure.symmetry import Symmetry

from oracle.phonons.atomic_data import phonopy_cell
from oracle.phonons.dipoles import COULOMB
from oracle.phonons.relax import Relaxed, without_noise
from oracle.phonons.settings import BornCharges, Matrix, PhononSettings
from oracle.phonons.supercell_choice import symmetric_supercell
from oracle.phonons.symmetry_at_once import symmetry_at_once
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
_SYMPREC = 1e-5  # Å; a relaxed structure is symmetric up to rounding
_WIDER_THIRD = (1.2, 1.35, 1.5)
"""Factors on an atom's distance from its images that are tried where constants reach through."""
ENOUGH: float = PhononSettings.model_fields["fc3_length"].default
"""Å, distance of an atom from its images beyond which no folded constants were found."""
_FOLDING = 2  # most atoms in a primitive cell whose constants are known to fold
_ROUNDING = 1e-3  # Å, to which lengths of supercells are compared
_MOST_WIDER = 130  # atoms; 4x4x4 primitive cells with two atoms have 128


@symmetry_at_once()
def phonons3(
    relaxed: Relaxed,
    settings: PhononSettings,
    *,
    second: bool,
    third_order: NDArray[np.int64] | None = None,
) -> Phono3py:
    """phono3py's description of a relaxed structure and its supercells.

    Its unit cell is the primitive cell, because the best supercells of a centred lattice need not
    be made of conventional cells.

    Args:
        relaxed: the conventional cell.
        settings: of the oracle.
        second: whether the second order has a supercell of its own.
        third_order: third-order supercell (3, 3), as columns in terms of the primitive vectors, in
            place of the one that the settings say.
    """
    conventional = phonopy_cell(relaxed.cell, relaxed.positions, relaxed.symbols)
    primitive = get_primitive(
        conventional, guess_primitive_matrix(conventional, symprec=_SYMPREC), symprec=_SYMPREC
    )
    rotations = Symmetry(primitive, symprec=_SYMPREC).symmetry_operations["rotations"]

    def chosen(given: Matrix | None, length: float, most_atoms: int) -> NDArray[np.int64]:
        """Columns in primitive vectors, as phonopy takes them."""
        if given is not None:
            rows = np.array(given) @ relaxed.cell @ np.linalg.inv(primitive.cell)
            return np.rint(rows).astype(np.int64).T
        found = symmetric_supercell(primitive.cell, rotations, len(primitive), length, most_atoms)
        return found.matrix.T

    fc3 = third_order
    if fc3 is None:
        fc3 = chosen(settings.fc3_supercell, settings.fc3_length, settings.fc3_atoms)
    fc2 = chosen(settings.fc2_supercell, settings.fc2_length, settings.fc2_atoms)
    if abs(np.linalg.det(fc2)) < abs(np.linalg.det(fc3)) and settings.fc2_supercell is None:
        fc2 = fc3
    phonons = Phono3py(
        phonopy_cell(primitive.cell, without_noise(primitive.scaled_positions), primitive.symbols),
        supercell_matrix=fc3,
        phonon_supercell_matrix=fc2 if second else None,
        primitive_matrix=np.eye(3),
        symprec=_SYMPREC,
        log_level=0,
    )
    if second and isinstance(settings.born, BornCharges):
        phonons.nac_params = _polar(primitive, settings.born)
    return phonons


def folds_long_constants(phonons: Phono3py, length: float = ENOUGH) -> bool:
    """Whether third-order constants that are longer than the supercell are taken for shorter ones.

    A fit without a cutoff cannot tell a constant that reaches beyond half of the supercell from
    those of the other images of the same atoms, to which it is added. Around a centre of inversion,
    odd orders change sign, so that what is added cancels; in zincblendes nothing does. Of crystals
    with more than two atoms in the primitive cell, nothing was measured.

    Args:
        phonons: with a third-order supercell.
        length: Å, distance of an atom from its images that is enough.
    """
    reduced, _ = minkowski_reduce(phonons.supercell.cell)
    distance = float(np.linalg.norm(reduced, axis=1).min())
    if len(phonons.primitive) > _FOLDING or distance >= length - _ROUNDING:
        return False
    symmetry = Symmetry(phonons.primitive, symprec=_SYMPREC)
    sites = (symmetry.get_site_symmetry(atom) for atom in range(len(phonons.primitive)))
    return not all(any(np.array_equal(r, -np.eye(3)) for r in site) for site in sites)


def unfolded_third_order(phonons: Phono3py, settings: PhononSettings) -> NDArray[np.int64] | None:
    """A larger third-order supercell, if the usual one folds constants and is narrower than asked.

    Args:
        phonons: with the supercell of the settings.
        settings: of the oracle.

    Returns:
        As columns in primitive vectors. None also where a larger one costs too much (hundreds of
        forces by a DFT program, all pairs of atoms), and where the constants have a cutoff.
    """
    affordable = isinstance(settings.calculator, str) and settings.force_constants == "adaptive"
    if not affordable or settings.fc3_cutoff is not None or settings.fc3_supercell is not None:
        return None
    if not folds_long_constants(phonons, min(settings.fc3_length, ENOUGH)):
        return None
    return wider_third_order(phonons, settings)


def wider_third_order(phonons: Phono3py, settings: PhononSettings) -> NDArray[np.int64] | None:
    """A third-order supercell of at least twice as many atoms, as columns in primitive vectors.

    Args:
        phonons: with the supercell of the settings.
        settings: of the oracle.

    Returns:
        None where the supercell is given by hand, and where none has at most `_MOST_WIDER` atoms.
    """
    if settings.fc3_supercell is not None:
        return None
    primitive = phonons.primitive
    rotations = Symmetry(primitive, symprec=_SYMPREC).symmetry_operations["rotations"]
    choice = functools.partial(symmetric_supercell, primitive.cell, rotations, len(primitive))
    present = choice(settings.fc3_length, settings.fc3_atoms)
    for factor in _WIDER_THIRD:  # the smallest cell that is wider may have few more atoms
        wider = choice(present.distance * factor, max(_MOST_WIDER, settings.fc3_atoms))
        if wider.multiplicity >= 2 * present.multiplicity:
            return wider.matrix.T
    return None


@symmetry_at_once()
def with_third_order(phonons: Phono3py, matrix: NDArray[np.int64]) -> Phono3py:
    """The same crystal and second-order supercell with another third-order supercell.

    Args:
        phonons: whose force constants are not taken over.
        matrix: (3, 3), columns in primitive vectors.
    """
    second = phonons.phonon_supercell_matrix
    other = Phono3py(
        phonons.unitcell,
        supercell_matrix=matrix,
        phonon_supercell_matrix=second,
        primitive_matrix=np.eye(3),
        symprec=_SYMPREC,
        log_level=0,
    )
    other.nac_params = phonons.nac_params
    if phonons.phonon_dataset is not None:
        other.phonon_dataset = phonons.phonon_dataset
    return other


def in_conventional(matrix: Array, primitive: PhonopyAtoms, cell: Array) -> list[list[float]]:
    """A supercell as rows in conventional vectors, for the record; multiples of 1/6.

    Args:
        matrix: (3, 3), columns in primitive vectors.
        primitive: the primitive cell.
        cell: (3, 3), row vectors of the conventional cell, Å.
    """
    rows = np.asarray(matrix).T @ primitive.cell @ np.linalg.inv(cell)
    return [[int(v) if v == int(v) else float(v) for v in row] for row in np.rint(rows * 6) / 6]


def _polar(primitive: Primitive, born: BornCharges) -> dict[str, Any]:
    """Phonopy's parameters of the non-analytic term, for the atoms of the primitive cell.

    Args:
        primitive: made of the conventional cell, whose atoms the charges belong to.
        born: charges and dielectric tensor.

    Raises:
        OracleError: stage ``fc2``; the number of charges is not that of the atoms.
    """
    n_atoms = len(primitive.s2p_map)
    if len(born.charges) != n_atoms:
        raise OracleError(
            "fc2",
            f"born: charges of {len(born.charges)} atoms; expected {n_atoms}, those of the "
            "conventional cell",
        )
    return {
        "born": np.array(born.charges)[primitive.p2s_map],
        "dielectric": np.array(born.dielectric),
        "factor": COULOMB,
    }


def as_atoms(cell: PhonopyAtoms) -> Atoms:
    """A phonopy cell as ASE atoms."""
    return Atoms(list(cell.symbols), positions=cell.positions, cell=cell.cell, pbc=True)


def displaced(rest: Atoms, displacement: Array) -> Atoms:
    """A copy with displaced atoms.

    Args:
        rest: atoms at rest.
        displacement: (n_atoms, 3), Å.
    """
    moved = rest.copy()
    moved.positions += displacement
    return moved


def set_constants(phonons: Phono3py, fc2: Array, fc3: Array) -> None:
    """Give phono3py compact force constants, and tell it which third-order ones are not zero.

    Sums over the supercell then skip triples of atoms beyond the cutoff, which halves the cost of
    the Boltzmann equation where most triples are.
    """
    phonons.fc2, phonons.fc3 = fc2, fc3
    phonons.fc3_nonzero_indices = np.any(fc3 != 0, axis=(3, 4, 5)).astype(np.byte)


def second_order_displacements(phonons: Phono3py, displacement: float) -> list[Atoms]:
    """Second-order supercells with one atom displaced by ± `displacement` (Å)."""
    phonons.generate_fc2_displacements(distance=displacement, is_plusminus="auto")
    return [as_atoms(cell) for cell in phonons.phonon_supercells_with_displacements]


def rest_forces(supercell: Supercell, forces: Array) -> Array:
    """Forces (n_supercell, 3) on the atoms of a supercell at rest, eV/Å.

    They vanish in a relaxed crystal but for components that its symmetry forbids. Potentials that
    know left from right have such components: DPA4 pushes the titanium atoms of CaTiO3, each of
    them a centre of inversion, with 0.012 eV/Å.

    Args:
        supercell: of the crystal.
        forces: (n_unitcell, 3), on the atoms of its unit cell.
    """
    return forces[[supercell.u2u_map[atom] for atom in supercell.s2u_map]]


def second_order(phonons: Phono3py, forces: Array) -> Array:
    """Second-order force constants (n_primitive, n_supercell, 3, 3) in eV/Å².

    They obey the acoustic sum rule and permutation symmetry.

    Args:
        phonons: with the displacements of `second_order_displacements`.
        forces: (n_displacements, n_supercell, 3), without those at rest, eV/Å.
    """
    phonons.phonon_forces = forces
    phonons.produce_fc2()
    phonons.symmetrize_fc2()
    assert phonons.fc2 is not None  # just produced
    return np.ascontiguousarray(phonons.fc2, dtype=np.float64)


def pair_displacements(phonons: Phono3py, displacement: float) -> Iterator[Atoms]:
    """Every supercell of the full finite-difference set, with one or two atoms displaced."""
    phonons.generate_displacements(distance=displacement)
    for cell in phonons.supercells_with_displacements:
        if cell is not None:
            yield as_atoms(cell)


def third_order(phonons: Phono3py, forces: Array) -> tuple[Array, Array]:
    """Second- and third-order force constants in one supercell by finite differences.

    Args:
        phonons: made with ``second=False``, with the displacements of `pair_displacements`.
        forces: (n_displacements, n_supercell, 3), eV/Å.

    Returns:
        (n_primitive, n_supercell, 3, 3) in eV/Å² and
        (n_primitive, n_supercell, n_supercell, 3, 3, 3) in eV/Å³.
    """
    phonons.forces = forces
    phonons.produce_fc3()
    phonons.symmetrize_fc3()
    phonons.symmetrize_fc2()
    assert phonons.fc2 is not None
    assert phonons.fc3 is not None
    return np.asarray(phonons.fc2), np.asarray(phonons.fc3)


def predicted_forces(phonons: Phono3py, fc2: Array, fc3: Array, displacements: Array) -> Array:
    """Forces (n_snapshots, n_supercell, 3) in eV/Å according to the force constants.

    Args:
        phonons: its third-order supercell is used.
        fc2: compact, in that supercell.
        fc3: compact.
        displacements: (n_snapshots, n_supercell, 3), Å.
    """
    n = len(phonons.supercell)
    flat2 = full_second_order(phonons, fc2)
    full3 = np.asarray(compact_fc3_to_full_fc3(phonons.primitive, np.ascontiguousarray(fc3)))
    flat3 = full3.transpose(0, 3, 1, 4, 2, 5).reshape(3 * n, 3 * n, 3 * n)
    forces = [
        -(flat2 @ u) - 0.5 * ((flat3 @ u) @ u)
        for u in displacements.reshape(len(displacements), -1)
    ]
    return np.array(forces).reshape(-1, n, 3)


def full_second_order(phonons: Phono3py, fc2: Array) -> Array:
    """Second-order force constants (3 n, 3 n) of all atoms of the third-order supercell, eV/Å²."""
    n = len(phonons.supercell)
    full = np.asarray(compact_fc_to_full_fc(phonons.primitive, np.ascontiguousarray(fc2)))
    return full.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)


def write_files(
    folder: Path,
    phonons: Phono3py,
    fc2: Array,
    fc3: Array | None,
    *,
    large: bool,
    scale: float = 1.0,
) -> dict[str, str]:
    """Write the files with which phono3py can continue.

    The third-order force constants are those with which the Boltzmann equation was solved. The data
    set ``scale`` beside them is the factor by which they differ from the fitted ones.

    Args:
        folder: exists.
        phonons: made with ``second=True``.
        fc2: compact second-order force constants.
        fc3: compact third-order force constants, or None.
        large: whether fc3 is written too.
        scale: factor that fc3 already contains.

    Returns:
        Artefact names to file names.
    """
    phonons.fc2 = fc2
    content = str(phonons.to_phono3py_yaml(settings={"force_sets": True, "displacements": True}))
    with lzma.open(folder / "phono3py_params.yaml.xz", "wt") as file:
        file.write(content)
    cell = phonons.phonon_primitive
    write_fc2_to_hdf5(fc2, filename=str(folder / "fc2.hdf5"), p2s_map=cell.p2s_map)
    written = {"phono3py": "phono3py_params.yaml.xz", "fc2": "fc2.hdf5"}
    if large and fc3 is not None:
        path = str(folder / "fc3.hdf5")
        write_fc3_to_hdf5(fc3, filename=path, p2s_map=phonons.primitive.p2s_map)
        with h5py.File(path, "a") as file:
            file["scale"] = scale
            file["fc3"].attrs["scale"] = scale
        written["fc3"] = "fc3.hdf5"
    return written
