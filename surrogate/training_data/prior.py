"""Prior means of properties, from simple physical formulas."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy import constants

from surrogate.contract.protocol import Output
from surrogate.features.descriptors import REFERENCE_TEMPERATURE, Array


def prior_mean(output: Output, descriptors: Mapping[str, Array]) -> Array | None:
    """Physical estimate (n,) of an output on its modelled scale; None for other properties.

    kappa follows Slack's formula, scaled as 1/T; the maximum frequency is taken to be the Debye
    frequency.

    Args:
        output: the property to estimate.
        descriptors: columns (n,) of `GLOBALS` by name; entries may be NaN.
    """
    if output.property == "kappa" and output.temperature:
        guess = descriptors["log_slack"] + math.log10(REFERENCE_TEMPERATURE / output.temperature)
    elif output.property == "bulk_modulus":
        guess = descriptors["log_bulk_modulus"]
    elif output.property == "max_frequency":
        per_kelvin = constants.k / constants.h / constants.tera
        guess = descriptors["log_debye"] + math.log10(per_kelvin)
    else:
        return None
    return guess if output.log else np.power(10.0, guess)
