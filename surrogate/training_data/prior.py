"""Prior means of properties."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy import constants

from surrogate.contract.protocol import Output
from surrogate.features.descriptors import REFERENCE_TEMPERATURE, Array


def prior_mean(output: Output, descriptors: Mapping[str, Array]) -> Array | None:
    """First guess (n,) of an output on its modelled scale; None where physics offers none.

    Slack's formula falls as 1/T; the highest frequency is taken as that of Debye's sphere.

    Args:
        output: what is predicted.
        descriptors: columns (n,) of `GLOBALS` by name; an entry may be NaN.
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
