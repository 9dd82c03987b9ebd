"""Bose-Einstein statistics of harmonic modes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants

PLANCK_BOLTZMANN = constants.h / constants.k * constants.tera
"""h / k_B, K/THz."""
_LARGEST = 350.0  # of half the exponent; beyond it, a mode holds no heat that a float can tell


def mode_capacity(x: ArrayLike) -> NDArray[np.float64]:
    """Heat capacity of modes in k_B, ``x² e^x / (e^x - 1)²`` with ``x = h ν / k_B T``.

    Args:
        x: any shape, not negative; at 0 it is 1.
    """
    half = np.clip(np.asarray(x, dtype=np.float64) / 2, 1e-8, _LARGEST)
    return np.asarray(np.square(half / np.sinh(half)))
