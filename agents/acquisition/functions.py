"""Acquisition functions of materials, from a surrogate's posterior.

The functions are BoTorch's, evaluated for a posterior that was computed elsewhere. The probability
of stability enters as a factor, because an unstable material has no conductivity to gain from.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from agents.contract.objective import Objective
from surrogate.contract.protocol import Posterior

if TYPE_CHECKING:
    from botorch.models.model import Model

Array = NDArray[np.float64]
_FLOOR = 0.05  # fraction of the initial spread that conditioning leaves: the root has finite rank
_LEAST_STABLE = 1e-6  # smaller probabilities of stability are set to this
_TINY = 1e-300
_ROUNDING = 1e-12  # smaller ratios are rounding errors of a difference


@dataclass(frozen=True)
class Belief:
    """A Gaussian posterior of one output of n materials, conditioned on pending measurements.

    Args:
        mean: (n,), on the modelled scale.
        root: (n, r), matrix square root of the epistemic covariance.
        first_spread: (n,), epistemic standard deviation before any conditioning.
        aleatoric: (n,), standard deviation of the noise of a measurement.
        p_stable: (n,), probability of dynamical stability.
    """

    mean: Array
    root: Array
    first_spread: Array
    aleatoric: Array
    p_stable: Array

    @classmethod
    def of(cls, posterior: Posterior, output: int = 0) -> Belief:
        """The belief about one output, by its index in the posterior."""
        return cls(
            posterior.mean[:, output],
            posterior.root[output],
            posterior.epistemic[:, output],
            posterior.aleatoric[:, output],
            posterior.p_stable,
        )

    @property
    def spread(self) -> Array:
        """Epistemic standard deviation (n,) after conditioning."""
        remaining = np.sqrt(np.square(self.root).sum(axis=1))
        return np.asarray(np.maximum(remaining, _FLOOR * self.first_spread))

    def conditioned(self, at: int) -> Belief:
        """The belief after material `at` is measured with its expected value.

        The mean is unchanged. With v the row of `at` in the root R, the covariance R Rᵀ becomes
        R (I - v vᵀ / (σ² + vᵀv)) Rᵀ, whose root differs from R by a multiple of R v vᵀ.
        """
        row = self.root[at]
        length = float(row @ row)
        if length == 0.0:
            return self
        noise = float(self.aleatoric[at]) ** 2
        factor = 1.0 - np.sqrt(noise / (noise + length))
        root = self.root - factor / length * np.outer(self.root @ row, row)
        return Belief(self.mean, root, self.first_spread, self.aleatoric, self.p_stable)


def log_expected_improvement(
    mean: Array, spread: Array, objective: Objective, best: float
) -> Array:
    """Logarithm (n,) of the expected improvement over the best score so far.

    BoTorch's numerically stable form (Ament et al., NeurIPS 2023). For a target t and the smallest
    distance b from it so far, the improvement is a triangle, (u + b)₊ - 2u₊ + (u - b)₊ with
    u = y - t, whose expectation is a sum of ordinary expected improvements.

    Args:
        mean: (n,), on the modelled scale.
        spread: (n,), standard deviations.
        objective: gives the direction.
        best: best score so far.
    """
    if objective.goal != "target":
        return _evaluate("log-ei", objective.score(mean), spread, best=best)
    assert objective.target is not None
    distance = -best
    if distance <= 0.0:
        return np.full_like(mean, np.log(_TINY))
    # The improvement is even in u; for u < 0 the terms do not cancel, however large |u| is.
    below = -np.abs(mean - objective.modelled(objective.target))
    at_minus_b, at_zero, at_plus_b = (
        _evaluate("log-ei", below, spread, best=c) for c in (-distance, 0.0, distance)
    )
    ratio = 1.0 - 2.0 * np.exp(at_zero - at_minus_b) + np.exp(at_plus_b - at_minus_b)
    return np.asarray(at_minus_b + np.log(np.maximum(ratio, _ROUNDING)))


def upper_confidence_bound(mean: Array, spread: Array, objective: Objective, beta: float) -> Array:
    """The best score (n,) within `beta` standard deviations of the mean."""
    if objective.goal == "target":
        assert objective.target is not None
        distance = np.abs(mean - objective.modelled(objective.target))
        return -np.maximum(distance - beta * spread, 0.0)
    return _evaluate("ucb", objective.score(mean), spread, beta=beta**2)


def acquire(
    belief: Belief,
    objective: Objective,
    *,
    kind: Literal["log-ei", "ucb"],
    best: float,
    beta: float = 1.5,
) -> Array:
    """Acquisition values (n,), stability included; higher is better.

    Args:
        belief: about the materials.
        objective: of the campaign.
        kind: ``log-ei``: log expected improvement plus log p_stable, which is the logarithm of the
            expected improvement if unstable materials bring none; ``ucb``: upper confidence bound
            plus log p_stable times the median spread.
        best: best score so far.
        beta: standard deviations of the confidence bound.
    """
    log_stable = np.log(np.maximum(belief.p_stable, _LEAST_STABLE))
    spread = np.maximum(belief.spread, 1e-9)
    if kind == "log-ei":
        gain = log_expected_improvement(belief.mean, spread, objective, best)
        return np.asarray(gain + log_stable)
    bound = upper_confidence_bound(belief.mean, spread, objective, beta)
    return np.asarray(bound + np.median(spread) * log_stable)


def thompson(
    posterior: Posterior, objective: Objective, k: int, rng: np.random.Generator
) -> list[int]:
    """Thompson sampling: indices of the best material in each of k joint posterior samples.

    Each sample also decides which materials are stable; unstable ones come last in it. Indices are
    distinct: a sample whose best material is already chosen gives the next best one.
    """
    chosen: dict[int, None] = {}
    for _ in range(min(k, len(posterior.mean))):
        scores = objective.score(posterior.sample(1, rng)[0, :, 0])
        stable = rng.random(len(scores)) < posterior.p_stable
        scores = np.where(stable, scores, scores - 1e6)
        scores[list(chosen)] = -np.inf
        chosen[int(np.argmax(scores))] = None
    return list(chosen)


def _evaluate(
    kind: Literal["log-ei", "ucb"],
    mean: Array,
    spread: Array,
    *,
    best: float = 0.0,
    beta: float = 1.0,
) -> Array:
    """A BoTorch acquisition function, to be maximised, for n independent Gaussians."""
    import torch
    from botorch.acquisition.analytic import LogExpectedImprovement, UpperConfidenceBound

    model = _fixed_model(torch.as_tensor(mean), torch.as_tensor(spread))
    function: Any
    if kind == "log-ei":
        function = LogExpectedImprovement(model, best_f=torch.tensor(best, dtype=torch.double))
    else:
        function = UpperConfidenceBound(model, beta=torch.tensor(beta, dtype=torch.double))
    index = torch.arange(len(mean), dtype=torch.double).reshape(-1, 1, 1)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(function(index).numpy())


def _fixed_model(mean: Any, spread: Any) -> Model:
    """A BoTorch model with a given posterior, whose inputs are row numbers."""
    import torch
    from botorch.models.model import Model
    from botorch.posteriors.gpytorch import GPyTorchPosterior
    from gpytorch.distributions import MultivariateNormal
    from linear_operator.operators import DiagLinearOperator

    class FixedPosterior(Model):  # type: ignore[misc]  # BoTorch has no types
        num_outputs = 1

        def posterior(self, X: Any, *args: Any, **kwargs: Any) -> GPyTorchPosterior:
            rows = X[..., 0].long()
            variance = DiagLinearOperator(torch.square(spread)[rows])
            return GPyTorchPosterior(MultivariateNormal(mean[rows], variance))

    return FixedPosterior()
