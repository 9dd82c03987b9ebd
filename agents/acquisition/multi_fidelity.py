"""Which material to evaluate at which fidelity, by value per second of recorded cost.

An evaluation at the objective's fidelity (a label) is worth its expected improvement. An evaluation
at a lower fidelity (a low-fidelity query) improves nothing by itself; its value is that it helps to
choose the next label: the knowledge gradient (Frazier, Powell & Dayanik, INFORMS J. Comput. 21, 599
(2009)) of the largest expected improvement. A fidelity without correlation has no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from agents.acquisition.functions import Belief, acquire, log_expected_improvement
from agents.contract.objective import Objective
from surrogate.contract.protocol import Posterior

Array = NDArray[np.float64]
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_FRONT = 2000  # only so many materials, with the largest expected improvements, are considered
_BETTER = 0.2
"""Fraction of a space whose members are worth a label of their own."""
_CHANCE = 0.05
"""Probability of belonging to that fraction below which a material is ruled out."""


@dataclass(frozen=True)
class LowFidelityQuery:
    """An evaluation at a lower fidelity that is worth its cost.

    Args:
        at: index of the material.
        fidelity: name of the lower fidelity.
        value: gain in expected improvement (modelled scale) per second.
    """

    at: int
    fidelity: str
    value: float


@dataclass(frozen=True)
class FidelityCost:
    """Cost and usefulness of a lower fidelity.

    Args:
        correlation: with the objective's fidelity, 0 to 1.
        cost_s: recorded mean cost of an evaluation, s.
        open: (n,), mask of the materials that may still be evaluated at it.
    """

    correlation: float
    cost_s: float
    open: NDArray[np.bool_]


def knowledge_gradient(
    belief: Belief,
    objective: Objective,
    *,
    best: float,
    correlation: float,
    free: NDArray[np.bool_],
) -> Array:
    """Expected increase (n,) of the largest expected improvement by a query of each material.

    A query with correlation r shifts the mean by a normal deviate of ``r`` standard deviations and
    leaves ``sqrt(1 - r²)`` of the standard deviation. The alternative to the queried material is
    the best of the others.

    Args:
        belief: about n materials.
        objective: of the campaign.
        best: best score so far.
        correlation: of the lower fidelity with the objective's fidelity, 0 to 1.
        free: (n,), mask of the materials that may still be labelled.
    """
    now = np.where(free, np.exp(acquire(belief, objective, kind="log-ei", best=best)), 0.0)
    if correlation <= 0.0 or not now.any():
        return np.zeros(len(now))
    order = np.argsort(-now, kind="stable")
    others = np.full(len(now), now[order[0]])
    others[order[0]] = now[order[1]] if len(now) > 1 else 0.0
    spread = np.maximum(belief.spread, 1e-9)
    remaining = spread * np.sqrt(max(1.0 - correlation**2, 1e-6))
    value = np.zeros(len(now))
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        mean = belief.mean + correlation * spread * node
        gain = np.exp(log_expected_improvement(mean, remaining, objective, best))
        value += weight * np.maximum(gain * belief.p_stable, others)
    return np.where(free, np.maximum(value - now.max(), 0.0), 0.0)


def worthwhile_queries(
    belief: Belief,
    objective: Objective,
    *,
    best: float,
    free: NDArray[np.bool_],
    lower: Mapping[str, FidelityCost],
    label_s: float,
) -> list[LowFidelityQuery]:
    """Low-fidelity queries that are worth more per second than the best label, best first.

    Each material is queried at the fidelity with the largest value per second. In large spaces only
    the materials with the largest expected improvements are considered.

    Args:
        belief: about n materials at the objective's fidelity.
        objective: of the campaign.
        best: best score so far.
        free: (n,), mask of the materials that may still be labelled.
        lower: lower fidelities by name.
        label_s: recorded mean cost of a label, s.
    """
    gains = np.where(free, acquire(belief, objective, kind="log-ei", best=best), -np.inf)
    front = np.argsort(-gains, kind="stable")[:_FRONT]
    label_value = float(np.exp(gains[front[:1]]).sum()) / max(label_s, 1e-12)
    front_belief = Belief(
        belief.mean[front],
        belief.root[front],
        belief.first_spread[front],
        belief.aleatoric[front],
        belief.p_stable[front],
    )
    best_queries: dict[int, LowFidelityQuery] = {}
    for name, price in lower.items():
        value = knowledge_gradient(
            front_belief, objective, best=best, correlation=price.correlation, free=free[front]
        )
        worth = value / max(price.cost_s, 1e-12)
        for k in np.flatnonzero(price.open[front] & (worth > label_value)):
            at = int(front[k])
            if at not in best_queries or worth[k] > best_queries[at].value:
                best_queries[at] = LowFidelityQuery(at, name, float(worth[k]))
    return sorted(best_queries.values(), key=lambda query: (-query.value, query.at))


def ruled_out(
    posterior: Posterior, objective: Objective, observed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Mask (n,) of the materials that are very unlikely to be worth a label.

    Their probability of scoring as well as the best fifth of all materials is below 5 %, given the
    total standard deviation. Materials without a value at a lower fidelity, or unstable there, are
    never ruled out: a prediction alone is not enough.

    Args:
        posterior: of the whole space.
        objective: of the campaign.
        observed: (n,), mask of the materials with a value at a trusted lower fidelity.
    """
    mean, spread = posterior.mean[:, 0], np.maximum(posterior.std[:, 0], 1e-9)
    scores = objective.score(mean)
    threshold = float(np.quantile(scores, 1.0 - _BETTER))
    chance = ndtr((scores - threshold) / spread)
    if objective.goal == "target":  # values within an interval about the target
        assert objective.target is not None
        deviation = mean - objective.modelled(objective.target)
        chance = ndtr((-threshold - deviation) / spread) - ndtr((threshold - deviation) / spread)
    return np.asarray(observed & (chance < _CHANCE))
