"""Small supercells with random displacements that could be labelled; seeded by each material."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from pymatgen.core.structure import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.materials.crystal import Crystal
from oracle.phonons.relax import Relaxed, relax
from oracle.phonons.settings import PhononSettings
from oracle.phonons.supercells import supercell_matrix
from oracle.potentials.forces import ForceField

_FAR = 1e3  # Å; a length no supercell reaches, so the most compact one within the limit is chosen


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
    matrix = supercell_matrix(primitive.cell.array, len(primitive), None, _FAR, settings.most_atoms)
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
