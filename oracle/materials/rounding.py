"""Wrapping and rounding of positions, so that equal crystals have equal numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    pass


SYMPREC = 1e-2  # Å; positions this close to a symmetric arrangement count as symmetric
POSITION_DECIMALS = 4  # fractional, in the digest only
STORED_DECIMALS = 8  # Å, degrees and fractional coordinates of the canonical form itself

Vector = tuple[float, float, float]
Array = NDArray[np.float64]


def wrapped_positions(positions: Array) -> Array:
    """Fractional coordinates in [0, 1); values that are 1 but for numerical noise become 0."""
    wrapped = np.round(positions % 1.0, STORED_DECIMALS) % 1.0
    return np.where(wrapped > 1.0 - 0.5 * 10.0**-POSITION_DECIMALS, 0.0, wrapped)


def rounded_positions(positions: Array) -> NDArray[np.int64]:
    """Wrapped coordinates as integers, in units of the resolution that digests have."""
    scale = 10**POSITION_DECIMALS
    return np.asarray(np.floor(wrapped_positions(positions) * scale + 0.5).astype(np.int64) % scale)
