"""Prior means of properties, from simple physical formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy import constants

from oracle.contract.property_spec import Prior
from oracle.contract.property_table import spec_of
from surrogate.contract.protocol import Output
from surrogate.features.descriptors import REFERENCE_TEMPERATURE, Array


def prior_mean(output: Output, descriptors: Mapping[str, Array]) -> Array | None:
    """Physical estimate (n,) of an output on its modelled scale; None where the table names none.

    kappa follows Slack's formula, scaled as 1/T; the maximum frequency is taken to be the Debye
    frequency.

    Args:
        output: the property to estimate.
        descriptors: columns (n,) of `GLOBALS` by name; entries may be NaN.
    """
    prior = spec_of(output.property).prior
    if prior is None or (prior == "slack" and not output.temperature):
        return None
    guess = _GUESSES[prior](output, descriptors)
    return guess if output.log else np.power(10.0, guess)


def _slack(output: Output, descriptors: Mapping[str, Array]) -> Array:
    assert output.temperature  # without one there is no guess
    return descriptors["log_slack"] + math.log10(REFERENCE_TEMPERATURE / output.temperature)


_THZ_PER_KELVIN = constants.k / constants.h / constants.tera
_GUESSES: Mapping[Prior, Callable[[Output, Mapping[str, Array]], Array]] = {
    "slack": _slack,
    "bulk-modulus": lambda output, descriptors: descriptors["log_bulk_modulus"],
    "debye-temperature": lambda output, descriptors: descriptors["log_debye"],
    "debye-frequency": lambda output, descriptors: (
        descriptors["log_debye"] + math.log10(_THZ_PER_KELVIN)
    ),
}
"""log10 of the guesses by their names in the property table."""
