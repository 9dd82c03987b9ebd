"""Expected improvement of the volume that a Pareto front dominates, for several objectives."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agents.acquisition.functions import Belief
from agents.contract.objective import Objective
from surrogate.contract.protocol import Posterior

if TYPE_CHECKING:
    from botorch.models.model import Model

Array = NDArray[np.float64]
_LEAST = 1e-6  # smaller probabilities of stability and spreads are set to this
_TINY = 1e-30  # added to improvements of zero, whose logarithm is wanted
_CHUNK = 4096  # candidates evaluated together
_SLOPE = 1e-3  # by which candidates without any expected improvement are put in order
_MARGIN = 0.1  # of the range of the scores, by which the reference point lies below the worst


def reference_point(scores: Array) -> Array:
    """The corner (m,) of the dominated volume: below the worst of n vectors of scores (n, m).

    A tenth of the range of each score, as Ishibuchi et al., GECCO 2011, advise and BoTorch does,
    but of all outcomes, so that the ends of the front count as well.
    """
    low, high = scores.min(axis=0), scores.max(axis=0)
    span = np.where(high > low, high - low, np.maximum(np.abs(low), 1.0))
    return np.asarray(low - _MARGIN * span)


def log_expected_improvement(mean: Array, spread: Array, front: Array, reference: Array) -> Array:
    """Logarithm (n,) of the expected improvement of the dominated volume.

    Exact for independent Gaussians (Yang, Emmerich, Deutz and Bäck, J. Glob. Optim. 75, 3 (2019)),
    as BoTorch computes it.

    Args:
        mean: (n, m), scores that are expected.
        spread: (n, m), their standard deviations.
        front: (k, m), scores of outcomes; only those that no other dominates matter.
        reference: (m,), see `reference_point`.
    """
    import torch
    from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
    from botorch.utils.multi_objective.box_decompositions.non_dominated import (
        FastNondominatedPartitioning,
    )

    corner = torch.as_tensor(reference)
    boxes = FastNondominatedPartitioning(ref_point=corner, Y=torch.as_tensor(front))
    model = _independent(torch.as_tensor(mean), torch.as_tensor(np.maximum(spread, _LEAST)))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function: Any = ExpectedHypervolumeImprovement(model, corner.tolist(), boxes)
        index = torch.arange(len(mean), dtype=torch.double).reshape(-1, 1, 1)
        parts = [function(part) for part in torch.split(index, _CHUNK)]
        improvement = np.asarray(torch.cat(parts).numpy())
    return np.log(np.maximum(improvement, 0.0) + _TINY) - _SLOPE * _depth(mean, spread, front)


def _depth(mean: Array, spread: Array, front: Array) -> Array:
    """How many standard deviations (n,) below the front each candidate is expected; 0 above it."""
    shortfall = np.full(len(mean), -np.inf)
    for scores in front:
        below = ((scores - mean) / np.maximum(spread, _LEAST)).min(axis=1)
        shortfall = np.maximum(shortfall, below)
    return np.clip(shortfall, 0.0, 1e3)


def ranked_by_front(
    posterior: Posterior, objective: Objective, known: Array, count: int, pending: Sequence[int]
) -> Iterator[int]:
    """Materials in the order in which they are to be measured, for a front that is as large.

    Each that is chosen, and each pending one, counts as measured with its expected scores, so that
    the next lies elsewhere on the front.

    Args:
        posterior: of n materials, one output for each objective.
        objective: with `further` ones.
        known: (k, m), scores of outcomes, at least one.
        count: number of materials to choose at most.
        pending: positions of materials that are measured at present; not chosen.
    """
    beliefs = [Belief.of(posterior, output) for output in range(len(objective.all))]
    mean = _scores(beliefs, objective)
    reference = reference_point(known)
    log_stable = np.log(np.maximum(posterior.p_stable, _LEAST))
    free = np.ones(len(mean), dtype=bool)
    for at in pending:
        free[at], beliefs = False, _measured(beliefs, at)
        if posterior.p_stable[at] > 0.5:
            known = _with(known, mean[at])
    for _ in range(min(count, int(free.sum()))):
        spread = np.stack([belief.spread for belief in beliefs], axis=1)
        value = log_expected_improvement(mean, spread, known, reference) + log_stable
        at = int(np.argmax(np.where(free, value, -np.inf)))
        yield at
        free[at], beliefs = False, _measured(beliefs, at)
        if posterior.p_stable[at] > 0.5:
            known = _with(known, mean[at])


def front_values(posterior: Posterior, objective: Objective, known: Array) -> Array:
    """Logarithm (n,) of the expected improvement of each material alone, stability included.

    Args:
        posterior: of n materials, one output for each objective.
        objective: with `further` ones.
        known: (k, m), scores of outcomes, at least one.
    """
    beliefs = [Belief.of(posterior, output) for output in range(len(objective.all))]
    mean, spread = _scores(beliefs, objective), np.stack([b.spread for b in beliefs], axis=1)
    log_stable = np.log(np.maximum(posterior.p_stable, _LEAST))
    return log_expected_improvement(mean, spread, known, reference_point(known)) + log_stable


def _scores(beliefs: Sequence[Belief], objective: Objective) -> Array:
    """Expected scores (n, m)."""
    pairs = zip(objective.all, beliefs, strict=True)
    return np.stack([one.score(belief.mean) for one, belief in pairs], axis=1)


def _measured(beliefs: list[Belief], at: int) -> list[Belief]:
    return [belief.conditioned(at) for belief in beliefs]


def _with(known: Array, scores: Array) -> Array:
    return np.vstack([known, scores])


def _independent(mean: Any, spread: Any) -> Model:
    """A BoTorch model with a given posterior of independent outputs; its inputs are row numbers."""
    from botorch.models.model import Model
    from botorch.posteriors.gpytorch import GPyTorchPosterior
    from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal
    from linear_operator.operators import DiagLinearOperator

    class FixedPosterior(Model):  # type: ignore[misc]  # BoTorch has no types
        num_outputs = mean.shape[1]

        def posterior(self, X: Any, *args: Any, **kwargs: Any) -> GPyTorchPosterior:
            rows = X[..., 0].long()
            outputs = [
                MultivariateNormal(m[rows], DiagLinearOperator(s[rows].square()))
                for m, s in zip(mean.unbind(1), spread.unbind(1), strict=True)
            ]
            return GPyTorchPosterior(MultitaskMultivariateNormal.from_independent_mvns(outputs))

    return FixedPosterior()
