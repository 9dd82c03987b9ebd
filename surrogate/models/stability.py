"""The probability that a material is dynamically stable, by Bayesian logistic regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PRIOR_STABLE = 0.75
"""Share of stable materials expected before any is known: proposals are sensible compounds."""
_NEWTON_STEPS = 12
_TYPICAL_LENGTH = 1.4  # of the features, the constant among them
_LOGIT_SPREAD = 2.0  # prior standard deviation of a logit, per unit of the features' length


@dataclass(frozen=True)
class StabilityModel:
    """A Gaussian (Laplace) approximation of the weights of a logistic regression.

    Args:
        weights: (r,), most probable ones.
        root: (r, r), of their covariance: ``root @ root.T``.
    """

    weights: Array
    root: Array

    @classmethod
    def fit(cls, features: Array, stable: Array, confidence: Array) -> StabilityModel:
        """Learn from n outcomes; with none it is the prior.

        Newton's method on the logarithm of the posterior, which is concave. Steps are fixed in
        number, so the result is a pure function of the arguments.

        Args:
            features: (n, r), without a constant.
            stable: (n,), 1 or 0.
            confidence: (n,), how much of an outcome each one is.
        """
        x = _LOGIT_SPREAD * features
        weights = np.zeros(x.shape[1])
        for _ in range(_NEWTON_STEPS):
            p = _sigmoid(x @ weights + _BASE)
            gradient = x.T @ (confidence * (stable - p)) - weights
            step = np.linalg.solve(_curvature(x, confidence, p), gradient)
            weights = weights + step * min(1.0, 4.0 / max(float(np.linalg.norm(step)), 1e-12))
        p = _sigmoid(x @ weights + _BASE)
        lower = np.linalg.cholesky(_curvature(x, confidence, p))
        return cls(weights, np.linalg.solve(lower, np.eye(len(weights))).T)

    def logits(self, features: Array) -> tuple[Array, Array]:
        """Mean and variance (n,) of the logit of being stable."""
        x = (_LOGIT_SPREAD * features).astype(features.dtype)
        mean = x @ self.weights.astype(x.dtype) + _BASE
        variance = np.square(x @ self.root.astype(x.dtype)).sum(axis=1)
        return np.asarray(mean, dtype=float), np.asarray(variance, dtype=float)

    def probability(self, features: Array) -> Array:
        """Probability (n,), averaged over the weights (MacKay, Neural Comput. 4, 720 (1992))."""
        mean, variance = self.logits(features)
        return _sigmoid(mean / np.sqrt(1.0 + np.pi * variance / 8.0))


# So that the average over the prior of the weights, for features of typical length, is the share.
_BASE = float(
    np.log(PRIOR_STABLE / (1.0 - PRIOR_STABLE))
    * np.sqrt(1.0 + np.pi * (_LOGIT_SPREAD * _TYPICAL_LENGTH) ** 2 / 8.0)
)


def _curvature(x: Array, confidence: Array, p: Array) -> Array:
    return np.asarray((x * (confidence * p * (1.0 - p))[:, None]).T @ x + np.eye(x.shape[1]))


def _sigmoid(logit: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logit)))
