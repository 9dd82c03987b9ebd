"""Small displaced supercells that could be labelled, drawn for each material from its digest."""

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

_FAR = 1e3  # Å; no supercell is so long, so the most compact one within the limit is taken


@dataclass(frozen=True)
class LabelPoolSettings:
    """What the supercells are like.

    Args:
        most_atoms: of a supercell; the primitive cell itself where that has more.
        copies: supercells of each material.
        amplitudes: root-mean-square displacements, Å, in turns: forces near equilibrium decide
            harmonic properties, those further off the anharmonic ones.
        strain: largest isotropic strain either way, from which Grüneisen parameters are learned.
    """

    most_atoms: int = 32
    copies: int = 4
    amplitudes: tuple[float, ...] = (0.04, 0.1)
    strain: float = 0.01


@dataclass(frozen=True, eq=False)
class PoolEntry:
    """One supercell that could be labelled.

    Args:
        id: of the supercell, unique in a pool of different materials.
        material: that it was made of.
        atoms: the displaced supercell, Å.
    """

    id: str
    material: Crystal
    atoms: Atoms


def label_pool(
    crystals: Sequence[Crystal], field: ForceField, settings: LabelPoolSettings | None = None
) -> list[PoolEntry]:
    """Displaced supercells of crystals, relaxed with the potential that is to be healed.

    The same crystal and potential give the same supercells in every campaign.

    Raises:
        OracleError: stage ``relax``; the first crystal that the potential cannot relax.
    """
    settings = settings or LabelPoolSettings()
    found = []
    for crystal in crystals:
        relaxed = relax(crystal, PhononSettings(calculator=field.potential), field)
        for number, atoms in enumerate(displaced_supercells(relaxed, crystal, settings)):
            name = f"{crystal.formula}-{crystal.digest[:6]}-{number}"
            found.append(PoolEntry(name, crystal, atoms))
    return found


def displaced_supercells(
    relaxed: Relaxed, crystal: Crystal, settings: LabelPoolSettings
) -> list[Atoms]:
    """Supercells of a relaxed crystal with Gaussian displacements and a small strain."""
    structure = Structure(relaxed.cell, list(relaxed.symbols), relaxed.positions)
    primitive = AseAtomsAdaptor.get_atoms(structure.get_primitive_structure())
    matrix = supercell_matrix(primitive.cell.array, len(primitive), None, _FAR, settings.most_atoms)
    rest = make_supercell(Atoms(primitive, calculator=None), matrix)
    made = []
    for number in range(settings.copies):
        rng = np.random.default_rng([int(crystal.digest[:16], 16), number])
        cell = rest.cell.array * (1 + settings.strain * rng.uniform(-1, 1))
        moved = Atoms(
            rest.numbers, scaled_positions=rest.get_scaled_positions(), cell=cell, pbc=True
        )
        amplitude = settings.amplitudes[number % len(settings.amplitudes)]
        moved.positions += rng.standard_normal(moved.positions.shape) * amplitude / np.sqrt(3)
        made.append(moved)
    return made
