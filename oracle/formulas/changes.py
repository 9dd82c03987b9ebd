"""Comparison of two conductivities, either of which may be unusable."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
HEAVY = 1e6
"""W/m/K; larger values mean that the mesh was too coarse for modes to scatter."""
UNKNOWN = 4.0
"""Change of the natural logarithm that is reported where it is unknown: a factor of about 50."""


def change(value: Array, reference: Array) -> Array:
    """Natural logarithm of the ratio of two conductivities, elementwise.

    `UNKNOWN` where either is not a possible conductivity because its mesh is too coarse for the
    temperature.
    """
    both_usable = usable(value) & usable(reference)
    ratio = np.divide(value, reference, where=both_usable, out=np.ones(both_usable.shape))
    return np.where(both_usable, np.log(ratio), UNKNOWN)


def usable(value: Array) -> NDArray[np.bool_]:
    """Whether values (W/m/K) are possible conductivities, elementwise."""
    return np.asarray((value > 0) & (value < HEAVY))
