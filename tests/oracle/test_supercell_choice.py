"""Supercells keep the point group, and none that does is wider for as many atoms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from hypothesis import given, settings
from hypothesis import strategies as st
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.symmetry import Symmetry

from oracle.phonons.relax import Relaxed
from oracle.phonons.settings import PhononSettings
from oracle.phonons.supercell_choice import Sublattice, symmetric_supercell
from oracle.phonons.supercells import in_conventional, phonons3


def _hexagonal(species: list[str], basis: list[tuple[float, ...]], group: int, c: float) -> Atoms:
    cell = [4.76, 4.76, c, 90, 90, 120]
    return crystal(species, basis, spacegroup=group, cellpar=cell, primitive_cell=True)


CRYSTALS = {
    "silicon": bulk("Si", "diamond", a=5.47),
    "copper": bulk("Cu", "fcc", a=3.6),
    "iron": bulk("Fe", "bcc", a=2.87),
    "wurtzite": bulk("GaN", "wurtzite", a=3.2, c=5.2),
    "corundum": _hexagonal(["Al", "O"], [(0, 0, 0.352), (0.306, 0, 0.25)], 167, 12.99),
    "layers": _hexagonal(["Bi", "Te", "Te"], [(0, 0, 0.4), (0, 0, 0), (0, 0, 0.21)], 166, 30.5),
    "rutile": crystal(
        ["Ti", "O"],
        [(0, 0, 0), (0.305, 0.305, 0)],
        spacegroup=136,
        cellpar=[4.6, 4.6, 2.96, 90, 90, 90],
    ),
    "Heusler": crystal(
        ["Fe", "V", "Al"],
        [(0.25, 0.25, 0.25), (0, 0, 0), (0.5, 0.5, 0.5)],
        spacegroup=225,
        cellpar=[5.7, 5.7, 5.7, 90, 90, 90],
        primitive_cell=True,
    ),
    "monoclinic": Atoms("HeNe", positions=[[0, 0, 0], [1.3, 2.1, 2.0]],
                        cell=[[4.0, 0, 0], [0, 5.2, 0], [-1.1, 0, 4.4]], pbc=True),
}  # fmt: skip


def _rotations(atoms: Atoms) -> np.ndarray:
    cell = PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(),
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(),
    )
    return np.asarray(Symmetry(cell, symprec=1e-5).symmetry_operations["rotations"])


def _chosen(name: str, length: float, most_atoms: int) -> tuple[Atoms, Sublattice]:
    atoms = CRYSTALS[name]
    found = symmetric_supercell(atoms.cell.array, _rotations(atoms), len(atoms), length, most_atoms)
    return atoms, found


def _shortest(vectors: np.ndarray) -> float:
    """Shortest combination of three vectors with small coefficients."""
    near = [n for n in itertools.product(range(-3, 4), repeat=3) if any(n)]
    return float(np.linalg.norm(np.array(near) @ vectors, axis=1).min())


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize(("length", "most_atoms"), [(10.0, 120), (30.0, 90), (3.0, 1)])
def test_the_point_group_maps_the_supercell_onto_itself(
    name: str, length: float, most_atoms: int
) -> None:
    atoms, found = _chosen(name, length, most_atoms)
    vectors = found.matrix @ atoms.cell.array
    for rotation in _rotations(atoms):
        turned = found.matrix @ rotation.T @ np.linalg.inv(found.matrix)
        assert np.allclose(turned, np.rint(turned), atol=1e-9)
    assert found.distance == pytest.approx(_shortest(vectors))
    assert found.multiplicity == round(abs(np.linalg.det(vectors)) / atoms.get_volume())
    assert np.linalg.det(found.matrix) > 0
    assert found.multiplicity * len(atoms) <= max(most_atoms, len(atoms))


@pytest.mark.parametrize(
    ("name", "length", "atoms", "distance"),
    [
        ("silicon", 10.0, 54, 3 * 5.47 / np.sqrt(2)),
        ("Heusler", 10.0, 108, 3 * 5.7 / np.sqrt(2)),
        ("iron", 7.0, 27, 3 * 2.87 * np.sqrt(3) / 2),
        ("wurtzite", 10.0, 96, 2 * 5.2),  # 2 sqrt(3) x 2 sqrt(3) x 2, not 3 x 4 x 2
        ("corundum", 9.5, 80, 2 * 4.76),  # twice the rhombohedral vectors
    ],
)
def test_cells_that_are_known_to_be_best(
    name: str, length: float, atoms: int, distance: float
) -> None:
    cell, found = _chosen(name, length, 120)
    assert found.multiplicity * len(cell) == atoms
    assert found.distance == pytest.approx(distance, rel=1e-3)


@pytest.mark.parametrize("name", ["silicon", "wurtzite", "rutile", "monoclinic"])
def test_no_smaller_symmetric_cell_is_as_wide(name: str) -> None:
    """Against all matrices with small entries, looked at one by one."""
    atoms, found = _chosen(name, 7.0, 100)
    rotations = np.unique(_rotations(atoms), axis=0)
    entries = np.array(list(itertools.product(range(-2, 3), repeat=9))[::29]).reshape(-1, 3, 3)
    sizes = np.rint(np.linalg.det(entries)).astype(int)
    entries = entries[(sizes > 0) & (sizes < found.multiplicity)]
    inverses = np.linalg.inv(entries)
    for rotation in rotations:
        turned = entries @ rotation.T @ inverses
        kept = np.all(np.abs(turned - np.rint(turned)) < 1e-9, axis=(1, 2))
        entries, inverses = entries[kept], inverses[kept]
    assert len(entries) > 0
    assert all(_shortest(matrix @ atoms.cell.array) < 7.0 for matrix in entries)


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.tuples(*[st.floats(2.5, 7.0)] * 3),
    angles=st.tuples(*[st.floats(70.0, 110.0)] * 3),
    length=st.floats(4.0, 9.0),
)
def test_a_triclinic_cell_gets_what_was_asked_for(
    lengths: tuple[float, ...], angles: tuple[float, ...], length: float
) -> None:
    cell = Atoms(cell=[*lengths, *angles]).cell.array
    found = symmetric_supercell(cell, np.eye(3, dtype=int)[None], 1, length, 200)
    assert found.distance >= length - 1e-3
    assert _shortest(found.matrix @ cell) == pytest.approx(found.distance)


def _relaxed(atoms: Atoms) -> Relaxed:
    return Relaxed(
        cell=atoms.cell.array,
        positions=atoms.get_scaled_positions(),
        symbols=tuple(atoms.get_chemical_symbols()),
        energy_per_atom=0.0,
        steps=0,
        change=None,
    )


def test_supercells_by_hand_are_of_the_conventional_cell() -> None:
    relaxed = _relaxed(bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    chosen = PhononSettings.model_validate({"fc2_supercell": [2, 2, 2], "fc3_supercell": [1, 2, 2]})
    made = phonons3(relaxed, chosen, second=True)
    assert len(made.supercell) == 32
    assert len(made.phonon_supercell) == 64
    told = in_conventional(made.supercell_matrix, made.unitcell, relaxed.cell)
    assert told == [[1, 0, 0], [0, 2, 0], [0, 0, 2]]


def test_the_record_tells_halves_of_conventional_vectors() -> None:
    relaxed = _relaxed(bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    made = phonons3(relaxed, PhononSettings(), second=False)
    told = np.array(in_conventional(made.supercell_matrix, made.unitcell, relaxed.cell))
    assert abs(np.linalg.det(told)) == pytest.approx(27 / 4)
    assert np.allclose(told * 2, np.rint(told * 2))
    assert not np.allclose(told, np.rint(told))
