"""Which material to look at, and at which fidelity: by value per second of recorded cost.

A label at the objective's fidelity is worth its expected improvement. A look at a cheaper one
improves nothing by itself; it is worth what it does for the choice of the next label: the
knowledge gradient (Frazier, Powell & Dayanik, INFORMS J. Comput. 21, 599 (2009)) of the expected
improvement of the best choice. Nothing can be learned from a fidelity without correlation.
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
_FRONT = 2000  # materials considered, those with the best labels
_BETTER = 0.2
"""Share of a space whose members are worth a label for their own sake."""
_CHANCE = 0.05
"""Of belonging there: what has less, and a trusted look to say so, is ruled out."""


@dataclass(frozen=True)
class Look:
    """A cheaper evaluation that is worth its cost.

    Args:
        at: index of the material.
        fidelity: at which.
        value: per second, in expected improvement (modelled scale).
    """

    at: int
    fidelity: str
    value: float


@dataclass(frozen=True)
class Price:
    """A cheaper fidelity as a means to an end.

    Args:
        correlation: with the objective's fidelity, 0 to 1.
        cost_s: recorded mean cost of an evaluation, s.
        open: (n,), which materials were not evaluated at it yet.
    """

    correlation: float
    cost_s: float
    open: NDArray[np.bool_]


def value_of_looking(
    belief: Belief,
    objective: Objective,
    *,
    best: float,
    correlation: float,
    free: NDArray[np.bool_],
) -> Array:
    """How much (n,) the best expected improvement is expected to rise by one look, at each.

    A look of correlation r moves the mean by a normal deviate of ``r`` spreads and leaves
    ``sqrt(1 - r²)`` of the spread. The alternative is the best of the other materials.

    Args:
        belief: about n materials.
        objective: what is sought.
        best: best score so far.
        correlation: of the look with the truth, 0 to 1.
        free: (n,), which may still be labelled.
    """
    now = np.where(free, np.exp(acquire(belief, objective, kind="log-ei", best=best)), 0.0)
    if correlation <= 0.0 or not now.any():
        return np.zeros(len(now))
    order = np.argsort(-now, kind="stable")
    others = np.full(len(now), now[order[0]])
    others[order[0]] = now[order[1]] if len(now) > 1 else 0.0
    spread = np.maximum(belief.spread, 1e-9)
    left = spread * np.sqrt(max(1.0 - correlation**2, 1e-6))
    value = np.zeros(len(now))
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        mean = belief.mean + correlation * spread * node
        gain = np.exp(log_expected_improvement(mean, left, objective, best))
        value += weight * np.maximum(gain * belief.p_stable, others)
    return np.where(free, np.maximum(value - now.max(), 0.0), 0.0)


def looks(
    belief: Belief,
    objective: Objective,
    *,
    best: float,
    free: NDArray[np.bool_],
    cheaper: Mapping[str, Price],
    label_s: float,
) -> list[Look]:
    """Cheaper evaluations worth more per second than the best label, best first.

    Each material is looked at at the fidelity that is worth most per second. Of large spaces only
    the part with the best labels is considered.

    Args:
        belief: about n materials at the objective's fidelity.
        objective: what is sought.
        best: best score so far.
        free: (n,), which may still be labelled.
        cheaper: fidelities by name.
        label_s: recorded mean cost of a label, s.
    """
    gains = np.where(free, acquire(belief, objective, kind="log-ei", best=best), -np.inf)
    front = np.argsort(-gains, kind="stable")[:_FRONT]
    least = float(np.exp(gains[front[:1]]).sum()) / max(label_s, 1e-12)
    part = Belief(
        belief.mean[front],
        belief.root[front],
        belief.first_spread[front],
        belief.aleatoric[front],
        belief.p_stable[front],
    )
    found: dict[int, Look] = {}
    for name, price in cheaper.items():
        value = value_of_looking(
            part, objective, best=best, correlation=price.correlation, free=free[front]
        )
        worth = value / max(price.cost_s, 1e-12)
        for k in np.flatnonzero(price.open[front] & (worth > least)):
            at = int(front[k])
            if at not in found or worth[k] > found[at].value:
                found[at] = Look(at, name, float(worth[k]))
    return sorted(found.values(), key=lambda look: (-look.value, look.at))


def ruled_out(
    posterior: Posterior, objective: Objective, looked: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which (n,) of the materials looked at are very likely not worth a label of their own.

    Their chance to score as well as the better fifth of the materials is below 5 %, by the
    whole spread of the belief. What was never looked at, or is unstable at the cheaper fidelity,
    is not ruled out: a guess is no look.

    Args:
        posterior: of the whole space.
        objective: what is sought.
        looked: (n,), which have a value at a cheaper fidelity that is trusted.
    """
    mean, spread = posterior.mean[:, 0], np.maximum(posterior.std[:, 0], 1e-9)
    scores = objective.score(mean)
    threshold = float(np.quantile(scores, 1.0 - _BETTER))
    chance = ndtr((scores - threshold) / spread)
    if objective.goal == "target":  # both ends of the interval of values that are near enough
        assert objective.target is not None
        off = mean - objective.modelled(objective.target)
        chance = ndtr((-threshold - off) / spread) - ndtr((threshold - off) / spread)
    return np.asarray(looked & (chance < _CHANCE))
