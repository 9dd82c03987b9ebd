"""How much of the force is beyond the third order that transport knows of."""

from __future__ import annotations

import numpy as np
from phono3py import Phono3py

from oracle import harmonic, supercells
from oracle.forces import ForceField
from oracle.third_order import ThirdOrder

_SNAPSHOTS = 2


def anharmonicity(
    small: Phono3py,
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
        small: phono3py's description with the supercell of third order alone.
        third: force constants.
        field: gives forces.
        temperature: of the displacements, K.
        seed: of the displacements.

    Raises:
        OracleError: stage ``fc3``; a force cannot be computed.
    """
    modes = harmonic.dynamics(small.unitcell, small.supercell_matrix, small.primitive, third.fc2)
    moved = harmonic.thermal_displacements(modes, temperature, _SNAPSHOTS, seed)
    rest = supercells.as_atoms(small.supercell)
    predicted = supercells.predicted_forces(small, third.fc2, third.fc3, moved)
    actual = field.many([supercells.displaced(rest, u) for u in moved], "fc3")
    return float(np.linalg.norm(actual - predicted) / np.linalg.norm(actual))
