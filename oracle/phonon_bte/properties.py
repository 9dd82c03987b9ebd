"""Properties of an evaluation, from the results of its stages."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Quantity
from oracle.formulas import kappa_models
from oracle.formulas.kappa_models import Acoustics
from oracle.phonon_bte.conductivity import Transport
from oracle.phonons.elasticity import Elasticity
from oracle.phonons.harmonic import Stability, heat_capacity
from oracle.phonons.relax import Relaxed

Array = NDArray[np.float64]
_SLACK_ERROR = 1.0  # relative; the formula is accurate to a factor of two to three


def structural_properties(relaxed: Relaxed) -> dict[str, Quantity]:
    """Energy and volume of a relaxed crystal."""
    return {
        "energy_per_atom": Quantity(value=relaxed.energy_per_atom, unit="eV"),
        "volume": Quantity(value=relaxed.volume / len(relaxed.symbols), unit="Å³/atom"),
    }


def spectral_properties(stability: Stability) -> dict[str, Quantity]:
    """Lowest and highest frequency."""
    return {
        "min_frequency_thz": Quantity(value=stability.lowest, unit="THz"),
        "max_frequency_thz": Quantity(value=stability.highest, unit="THz"),
    }


def elastic_properties(
    elastic: Elasticity, crystal: Acoustics, temperatures: Sequence[float]
) -> dict[str, Quantity]:
    """Moduli, sound velocities, Debye temperature, and the conductivities of models.

    Args:
        elastic: of the crystal.
        crystal: input of the models.
        temperatures: of the models, K.
    """
    theta = crystal.debye_temperature(crystal.mean_velocity)
    found = {
        "bulk_modulus": Quantity(value=elastic.bulk_modulus, unit="GPa"),
        "shear_modulus": Quantity(value=elastic.shear_modulus, unit="GPa"),
        "elastic_tensor": Quantity(value=elastic.stiffness.tolist(), unit="GPa", tensor="voigt-4"),
        "sound_velocity_longitudinal": Quantity(value=crystal.longitudinal, unit="m/s"),
        "sound_velocity_transverse": Quantity(value=crystal.transverse, unit="m/s"),
        "debye_temperature": Quantity(value=theta, unit="K"),
        "kappa_clarke": Quantity(value=kappa_models.clarke(crystal), unit="W/m/K"),
    }
    for name, model in (
        ("kappa_slack", kappa_models.slack),
        ("kappa_callaway", kappa_models.debye_callaway),
        ("kappa_cahill", kappa_models.cahill),
    ):
        values = [model(crystal, t) for t in temperatures]
        found[name] = Quantity(value=values, unit="W/m/K", per_temperature=True)
    return found


def conductive_properties(
    found: Transport, error: Array, temperatures: tuple[float, ...]
) -> dict[str, Quantity]:
    """Conductivity and its parts, and heat capacity.

    Args:
        found: transport at the temperatures.
        error: (n_temperatures,), relative standard errors of the conductivity.
        temperatures: K.
    """
    capacity = heat_capacity(found.frequencies, found.weights, temperatures)
    atoms = found.frequencies.shape[1] / 3
    per_temperature = functools.partial(Quantity, per_temperature=True)
    tensor = functools.partial(per_temperature, unit="W/m/K", tensor="cartesian-2")
    properties = {
        "kappa": tensor(value=found.kappa.tolist(), std=(error * found.mean).tolist()),
        "kappa_particle": tensor(value=found.particle.tolist()),
        "heat_capacity": per_temperature(value=(capacity / atoms).tolist(), unit="k_B/atom"),
    }
    if found.coherence is not None:
        properties["kappa_coherence"] = tensor(value=found.coherence.tolist())
    return properties


def estimated_kappa(slack: Quantity) -> Quantity:
    """An isotropic conductivity tensor from Slack's formula (n_temperatures,), W/m/K."""
    kappa = np.array(slack.value)
    return Quantity(
        value=(kappa[:, None, None] * np.eye(3)).tolist(),
        unit="W/m/K",
        std=(_SLACK_ERROR * kappa).tolist(),
        per_temperature=True,
        tensor="cartesian-2",
    )
