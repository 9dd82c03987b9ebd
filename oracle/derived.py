"""Properties that follow from harmonic force constants by elasticity and simple models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from oracle import models
from oracle.elasticity import Elasticity, elasticity
from oracle.errors import OracleError
from oracle.evaluation import Quantity
from oracle.models import Acoustics


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


def elastic_properties(
    elastic: Elasticity, crystal: Acoustics, temperatures: Sequence[float]
) -> dict[str, Quantity]:
    """Moduli, velocities of sound, Debye temperature, and the conductivities of the models.

    Args:
        elastic: of the crystal.
        crystal: the same for the models.
        temperatures: K, of the models.
    """
    theta = crystal.debye_temperature(crystal.mean_velocity)
    found = {
        "bulk_modulus": Quantity(value=elastic.bulk_modulus, unit="GPa"),
        "shear_modulus": Quantity(value=elastic.shear_modulus, unit="GPa"),
        "elastic_tensor": Quantity(value=elastic.stiffness.tolist(), unit="GPa"),
        "sound_velocity_longitudinal": Quantity(value=crystal.longitudinal, unit="m/s"),
        "sound_velocity_transverse": Quantity(value=crystal.transverse, unit="m/s"),
        "debye_temperature": Quantity(value=theta, unit="K"),
        "kappa_clarke": Quantity(value=models.clarke(crystal), unit="W/m/K"),
    }
    for name, model in (
        ("kappa_slack", models.slack),
        ("kappa_callaway", models.debye_callaway),
        ("kappa_cahill", models.cahill),
    ):
        values = [model(crystal, t) for t in temperatures]
        found[name] = Quantity(value=values, unit="W/m/K", per_temperature=True)
    return found
