"""Properties of an evaluation, from the results of its stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Quantity, make_quantity
from oracle.formulas import kappa_models
from oracle.phonon_bte.conductivity import Transport
from oracle.phonons.acoustics import CrystalElasticity
from oracle.phonons.elasticity import Elasticity
from oracle.phonons.harmonic import Stability, heat_capacity
from oracle.phonons.relax import Relaxed

Array = NDArray[np.float64]
_SLACK_ERROR = 1.0  # relative; the formula is accurate to a factor of two to three


def structural_properties(relaxed: Relaxed) -> dict[str, Quantity]:
    """Energy and volume of a relaxed crystal."""
    return {
        "energy_per_atom": make_quantity("energy_per_atom", relaxed.energy_per_atom),
        "volume": make_quantity("volume", relaxed.volume / len(relaxed.symbols)),
    }


def spectral_properties(stability: Stability) -> dict[str, Quantity]:
    """Lowest and highest frequency."""
    return {
        "min_frequency_thz": make_quantity("min_frequency_thz", stability.lowest),
        "max_frequency_thz": make_quantity("max_frequency_thz", stability.highest),
    }


def elastic_properties(
    found: CrystalElasticity, gruneisen: float, temperatures: Sequence[float]
) -> dict[str, Quantity]:
    """Moduli, sound velocities, Debye temperature, and the conductivities of models.

    Args:
        found: elastic constants; without any, there are no properties.
        gruneisen: mean Grüneisen parameter.
        temperatures: of the models, K.
    """
    elastic, crystal = found.best, found.acoustics(gruneisen)
    if elastic is None or crystal is None:
        return {}

    def debye(constants: Elasticity) -> float:
        sound = found.acoustics_with(constants, gruneisen)
        return sound.debye_temperature(sound.mean_velocity)

    scalars: dict[str, Callable[[Elasticity], float]] = {
        "bulk_modulus": lambda constants: constants.bulk_modulus,
        "shear_modulus": lambda constants: constants.shear_modulus,
        "sound_velocity_longitudinal": lambda constants: constants.longitudinal_velocity,
        "sound_velocity_transverse": lambda constants: constants.transverse_velocity,
        "debye_temperature": debye,
    }
    models: dict[str, Any] = {
        "kappa_clarke": kappa_models.clarke(crystal),
        "kappa_slack": [kappa_models.slack(crystal, t) for t in temperatures],
        "kappa_callaway": [kappa_models.debye_callaway(crystal, t) for t in temperatures],
        "kappa_cahill": [kappa_models.cahill(crystal, t) for t in temperatures],
    }
    stiffness = elastic.stiffness.tolist()
    return {
        **{n: make_quantity(n, of(elastic), std=found.error(of)) for n, of in scalars.items()},
        **{name: make_quantity(name, value) for name, value in models.items()},
        "elastic_tensor": make_quantity("elastic_tensor", stiffness, tensor="voigt-4"),
    }


def conductive_properties(
    transport: Transport, error: Array, temperatures: tuple[float, ...]
) -> dict[str, Quantity]:
    """Conductivity and its parts, and heat capacity.

    Args:
        transport: transport at the temperatures.
        error: (n_temperatures,), relative standard errors of the conductivity.
        temperatures: K.
    """
    capacity = heat_capacity(transport.frequencies, transport.weights, temperatures)
    atoms = transport.frequencies.shape[1] / 3
    properties = {
        "kappa": make_quantity(
            "kappa", transport.kappa.tolist(), std=(error * transport.mean).tolist()
        ),
        "kappa_particle": make_quantity("kappa_particle", transport.particle.tolist()),
        "heat_capacity": make_quantity("heat_capacity", (capacity / atoms).tolist()),
    }
    if transport.coherence is not None:
        properties["kappa_coherence"] = make_quantity(
            "kappa_coherence", transport.coherence.tolist()
        )
    return properties


def estimated_kappa(slack: Quantity) -> Quantity:
    """An isotropic conductivity tensor from Slack's formula (n_temperatures,), W/m/K."""
    kappa = np.array(slack.value)
    tensors = kappa[:, None, None] * np.eye(3)
    return make_quantity("kappa", tensors.tolist(), std=(_SLACK_ERROR * kappa).tolist())
