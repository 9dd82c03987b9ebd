"""Small supercells with random displacements that could be labelled; seeded by each material."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from numpy.typing import NDArray
from pymatgen.core.structure import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.materials.crystal import Crystal
from oracle.phonons.relax import Relaxed, relax
from oracle.phonons.settings import PhononSettings
from oracle.potentials.forces import ForceField

Array = NDArray[np.float64]
_MOST_REPETITIONS = 8


@dataclass(frozen=True)
class SupercellPoolSettings:
    """Size and displacements of the supercells.

    Args:
        most_atoms: largest number of atoms; a larger primitive cell is used as it is.
        copies: number of supercells of each material.
        amplitudes: root-mean-square displacements, Å, in turn: forces close to equilibrium
            determine harmonic properties, forces further away anharmonic ones.
        strain: largest isotropic strain of either sign, for learning Grüneisen parameters.
    """

    most_atoms: int = 32
    copies: int = 4
    amplitudes: tuple[float, ...] = (0.04, 0.1)
    strain: float = 0.01


@dataclass(frozen=True, eq=False)
class PoolEntry:
    """One supercell that could be labelled.

    Args:
        id: name of the supercell, unique in a pool of different materials.
        material: the crystal it was made from.
        atoms: the displaced supercell, lengths in Å.
    """

    id: str
    material: Crystal
    atoms: Atoms


def supercell_pool(
    crystals: Sequence[Crystal], field: ForceField, settings: SupercellPoolSettings | None = None
) -> list[PoolEntry]:
    """Displaced supercells of crystals, relaxed with the potential that is to be fine-tuned.

    The same crystal and potential give the same supercells in every campaign.

    Raises:
        OracleError: stage ``relax``; the potential cannot relax one of the crystals.
    """
    settings = settings or SupercellPoolSettings()
    entries = []
    for crystal in crystals:
        relaxed = relax(crystal, PhononSettings(calculator=field.potential), field)
        for number, atoms in enumerate(displaced_supercells(relaxed, crystal, settings)):
            name = f"{crystal.formula}-{crystal.digest[:6]}-{number}"
            entries.append(PoolEntry(name, crystal, atoms))
    return entries


def displaced_supercells(
    relaxed: Relaxed, crystal: Crystal, settings: SupercellPoolSettings
) -> list[Atoms]:
    """Supercells of a relaxed crystal with Gaussian displacements and a small strain."""
    structure = Structure(relaxed.cell, list(relaxed.symbols), relaxed.positions)
    primitive = AseAtomsAdaptor.get_atoms(structure.get_primitive_structure())
    matrix = _most_compact(primitive.cell.array, len(primitive), settings.most_atoms)
    equilibrium = make_supercell(Atoms(primitive, calculator=None), matrix)
    supercells = []
    for number in range(settings.copies):
        rng = np.random.default_rng([int(crystal.digest[:16], 16), number])
        cell = equilibrium.cell.array * (1 + settings.strain * rng.uniform(-1, 1))
        displaced = Atoms(
            equilibrium.numbers,
            scaled_positions=equilibrium.get_scaled_positions(),
            cell=cell,
            pbc=True,
        )
        amplitude = settings.amplitudes[number % len(settings.amplitudes)]
        displaced.positions += (
            rng.standard_normal(displaced.positions.shape) * amplitude / np.sqrt(3)
        )
        supercells.append(displaced)
    return supercells


def _most_compact(cell: Array, n_atoms: int, most_atoms: int) -> NDArray[np.int64]:
    """Repetitions (3, 3) whose opposite faces are farthest apart, of so many atoms at most."""
    heights = abs(np.linalg.det(cell)) / np.linalg.norm(
        np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1
    )
    choices = [
        (float((np.array(n) * heights).min()), -int(np.prod(n)), n)
        for n in itertools.product(range(1, _MOST_REPETITIONS + 1), repeat=3)
        if np.prod(n) * n_atoms <= most_atoms
    ]
    best = max(choices, default=(0.0, 0, (1, 1, 1)))
    return np.diag(np.array(best[2], dtype=np.int64))
