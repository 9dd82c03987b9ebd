"""Landauer conductance of phonon channels from their transmission."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import constants

Array = NDArray[np.float64]


def window(frequencies: Array, temperatures: Array) -> Array:
    """What a channel with a transmission of 1 adds to the conductance per frequency, W/K/THz.

    ``h f dn/dT`` with the Bose-Einstein distribution n: Rego and Kirczenow, Phys. Rev. Lett. 81,
    232 (1998).

    Args:
        frequencies: (n,), THz.
        temperatures: (m,), K.

    Returns:
        (m, n).
    """
    x = constants.h * 1e12 * frequencies / (constants.k * temperatures[:, None])
    # x² e^x / (e^x - 1)² without overflow; 1 where x goes to zero.
    half = np.where(x > 1e-6, x / 2.0, 1.0)
    shape = np.where(x > 1e-6, (half / np.sinh(np.minimum(half, 350.0))) ** 2, 1.0)
    return constants.k * 1e12 * shape


def conductance(frequencies: Array, transmission: Array, temperatures: Array, step: float) -> Array:
    """Landauer conductance, W/K.

    Args:
        frequencies: (n,), THz, one in each of n equal intervals, the first of which begins at 0.
        transmission: (..., n), summed over channels.
        temperatures: (m,), K.
        step: THz, width of the intervals.

    Returns:
        (..., m).
    """
    return np.asarray(transmission @ window(frequencies, temperatures).T * step)
