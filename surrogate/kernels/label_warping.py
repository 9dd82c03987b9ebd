"""Warping of labels with one long tail towards a normal distribution.

A few outliers (a pure crystal among superlattices) set the scale of the labels and hide the
differences among the rest, which matter in a search. The half of the labels with the longer tail
is therefore mapped to the quantiles of a normal distribution that is as wide as the other half,
and the other half is left unchanged (the half-rank warping of X. Song et al., The Vizier Gaussian
process bandit algorithm, arXiv:2408.11527). In a search, as there, the worse half is warped,
because differences among the best labels decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
_FEWEST = 4  # labels; with fewer, nothing is warped


@dataclass(frozen=True)
class LabelWarping:
    """An increasing piecewise linear function of the labels, and its inverse.

    Args:
        sign: 1 where high values are warped, -1 where low values are.
        labels: (k,), knots multiplied by `sign`, ascending; the first is the far end of the
            unchanged half, the second the median.
        warped_knots: (k,), warped values at the knots, before standardisation.
        centre: mean of all warped labels.
        spread: standard deviation of all warped labels.
    """

    sign: float
    labels: Array
    warped_knots: Array
    centre: float
    spread: float

    @classmethod
    def of(cls, values: Array, sought: Literal["low", "high"] | None = None) -> LabelWarping:
        """The warping for labels (n,); the identity below four labels, or if one half has no width.

        Args:
            values: labels.
            sought: the end of the labels that is left unchanged; None warps the longer tail.
        """
        identity = cls(1.0, np.array([0.0, 1.0]), np.array([0.0, 1.0]), 0.0, 1.0)
        if len(values) < _FEWEST:
            return identity
        middle = float(np.median(values))
        high, low = (_reach(s * (values - middle)) for s in (1.0, -1.0))
        if min(high, low) <= 1e-6 * max(high, low, 1e-12):
            return identity
        longer = 1.0 if high >= low else -1.0
        sign = {"low": 1.0, "high": -1.0, None: longer}[sought]
        ordered, counts = np.unique(sign * (values - middle), return_counts=True)
        quantiles = (np.cumsum(counts) - 0.5 * counts) / len(values)
        beyond_median = ordered > 0.0
        unchanged_reach = low if sign > 0 else high
        warped = unchanged_reach * ndtri(quantiles[beyond_median])
        distinct = warped > 0.0  # several labels may share the median
        knots = np.concatenate([[ordered[0], 0.0], ordered[beyond_median][distinct]])
        targets = np.concatenate([[ordered[0], 0.0], warped[distinct]])
        warping = cls(sign, sign * middle + knots, sign * middle + targets, 0.0, 1.0)
        all_warped = warping(values)
        return cls(
            sign,
            warping.labels,
            warping.warped_knots,
            float(all_warped.mean()),
            max(float(all_warped.std()), 1e-6),
        )

    def __call__(self, values: Array) -> Array:
        """Warped labels (n,), of mean 0 and standard deviation 1."""
        warped = self.sign * _line(self.sign * values, self.labels, self.warped_knots)
        return (warped - self.centre) / self.spread

    def back(self, warped: Array) -> Array:
        """The inverse: values (n,) on the scale of the labels."""
        inner = self.sign * (self.centre + self.spread * warped)
        return self.sign * _line(inner, self.warped_knots, self.labels)

    def stretch(self, values: Array) -> Array:
        """Factors (n,) by which standard deviations are multiplied in the inverse.

        The mean slope between a value and the far end of the unchanged half, not the local slope:
        it preserves the distance from that end in standard deviations, on which acquisition
        functions depend.
        """
        start = self.labels[0]
        distance = np.maximum(self.sign * values - start, 0.0)
        warped_distance = _line(start + distance, self.labels, self.warped_knots) - start
        slope = np.where(warped_distance > 1e-9, distance / np.maximum(warped_distance, 1e-9), 1.0)
        return self.spread * slope


def _reach(values: Array) -> float:
    """Root mean square of the values that are not negative."""
    half = values[values >= 0.0]
    return float(np.sqrt(np.square(half).mean()))


def _line(x: Array, knots: Array, values: Array) -> Array:
    """Piecewise linear interpolation; slope 1 below the knots, and the mean slope above them."""
    inner = np.interp(x, knots, values)
    slope = (values[-1] - values[0]) / (knots[-1] - knots[0])
    beyond = np.maximum(x - knots[-1], 0.0) * slope
    return np.asarray(inner + np.minimum(x - knots[0], 0.0) + beyond)
