"""How much of the force is beyond the third order that transport knows of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py

from oracle.phonons import harmonic, supercells
from oracle.phonons.third_order import ThirdOrder
from oracle.potentials.forces import ForceField

Array = NDArray[np.float64]
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


def at_temperatures(
    small: Phono3py,
    third: ThirdOrder,
    field: ForceField,
    *,
    temperatures: tuple[float, ...],
    reference: float,
    seed: int,
) -> Array:
    """The same at each of several temperatures (n_temperatures,).

    It is measured at the lowest, the highest and the reference; in between it goes as a power of
    temperature (as T where atoms move classically and the fourth order is the next to matter).

    Args:
        small: phono3py's description with the supercell of third order alone.
        third: force constants.
        field: gives forces.
        temperatures: K, ascending.
        reference: one of them, K.
        seed: of the displacements.

    Raises:
        OracleError: stage ``fc3``; a force cannot be computed.
    """
    asked = sorted({temperatures[0], reference, temperatures[-1]})
    found = [anharmonicity(small, third, field, temperature=t, seed=seed) for t in asked]
    powers = np.interp(np.log(temperatures), np.log(asked), np.log(np.maximum(found, 1e-12)))
    measured = dict(zip(asked, found, strict=True))
    return np.array(
        [measured.get(t, float(np.exp(p))) for t, p in zip(temperatures, powers, strict=True)]
    )
