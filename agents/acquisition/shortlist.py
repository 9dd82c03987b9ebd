"""The few of a large space that are looked at closely, from beliefs about each one alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.acquisition.functions import Belief, acquire
from agents.contract.objective import Objective

Array = NDArray[np.float64]
_SPREAD, _RANDOM = 0.25, 0.25  # shares of a shortlist; the rest is for promise


@dataclass(frozen=True)
class Marginals:
    """What is believed of each of n materials, without how they hang together.

    Args:
        mean: (n,), modelled scale.
        epistemic: (n,), standard deviation that labels reduce.
        aleatoric: (n,), standard deviation that they do not.
        p_stable: (n,), probability of dynamical stability.
    """

    mean: Array
    epistemic: Array
    aleatoric: Array
    p_stable: Array


def shortlist(
    beliefs: Marginals,
    objective: Objective,
    *,
    count: int,
    best: float | None,
    free: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Indices, ascending, of at most `count` free materials.

    Half have the largest log expected improvement with stability, a quarter the largest spread,
    and a quarter is drawn at random, so that medians of the list still tell something of the space.

    Args:
        beliefs: about all materials.
        objective: what is sought.
        count: how many are wanted.
        best: best score so far; None takes the median of what is believed.
        free: (n,), those that may be chosen.
        rng: draws the random part.
    """
    if best is None:
        best = float(np.median(objective.score(beliefs.mean)))
    belief = Belief(
        beliefs.mean,
        beliefs.epistemic[:, None],
        beliefs.epistemic,
        beliefs.aleatoric,
        beliefs.p_stable,
    )
    promise = acquire(belief, objective, kind="log-ei", best=best)
    uncertain, drawn = int(_SPREAD * count), int(_RANDOM * count)
    chosen = np.zeros(len(free), dtype=bool)
    orders = (
        (count - uncertain - drawn, np.argsort(-promise, kind="stable")),
        (uncertain, np.argsort(-beliefs.epistemic, kind="stable")),
        (drawn, rng.permutation(len(free))),
    )
    for wanted, order in orders:
        left = order[free[order] & ~chosen[order]]
        chosen[left[:wanted]] = True
    return np.flatnonzero(chosen)
