"""How two conductivities are compared, where one of them may be none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
HEAVY = 1e6
"""W/m/K; above it the lifetimes are those of a mesh too coarse to scatter."""
UNKNOWN = 4.0
"""Change of the logarithm of a conductivity that is stated where it cannot be told: a factor of
50."""


def change(value: Array, reference: Array) -> Array:
    """Logarithm of the ratio of two conductivities, elementwise.

    Where either is not a conductivity, because its mesh is too coarse for the temperature, nothing
    is known: `UNKNOWN`.
    """
    known = usable(value) & usable(reference)
    ratio = np.divide(value, reference, where=known, out=np.ones(known.shape))
    return np.where(known, np.log(ratio), UNKNOWN)


def usable(value: Array) -> NDArray[np.bool_]:
    """Whether numbers (W/m/K) can be conductivities, elementwise."""
    return np.asarray((value > 0) & (value < HEAVY))
