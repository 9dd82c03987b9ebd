"""Bose-Einstein statistics of harmonic modes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants

PLANCK_BOLTZMANN = constants.h / constants.k * constants.tera
"""h / k_B, K/THz."""
_LARGEST = 350.0  # of x / 2; beyond it the heat capacity is negligible and sinh² would overflow


def mode_capacity(x: ArrayLike) -> NDArray[np.float64]:
    """Heat capacity of modes in k_B, ``x² e^x / (e^x - 1)²`` with ``x = h ν / k_B T``.

    Args:
        x: any shape, not negative; the heat capacity is 1 at 0.
    """
    half = np.clip(np.asarray(x, dtype=np.float64) / 2, 1e-8, _LARGEST)
    return np.asarray(np.square(half / np.sinh(half)))
