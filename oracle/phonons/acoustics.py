"""Sound velocities and the Debye temperature."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracle.formulas.kappa_models import Acoustics, mass_variance
from oracle.phonons.atomic_data import isotope_variances
from oracle.phonons.elasticity import Elasticity, elasticity
from oracle.runtime.errors import OracleError


def acoustics(
    dynamics: Any, gruneisen: float, *, isotopes: bool = False
) -> tuple[Elasticity, Acoustics] | None:
    """Elastic constants, and the input of the models in `oracle.formulas.kappa_models`.

    Args:
        dynamics: a Phonopy object with force constants.
        gruneisen: root mean square of the modes' Grüneisen parameters.
        isotopes: whether natural isotopes scatter.

    Returns:
        None where a long acoustic wave is unstable.
    """
    try:
        elastic = elasticity(dynamics)
    except OracleError:
        return None  # the stability gate judges the crystal, with its own tolerance
    if not elastic.stable:
        return None
    cell = dynamics.primitive
    return elastic, Acoustics(
        longitudinal=elastic.longitudinal_velocity,
        transverse=elastic.transverse_velocity,
        volume_per_atom=float(cell.volume) / len(cell),
        mean_mass=float(np.mean(cell.masses)),
        atoms=len(cell),
        gruneisen=gruneisen,
        young_modulus=elastic.young_modulus,
        mass_variance=_mass_variance(cell) if isotopes else 0.0,
    )


def _mass_variance(cell: Any) -> float:
    return mass_variance(np.asarray(cell.masses), isotope_variances(cell.symbols))
