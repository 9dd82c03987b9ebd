"""How far a lower fidelity can be trusted, learned from materials measured at both fidelities.

The autoregressive model of Kennedy & O'Hagan, Biometrika 87, 1 (2000): the high-fidelity value is a
multiple (slope) of the low-fidelity value, plus an independent Gaussian process. The slope is not
estimated but averaged over: each of a few slopes, including 0, is weighted by its evidence, and the
prior prevents a handful of labels from deciding alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_SLOPES = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.25])
_SLOPE_PRIOR = np.array([0.30, 0.10, 0.15, 0.20, 0.20, 0.05])
"""Prior probabilities of the slopes: 0.3 that the fidelity says nothing, else mostly near 1."""
_SIZES = np.geomspace(0.1, 1.6, 9)
"""Possible sizes of the unexplained residuals, in units of the labels' spread."""
_WHITE = 0.3
"""Fraction of the residuals' variance that no descriptor explains."""

_MISLEADING = 0.5  # a fidelity with a smaller correlation ranks materials hardly better than chance


@dataclass(frozen=True)
class Trust:
    """How informative one lower fidelity is.

    Args:
        slope: expected multiple of its value in the high-fidelity value; 0 ignores it.
        slope_spread: standard deviation of the slope.
        weight: probability that it is informative at all, 0 to 1.
        correlation: expected correlation of its value with the high-fidelity value, 0 to 1.
        misleads: probability that this correlation is below 0.5.
        residual_size: expected size of what it leaves unexplained, in the labels' unit.
    """

    slope: float
    slope_spread: float
    weight: float
    correlation: float
    misleads: float
    residual_size: float

    @classmethod
    def given(cls, correlations: Array, shares: Array, weight: float) -> Trust:
        """The trust in a fidelity that is standardised like the labels.

        Args:
            correlations: (k,), possible correlations if it is informative.
            shares: (k,), their probabilities.
            weight: probability that it is informative.
        """
        mean = weight * float(shares @ correlations)
        square = weight * float(shares @ np.square(correlations))
        return cls(
            slope=mean,
            slope_spread=float(np.sqrt(max(square - mean**2, 0.0))),
            weight=weight,
            correlation=mean,
            misleads=1.0 - weight * float(shares[correlations >= _MISLEADING].sum()),
            residual_size=float(np.sqrt(1.0 - square)),
        )


@runtime_checkable
class Trusting(Protocol):
    """A surrogate that learns how far cheaper fidelities are to be believed."""

    @property
    def trusts(self) -> Mapping[str, Trust]:
        """How far each cheaper fidelity is believed about the objective; empty before a fit."""
        ...


def trust(
    labels: Array,
    noise: Array,
    low: Array,
    covariance: Array,
    *,
    spread: float,
    low_spread: float,
) -> Trust:
    """The trust in a lower fidelity that follows from n materials measured at both fidelities.

    With slope b and residual size t, ``labels - b low`` is Gaussian with the covariance
    ``spread² + t² (0.7 covariance + 0.3) + noise²`` (``spread²`` for every pair, 0.3 and
    ``noise²`` on the diagonal). All pairs of b and t are weighted by evidence and prior.

    Args:
        labels: (n,), minus their prior mean; n may be 0, which gives the prior.
        noise: (n,), standard errors of the labels.
        low: (n,), low-fidelity values, centred over all materials of that fidelity.
        covariance: (n, n), of functions of the descriptors, with about 1 on the diagonal.
        spread: size of the labels, positive; the unit of the residual sizes.
        low_spread: size of the low-fidelity values, positive.
    """
    sizes = spread * _SIZES
    evidence = np.empty((len(_SLOPES), len(sizes)))
    residuals = labels[None, :] - _SLOPES[:, None] * low[None, :]
    shape = (1.0 - _WHITE) * covariance + _WHITE * np.eye(len(labels))
    for k, size in enumerate(sizes):
        matrix = spread**2 + size**2 * shape + np.diag(np.square(noise) + (1e-3 * spread) ** 2)
        lower = np.linalg.cholesky(matrix)
        whitened = np.linalg.solve(lower, residuals.T)
        evidence[:, k] = -0.5 * np.square(whitened).sum(axis=0) - np.log(np.diag(lower)).sum()
    share = np.exp(evidence - evidence.max()) * _SLOPE_PRIOR[:, None]
    share /= share.sum()
    by_slope = share.sum(axis=1)
    slope = float(by_slope @ _SLOPES)
    explained = _SLOPES[:, None] * low_spread
    correlation = explained / np.hypot(explained, sizes[None, :])
    return Trust(
        slope=slope,
        slope_spread=float(np.sqrt(by_slope @ np.square(_SLOPES - slope))),
        weight=float(1.0 - by_slope[0]),
        correlation=float((share * correlation).sum()),
        misleads=float(share[correlation < _MISLEADING].sum()),
        residual_size=float(share.sum(axis=0) @ sizes),
    )


def _untested() -> Trust:
    """The trust in a fidelity before any label, for equal spreads."""
    nothing = np.zeros(0)
    return trust(nothing, nothing, nothing, np.zeros((0, 0)), spread=1.0, low_spread=1.0)


PRIOR = _untested()
"""The trust in any lower fidelity before there are labels to compare it with."""
