"""How well predicted uncertainties match actual errors, measured on randomly drawn candidates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from surrogate.contract.protocol import Calibration

Array = NDArray[np.float64]
_PRIOR_TRIALS = 4.0  # the prior (a scale of 1) weighs as much as this many trials
_LARGEST = 4.0  # largest |z| counted: one outlier among few trials must not inflate every spread


def calibrate(mean: Array, std: Array, truth: Array) -> Calibration:
    """The factor by which predicted standard deviations should be multiplied, shrunk towards 1.

    With z = (truth - mean) / std for each of n trials, the maximum-likelihood scale of Gaussian
    errors is the root mean square of z. Under an inverse-gamma prior on the squared scale, centred
    on 1 and worth n0 = 4 trials, it becomes ``sqrt((n0 + sum of z²) / (n0 + n))``. Each z² is
    capped at 16, so that a single outlier cannot dominate.

    Args:
        mean: (n,) predictions made before the trials.
        std: (n,) standard deviations predicted with them, without any earlier calibration.
        truth: (n,) measured values, on the same scale.

    Raises:
        ValueError: the shapes differ, or a standard deviation is not positive.
    """
    z = _standardised(mean, std, truth)
    if not len(z):
        return Calibration()
    squares = np.minimum(np.square(z), _LARGEST**2)
    scale = np.sqrt((_PRIOR_TRIALS + squares.sum()) / (_PRIOR_TRIALS + len(z)))
    return Calibration(float(scale), len(z))


def coverage(mean: Array, std: Array, truth: Array) -> tuple[float, float, int]:
    """Fractions of truths within 1 and within 2 predicted standard deviations, and their number.

    A calibrated Gaussian gives 0.683 and 0.954. Without trials both fractions are NaN.
    """
    z = np.abs(_standardised(mean, std, truth))
    if not len(z):
        return float("nan"), float("nan"), 0
    return float(np.mean(z <= 1.0)), float(np.mean(z <= 2.0)), len(z)


def _standardised(mean: Array, std: Array, truth: Array) -> Array:
    mean, std, truth = (np.asarray(a, dtype=float) for a in (mean, std, truth))
    if not mean.shape == std.shape == truth.shape or mean.ndim != 1:
        raise ValueError(
            f"mean, std and truth must have the same shape (n,); given {mean.shape}, {std.shape}, "
            f"{truth.shape}"
        )
    if np.any(~(std > 0)):
        raise ValueError(f"std must be positive; the smallest value given is {std.min()}")
    return np.asarray((truth - mean) / std)
