"""How far stated spreads can be trusted, from trials whose candidates were drawn at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from surrogate.contract.protocol import Calibration

Array = NDArray[np.float64]
_PRIOR_TRIALS = 4.0  # a scale of 1 weighs as much as this many trials
_LARGEST = 4.0  # a single surprise at one of few trials must not blow up every spread


def calibrate(mean: Array, std: Array, truth: Array) -> Calibration:
    """The factor by which spreads should be multiplied, shrunk towards 1.

    With z = (truth - mean) / std of n trials, the maximum-likelihood scale of Gaussian errors is
    the root mean square of z. Under an inverse-gamma prior on its square, centred on 1 and worth
    n0 = 4 trials, it becomes ``sqrt((n0 + sum of z²) / (n0 + n))``; squares count up to 16, so
    that one outlier cannot dominate.

    Args:
        mean: (n,) predicted before the trial.
        std: (n,) stated then, without any earlier calibration.
        truth: (n,) found, on the same scale.

    Raises:
        ValueError: shapes differ, or a spread is not positive.
    """
    z = _standardised(mean, std, truth)
    if not len(z):
        return Calibration()
    squares = np.minimum(np.square(z), _LARGEST**2)
    scale = np.sqrt((_PRIOR_TRIALS + squares.sum()) / (_PRIOR_TRIALS + len(z)))
    return Calibration(float(scale), len(z))


def coverage(mean: Array, std: Array, truth: Array) -> tuple[float, float, int]:
    """Share of truths within 1 and within 2 stated spreads, and how many there are.

    A calibrated Gaussian has 0.683 and 0.954. The shares of no trials are NaN.
    """
    z = np.abs(_standardised(mean, std, truth))
    if not len(z):
        return float("nan"), float("nan"), 0
    return float(np.mean(z <= 1.0)), float(np.mean(z <= 2.0)), len(z)


def _standardised(mean: Array, std: Array, truth: Array) -> Array:
    mean, std, truth = (np.asarray(a, dtype=float) for a in (mean, std, truth))
    if not mean.shape == std.shape == truth.shape or mean.ndim != 1:
        raise ValueError(
            f"mean, std and truth must have one shape (n,); given {mean.shape}, {std.shape}, "
            f"{truth.shape}"
        )
    if np.any(~(std > 0)):
        raise ValueError(f"spreads must be positive; the smallest given is {std.min()}")
    return np.asarray((truth - mean) / std)
