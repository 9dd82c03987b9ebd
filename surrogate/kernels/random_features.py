"""Random Fourier features of descriptors, for linear models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_WAVES = 64
_WAVE, _SLOPE = 0.6, 0.6  # amplitudes of the Fourier and linear parts relative to the constant
_LENGTH = 1.6  # length scale on which stability changes, in units of a descriptor block's length


@dataclass(frozen=True)
class RandomFeatures:
    """A constant, random Fourier features of the descriptors, and the descriptors themselves.

    Args:
        frequencies: (g, q), for q random waves of g descriptors.
    """

    frequencies: Array

    @classmethod
    def draw(cls, width: int, seed: int) -> RandomFeatures:
        """Random frequencies for `width` descriptors."""
        draws = np.random.default_rng(seed).standard_normal((width, _WAVES))
        return cls(draws / _LENGTH)

    def __call__(self, descriptors: Array, extras: Array) -> Array:
        """Features (n, 1 + 2 q + g + c) of descriptors (n, g) and extra columns (n, c)."""
        phase = descriptors @ self.frequencies
        waves = np.concatenate([np.cos(phase), np.sin(phase)], axis=1) / np.sqrt(_WAVES)
        constant = np.ones((len(descriptors), 1))
        return np.concatenate([constant, _WAVE * waves, _SLOPE * descriptors, extras], axis=1)
