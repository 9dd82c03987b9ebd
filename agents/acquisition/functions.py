"""What measuring each material promises, from a surrogate's posterior.

The acquisition functions are BoTorch's, evaluated over a posterior that was computed elsewhere.
Stability enters as a factor: a material without a conductivity cannot improve on anything.
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
_FLOOR = 0.05  # of the first spread that conditioning leaves: a surrogate's rank is finite
_LEAST_STABLE = 1e-6  # probabilities below it are not told apart
_TINY = 1e-300
_LOST = 1e-12  # shares of a sum below it are rounding


@dataclass(frozen=True)
class Belief:
    """A Gaussian belief about one output of n materials, conditioned on measurements to come.

    Args:
        mean: (n,), modelled scale.
        root: (n, r), a root of the epistemic covariance.
        first_spread: (n,), epistemic standard deviation before any conditioning.
        aleatoric: (n,), standard deviation of the noise of a measurement.
        p_stable: (n,).
    """

    mean: Array
    root: Array
    first_spread: Array
    aleatoric: Array
    p_stable: Array

    @classmethod
    def of(cls, posterior: Posterior, output: int = 0) -> Belief:
        """The belief about one output of a posterior."""
        return cls(
            posterior.mean[:, output],
            posterior.root[output],
            posterior.epistemic[:, output],
            posterior.aleatoric[:, output],
            posterior.p_stable,
        )

    @property
    def spread(self) -> Array:
        """Epistemic standard deviation (n,)."""
        left = np.sqrt(np.square(self.root).sum(axis=1))
        return np.asarray(np.maximum(left, _FLOOR * self.first_spread))

    def conditioned(self, at: int) -> Belief:
        """The belief once material `at` is measured and gives what is expected of it.

        The mean stays; with v the row of `at`, the covariance R Rᵀ becomes
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
    """Logarithm (n,) of the expected gain over the best score so far.

    BoTorch's numerically stable form (Ament et al., NeurIPS 2023). For a target t with the best
    distance b so far the gain is a triangle, (u + b)₊ - 2u₊ + (u - b)₊ with u = y - t, whose
    expectation is a sum of ordinary expected improvements.

    Args:
        mean: (n,), modelled scale.
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
    # The gain is even in u; below the target no term cancels another, however far away.
    below = -np.abs(mean - objective.modelled(objective.target))
    near, middle, far = (
        _evaluate("log-ei", below, spread, best=c) for c in (-distance, 0.0, distance)
    )
    share = 1.0 - 2.0 * np.exp(middle - near) + np.exp(far - near)
    return np.asarray(near + np.log(np.maximum(share, _LOST)))


def upper_confidence_bound(mean: Array, spread: Array, objective: Objective, beta: float) -> Array:
    """Best score (n,) within `beta` standard deviations."""
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
        objective: what is sought.
        kind: log expected improvement plus log p_stable (the log of the expected gain when an
            unstable material gains nothing), or the upper confidence bound plus log p_stable in
            units of the typical spread.
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
    """Indices of the best material in each of k joint draws of the truth, each index once.

    A draw also decides which materials are stable; the unstable ones cannot be best in it. A draw
    whose best is taken gives its next best.
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
    """A BoTorch acquisition (to be maximised) at n independent Gaussians."""
    import torch
    from botorch.acquisition.analytic import LogExpectedImprovement, UpperConfidenceBound

    model = _given_model(torch.as_tensor(mean), torch.as_tensor(spread))
    function: Any
    if kind == "log-ei":
        function = LogExpectedImprovement(model, best_f=torch.tensor(best, dtype=torch.double))
    else:
        function = UpperConfidenceBound(model, beta=torch.tensor(beta, dtype=torch.double))
    index = torch.arange(len(mean), dtype=torch.double).reshape(-1, 1, 1)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(function(index).numpy())


def _given_model(mean: Any, spread: Any) -> Model:
    """A BoTorch model whose inputs are row numbers and whose posterior is given."""
    import torch
    from botorch.models.model import Model
    from botorch.posteriors.gpytorch import GPyTorchPosterior
    from gpytorch.distributions import MultivariateNormal
    from linear_operator.operators import DiagLinearOperator

    class Given(Model):  # type: ignore[misc]  # BoTorch has no types
        num_outputs = 1

        def posterior(self, X: Any, *args: Any, **kwargs: Any) -> GPyTorchPosterior:
            rows = X[..., 0].long()
            variance = DiagLinearOperator(torch.square(spread)[rows])
            return GPyTorchPosterior(MultivariateNormal(mean[rows], variance))

    return Given()
