"""Sound velocities and the Debye temperature."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracle.formulas.kappa_models import Acoustics
from oracle.phonons.elasticity import Elasticity, elasticity
from oracle.runtime.errors import OracleError


def acoustics(dynamics: Any, gruneisen: float) -> tuple[Elasticity, Acoustics] | None:
    """Elastic constants and what the models of conductivity need; None where a wave is unstable.

    Args:
        dynamics: a Phonopy object with force constants.
        gruneisen: mean Grüneisen parameter.
    """
    try:
        found = elasticity(dynamics)
    except OracleError:
        return None  # the stability gate has its own tolerance and its own word on this
    if not found.stable:
        return None
    cell = dynamics.primitive
    return found, Acoustics(
        longitudinal=found.longitudinal_velocity,
        transverse=found.transverse_velocity,
        volume_per_atom=float(cell.volume) / len(cell),
        mean_mass=float(np.mean(cell.masses)),
        atoms=len(cell),
        gruneisen=gruneisen,
        young_modulus=found.young_modulus,
    )
