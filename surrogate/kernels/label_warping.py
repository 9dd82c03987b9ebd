"""Labels with one long tail, brought nearer to what a Gaussian process expects.

A few stacks far from all others (a pure crystal among superlattices) set the scale of the labels
and hide the differences among the rest, which a search is about. The half of the labels that
reaches farther from the median is therefore moved to the quantiles of a normal distribution as
wide as the other half, which stays as it is (the half-rank warping of X. Song et al., The Vizier
Gaussian process bandit algorithm, arXiv:2408.11527). In a search it is the worse half, as there:
differences among the best decide, and are left as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
_FEWEST = 4  # labels; of fewer no half is told from the other


@dataclass(frozen=True)
class Squeeze:
    """A rising piecewise linear function of the labels, and its inverse.

    Args:
        sign: 1 where high values are squeezed, -1 where low ones are.
        labels: (k,), knots, rising once multiplied by `sign`; the first is the far end of the
            half that stays, the second the median.
        squeezed: (k,), what they become, before `centre` and `spread`.
        centre: mean of all squeezed labels.
        spread: their standard deviation.
    """

    sign: float
    labels: Array
    squeezed: Array
    centre: float
    spread: float

    @classmethod
    def of(cls, values: Array, sought: Literal["low", "high"] | None = None) -> Squeeze:
        """The function for labels (n,); the identity where there are few or no long tail.

        Args:
            values: labels.
            sought: the end at which nothing is squeezed; None where neither is sought.
        """
        plain = cls(1.0, np.array([0.0, 1.0]), np.array([0.0, 1.0]), 0.0, 1.0)
        if len(values) < _FEWEST:
            return plain
        middle = float(np.median(values))
        high, low = (_reach(s * (values - middle)) for s in (1.0, -1.0))
        if min(high, low) <= 1e-6 * max(high, low, 1e-12):
            return plain
        longer = 1.0 if high >= low else -1.0
        sign = {"low": 1.0, "high": -1.0, None: longer}[sought]
        ordered, counts = np.unique(sign * (values - middle), return_counts=True)
        quantiles = (np.cumsum(counts) - 0.5 * counts) / len(values)
        far = ordered > 0.0
        kept_reach = low if sign > 0 else high
        moved = kept_reach * ndtri(quantiles[far])
        kept = moved > 0.0  # the labels at the median may be many
        knots = np.concatenate([[ordered[0], 0.0], ordered[far][kept]])
        targets = np.concatenate([[ordered[0], 0.0], moved[kept]])
        found = cls(sign, sign * middle + knots, sign * middle + targets, 0.0, 1.0)
        all_of_them = found(values)
        return cls(
            sign,
            found.labels,
            found.squeezed,
            float(all_of_them.mean()),
            max(float(all_of_them.std()), 1e-6),
        )

    def __call__(self, values: Array) -> Array:
        """Labels (n,) as a process is to see them, of mean 0 and spread 1."""
        there = self.sign * _line(self.sign * values, self.labels, self.squeezed)
        return (there - self.centre) / self.spread

    def back(self, seen: Array) -> Array:
        """The values (n,) that look like this."""
        inner = self.sign * (self.centre + self.spread * seen)
        return self.sign * _line(inner, self.squeezed, self.labels)

    def stretch(self, values: Array) -> Array:
        """By how much (n,) spreads grow on the way back.

        The slope as seen from the far end of the half that stays: it keeps how many standard
        deviations a squeezed value is away from there, which is what decides whether it is sought.
        """
        start = self.labels[0]
        moved = np.maximum(self.sign * values - start, 0.0)
        seen = _line(start + moved, self.labels, self.squeezed) - start
        slope = np.where(seen > 1e-9, moved / np.maximum(seen, 1e-9), 1.0)
        return self.spread * slope


def _reach(values: Array) -> float:
    """Root mean square (of the labels above 0) of one half."""
    half = values[values >= 0.0]
    return float(np.sqrt(np.square(half).mean()))


def _line(x: Array, knots: Array, values: Array) -> Array:
    """Linear between knots; slope 1 before them, beyond them that from the first to the last."""
    inner = np.interp(x, knots, values)
    slope = (values[-1] - values[0]) / (knots[-1] - knots[0])
    beyond = np.maximum(x - knots[-1], 0.0) * slope
    return np.asarray(inner + np.minimum(x - knots[0], 0.0) + beyond)
