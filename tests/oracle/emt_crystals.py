"""Crystals of metals whose third-order force constants effective medium theory gives at once."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from numpy.typing import NDArray
from phono3py import Phono3py

from oracle.phonons.atomic_data import phonopy_cell
from oracle.phonons.supercells import as_atoms

Array = NDArray[np.float64]
Mesh = tuple[int, int, int]
POLAR = {
    "born": np.array([0.7 * np.eye(3), -0.7 * np.eye(3)]),
    "dielectric": 2.5 * np.eye(3),
    "factor": 14.4,
}


def _alloy(symbols: str, places: list[tuple[float, ...]], cell: list[float]) -> Atoms:
    return Atoms(symbols, scaled_positions=places, cell=cell, pbc=True)


CRYSTALS: dict[str, tuple[Atoms, list[list[int]], Mesh]] = {
    "cubic": (
        _alloy("AuCu3", [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)], [3.79] * 3),
        [[2, 0, 0], [0, 2, 0], [0, 0, 2]],
        (4, 4, 4),
    ),
    "face-centred": (bulk("Cu", "fcc", a=3.6), [[-2, 2, 2], [2, -2, 2], [2, 2, -2]], (4, 4, 4)),
    "hexagonal": (
        bulk("Cu", "hcp", a=2.55, c=4.16),
        [[3, 0, 0], [0, 3, 0], [0, 0, 1]],
        (5, 5, 4),
    ),
    "polar": (
        _alloy("AuCu", [(0, 0, 0), (0.5, 0.5, 0.5)], [2.8, 2.8, 3.6]),
        [[2, 0, 0], [0, 1, 0], [0, 0, 2]],  # breaks the symmetry
        (4, 4, 3),
    ),
}


@functools.cache
def emt_phonons(name: str) -> Phono3py:
    """With third-order force constants by effective medium theory."""
    atoms, supercell, _ = CRYSTALS[name]
    cell = phonopy_cell(atoms.cell.array, atoms.get_scaled_positions(), list(atoms.symbols))
    phonons = Phono3py(cell, supercell_matrix=supercell, primitive_matrix=np.eye(3), log_level=0)
    phonons.generate_displacements()

    def forces(one: Any) -> Array:
        displaced = as_atoms(one)
        displaced.calc = EMT()
        return np.asarray(displaced.get_forces())

    phonons.forces = np.array([forces(one) for one in phonons.supercells_with_displacements])
    phonons.produce_fc3()
    phonons.symmetrize_fc3()
    phonons.symmetrize_fc2()
    if name == "polar":
        phonons.nac_params = POLAR
    return phonons
