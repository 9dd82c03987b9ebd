"""How much of the thermal forces second- and third-order force constants do not explain."""

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
    """Fraction of the thermal forces that second- and third-order force constants do not explain.

    ``sqrt(sum |F - F2 - F3|² / sum |F|²)`` over snapshots with the thermal displacements of
    harmonic phonons. After Knoop et al., Phys. Rev. Materials 4, 083809 (2020), whose measure does
    not subtract the third order.

    Args:
        small: phono3py's description with the third-order supercell only.
        third: force constants.
        field: computes forces.
        temperature: of the displacements, K.
        seed: of the displacements.

    Raises:
        OracleError: stage ``fc3``; a force cannot be computed.
    """
    modes = harmonic.dynamics(small.unitcell, small.supercell_matrix, small.primitive, third.fc2)
    moved = harmonic.thermal_displacements(modes, temperature, _SNAPSHOTS, seed)
    rest = supercells.as_atoms(small.supercell)
    predicted = supercells.predicted_forces(small, third.fc2, third.fc3, moved)
    at_rest = field.at_rest(supercells.as_atoms(small.unitcell), "fc3")
    actual = field.many([supercells.displaced(rest, u) for u in moved], "fc3")
    actual -= supercells.rest_forces(small.supercell, at_rest)
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
    """The `anharmonicity` at each of several temperatures (n_temperatures,).

    It is computed at the lowest, the highest and the reference temperature and interpolated between
    them as a power of temperature (T itself, if atoms move classically and the fourth order is the
    next to matter).

    Args:
        small: phono3py's description with the third-order supercell only.
        third: force constants.
        field: computes forces.
        temperatures: K, ascending.
        reference: one of them, K.
        seed: of the displacements.

    Raises:
        OracleError: stage ``fc3``; a force cannot be computed.
    """
    computed_at = sorted({temperatures[0], reference, temperatures[-1]})
    values = [anharmonicity(small, third, field, temperature=t, seed=seed) for t in computed_at]
    powers = np.interp(np.log(temperatures), np.log(computed_at), np.log(np.maximum(values, 1e-12)))
    by_temperature = dict(zip(computed_at, values, strict=True))
    return np.array(
        [by_temperature.get(t, float(np.exp(p))) for t, p in zip(temperatures, powers, strict=True)]
    )
