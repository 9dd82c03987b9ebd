"""The probability that a material is dynamically stable, by Bayesian logistic regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PRIOR_STABLE = 0.75
"""Prior probability of stability; above a half because proposals are sensible compounds."""
_NEWTON_STEPS = 12
_TYPICAL_LENGTH = 1.4  # of a feature vector, including the constant
_LOGIT_SPREAD = 2.0  # prior standard deviation of a logit, per unit length of the features


@dataclass(frozen=True)
class StabilityModel:
    """A Gaussian (Laplace) approximation to the posterior weights of a logistic regression.

    Args:
        weights: (r,), most probable weights.
        root: (r, r), matrix square root of their covariance, ``root @ root.T``.
    """

    weights: Array
    root: Array

    @classmethod
    def fit(cls, features: Array, stable: Array, confidence: Array) -> StabilityModel:
        """Learn from n outcomes; with n = 0 the result is the prior.

        Newton's method on the log posterior, which is concave, with a fixed number of steps.

        Args:
            features: (n, r), without a constant.
            stable: (n,), 1 or 0.
            confidence: (n,), statistical weight of each outcome, 0 to 1.
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


# Chosen such that the mean over the prior of the weights is PRIOR_STABLE for typical features.
_BASE = float(
    np.log(PRIOR_STABLE / (1.0 - PRIOR_STABLE))
    * np.sqrt(1.0 + np.pi * (_LOGIT_SPREAD * _TYPICAL_LENGTH) ** 2 / 8.0)
)


def _curvature(x: Array, confidence: Array, p: Array) -> Array:
    return np.asarray((x * (confidence * p * (1.0 - p))[:, None]).T @ x + np.eye(x.shape[1]))


def _sigmoid(logit: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logit)))
