"""The shortlist of a large space, for which exact features and a joint posterior are computed."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.acquisition.functions import Belief, acquire
from agents.contract.objective import Objective
from agents.contract.protocol import candidate_id
from oracle.contract.evaluation import Outcome
from oracle.materials.material import Material

Array = NDArray[np.float64]
_SPREAD, _RANDOM = 0.25, 0.25  # fractions of a shortlist; the rest has the largest EI


@dataclass(frozen=True)
class Marginals:
    """Marginal predictions of n materials, without their covariance.

    Args:
        mean: (n,), on the modelled scale.
        epistemic: (n,), standard deviation that more labels would reduce.
        aleatoric: (n,), standard deviation that they would not reduce.
        p_stable: (n,), probability of dynamical stability.
    """

    mean: Array
    epistemic: Array
    aleatoric: Array
    p_stable: Array


def shortlisted(
    materials: Sequence[Material],
    beliefs: Marginals,
    objective: Objective,
    evaluations: Sequence[Outcome],
    *,
    fidelity: str,
    count: int,
    rng: np.random.Generator,
    rejected: Container[str] = (),
) -> list[Material]:
    """At most `count` of the materials that have no label, in their order; see `shortlist`.

    Args:
        materials: all members of a space.
        beliefs: about each.
        objective: of the campaign.
        evaluations: outcomes at all fidelities.
        fidelity: of labels.
        count: number of materials to choose.
        rng: draws the random part.
        rejected: ids of candidates that the constraints excluded, which are left out as well.
    """
    labels = [evaluation for evaluation in evaluations if evaluation.fidelity == fidelity]
    labelled = {evaluation.material.digest for evaluation in labels}
    listed = shortlist(
        beliefs,
        objective,
        count=count,
        best=max((s for s in map(objective.score_of, labels) if s is not None), default=None),
        free=np.array(
            [m.digest not in labelled and candidate_id(m) not in rejected for m in materials]
        ),
        rng=rng,
    )
    return [materials[i] for i in listed]


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

    Half have the largest log expected improvement including stability, a quarter have the largest
    epistemic uncertainty, and a quarter is random, so that medians over the shortlist remain
    informative about the whole space.

    Args:
        beliefs: about all materials.
        objective: of the campaign.
        count: number of materials to choose.
        best: best score so far; None takes the median of the predicted scores.
        free: (n,), mask of the materials that may be chosen.
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
    n_uncertain, n_random = int(_SPREAD * count), int(_RANDOM * count)
    chosen = np.zeros(len(free), dtype=bool)
    orders = (
        (count - n_uncertain - n_random, np.argsort(-promise, kind="stable")),
        (n_uncertain, np.argsort(-beliefs.epistemic, kind="stable")),
        (n_random, rng.permutation(len(free))),
    )
    for wanted, order in orders:
        available = order[free[order] & ~chosen[order]]
        chosen[available[:wanted]] = True
    return np.flatnonzero(chosen)
