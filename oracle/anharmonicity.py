"""How much of the force is beyond the third order that transport knows of."""

from __future__ import annotations

import numpy as np

from oracle import harmonic, supercells
from oracle.forces import ForceField
from oracle.relax import Relaxed
from oracle.settings import PhononSettings
from oracle.third_order import ThirdOrder

_SNAPSHOTS = 2


def anharmonicity(
    relaxed: Relaxed,
    settings: PhononSettings,
    third: ThirdOrder,
    field: ForceField,
    *,
    temperature: float,
    seed: int,
) -> float:
    """Share of the thermal force that second and third order leave unexplained.

    ``sqrt(sum |F - F2 - F3|² / sum |F|²)`` over snapshots with the displacements of harmonic
    phonons; after Knoop et al., Phys. Rev. Materials 4, 083809 (2020), whose measure leaves the
    third order in.

    Args:
        relaxed: the conventional cell.
        settings: of the oracle.
        third: force constants.
        field: gives forces.
        temperature: of the displacements, K.
        seed: of the displacements.

    Raises:
        OracleError: stage ``fc3``; a force cannot be computed.
    """
    small = supercells.phonons3(relaxed, settings, second=False)
    modes = harmonic.dynamics(small.unitcell, small.supercell_matrix, small.primitive, third.fc2)
    moved = harmonic.thermal_displacements(modes, temperature, _SNAPSHOTS, seed)
    rest = supercells.as_atoms(small.supercell)
    predicted = supercells.predicted_forces(small, third.fc2, third.fc3, moved)
    actual = field.many([supercells.displaced(rest, u) for u in moved], "fc3")
    return float(np.linalg.norm(actual - predicted) / np.linalg.norm(actual))
