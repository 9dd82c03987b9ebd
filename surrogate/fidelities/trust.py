"""How far a cheaper fidelity is to be trusted, from the materials that were measured at both.

The autoregressive model of Kennedy & O'Hagan, Biometrika 87, 1 (2000): the truth is a multiple of
what the cheaper fidelity says, plus a Gaussian process of its own. The multiple is not estimated
but averaged over: each of a few multiples, 0 among them, has the evidence that the labels give it,
and the prior keeps a handful of labels from deciding.
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
"""Three in ten that it says nothing; else rather what it says than a fraction of it."""
_SIZES = np.geomspace(0.1, 1.6, 9)
"""Of what is left to explain, in units of the labels' own spread."""
_WHITE = 0.3
"""Share of that which no descriptor explains."""

_MISLEADING = 0.5  # correlation below which a fidelity orders materials little better than chance


@dataclass(frozen=True)
class Trust:
    """What is believed of one cheaper fidelity.

    Args:
        slope: expected multiple of its value; 0 ignores it.
        slope_spread: standard deviation of the multiple.
        weight: probability that it says anything at all, 0 to 1.
        correlation: expected correlation of its value with the truth, 0 to 1.
        misleads: probability that this correlation is below a half.
        left: expected size of what it leaves to explain, in the labels' unit.
    """

    slope: float
    slope_spread: float
    weight: float
    correlation: float
    misleads: float
    left: float

    @classmethod
    def given(cls, correlations: Array, shares: Array, weight: float) -> Trust:
        """Of a fidelity on the scale of the labels.

        Args:
            correlations: (k,), that it may have if it says anything.
            shares: (k,), their probabilities.
            weight: probability that it says anything.
        """
        mean = weight * float(shares @ correlations)
        square = weight * float(shares @ np.square(correlations))
        return cls(
            slope=mean,
            slope_spread=float(np.sqrt(max(square - mean**2, 0.0))),
            weight=weight,
            correlation=mean,
            misleads=1.0 - weight * float(shares[correlations >= _MISLEADING].sum()),
            left=float(np.sqrt(1.0 - square)),
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
    cheap: Array,
    covariance: Array,
    *,
    spread: float,
    cheap_spread: float,
) -> Trust:
    """What n materials that were measured at both fidelities say.

    With multiple b and size t, ``labels - b cheap`` is Gaussian with the covariance
    ``spread² + t² (0.7 covariance + 0.3) + noise²`` (the first for every pair, the 0.3 on the
    diagonal). All pairs of b and t are weighed by their evidence and prior.

    Args:
        labels: (n,), less their prior mean; n may be 0, which gives the prior.
        noise: (n,), standard error of the labels and of a `cheap` that had to be guessed.
        cheap: (n,), less its own mean over all materials.
        covariance: (n, n), of functions of the descriptors, with about 1 on the diagonal.
        spread: size of labels, positive; the unit of the sizes.
        cheap_spread: size of `cheap`, positive.
    """
    sizes = spread * _SIZES
    evidence = np.empty((len(_SLOPES), len(sizes)))
    left = labels[None, :] - _SLOPES[:, None] * cheap[None, :]
    shape = (1.0 - _WHITE) * covariance + _WHITE * np.eye(len(labels))
    for k, size in enumerate(sizes):
        matrix = spread**2 + size**2 * shape + np.diag(np.square(noise) + (1e-3 * spread) ** 2)
        lower = np.linalg.cholesky(matrix)
        whitened = np.linalg.solve(lower, left.T)
        evidence[:, k] = -0.5 * np.square(whitened).sum(axis=0) - np.log(np.diag(lower)).sum()
    share = np.exp(evidence - evidence.max()) * _SLOPE_PRIOR[:, None]
    share /= share.sum()
    by_slope = share.sum(axis=1)
    slope = float(by_slope @ _SLOPES)
    said = _SLOPES[:, None] * cheap_spread
    correlation = said / np.hypot(said, sizes[None, :])
    return Trust(
        slope=slope,
        slope_spread=float(np.sqrt(by_slope @ np.square(_SLOPES - slope))),
        weight=float(1.0 - by_slope[0]),
        correlation=float((share * correlation).sum()),
        misleads=float(share[correlation < _MISLEADING].sum()),
        left=float(share.sum(axis=0) @ sizes),
    )


def _untested() -> Trust:
    """What is believed of a fidelity before any label, for spreads of equal size."""
    nothing = np.zeros(0)
    return trust(nothing, nothing, nothing, np.zeros((0, 0)), spread=1.0, cheap_spread=1.0)


PRIOR = _untested()
"""What is believed of any cheaper fidelity before a label says more."""
