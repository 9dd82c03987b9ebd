"""Several objectives at once: which outcomes are as good as any others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.contract.objective import Objective
from oracle.contract.evaluation import Outcome

Array = NDArray[np.float64]


def score_vectors(objective: Objective, outcomes: Sequence[Outcome]) -> list[Array | None]:
    """Scores (m,) of each outcome in all objectives; None where one of them has no value."""
    vectors: list[Array | None] = []
    for outcome in outcomes:
        scores = [one.score_of(outcome) for one in objective.all]
        known = [score for score in scores if score is not None]
        vectors.append(np.array(known) if len(known) == len(scores) else None)
    return vectors


def front_numbers(scores: Array) -> NDArray[np.int64]:
    """Number (n,) of the front of each of n vectors of scores (n, m), from 1.

    On the first front are those that no other dominates, which is to say that none is at least as
    good in all scores and better in one; on the second, those that only these dominate; and so on
    (non-dominated sorting; Deb et al., IEEE Trans. Evol. Comput. 6, 182 (2002)).
    """
    n, m = scores.shape
    no_worse, better = np.ones((n, n), dtype=bool), np.zeros((n, n), dtype=bool)
    for k in range(m):
        no_worse &= scores[:, k, None] >= scores[None, :, k]
        better |= scores[:, k, None] > scores[None, :, k]
    dominates = no_worse & better
    above = dominates.sum(axis=0)  # how many that have no number yet dominate each
    numbers = np.zeros(n, dtype=np.int64)
    number = 0
    while (numbers == 0).any():
        number += 1
        front = (numbers == 0) & (above == 0)
        numbers[front] = number
        above -= dominates[front].sum(axis=0)
    return numbers


def crowding_distances(scores: Array) -> Array:
    """How far each of n vectors of scores (n, m) on one front is from its neighbours (n,).

    The sum over objectives of the distance between the neighbours on either side, in units of the
    range; infinite at the ends of the front (Deb et al., as above).
    """
    n, m = scores.shape
    distances = np.zeros(n)
    for k in range(m):
        order = np.argsort(scores[:, k], kind="stable")
        values = scores[order, k]
        distances[order[[0, -1]]] = np.inf
        if values[-1] > values[0]:
            distances[order[1:-1]] += (values[2:] - values[:-2]) / (values[-1] - values[0])
    return distances


def overall_scores(objective: Objective, outcomes: Sequence[Outcome]) -> list[float | None]:
    """One score of each outcome, higher is better; None where nothing was measured.

    With a single objective its score; with several, minus the number of the front, among all
    outcomes, and less than one more by the rank of the crowding distance within the front, so that
    its ends and sparse parts come first.
    """
    if not objective.further:
        return [objective.score_of(outcome) for outcome in outcomes]
    vectors = score_vectors(objective, outcomes)
    known = [i for i, vector in enumerate(vectors) if vector is not None]
    overall: list[float | None] = [None] * len(outcomes)
    if known:
        table = np.array([vectors[i] for i in known])
        fronts = front_numbers(table)
        for number in range(1, int(fronts.max()) + 1):
            members = np.flatnonzero(fronts == number)
            order = np.argsort(crowding_distances(table[members]), kind="stable")
            for rank, member in enumerate(members[order].tolist()):
                overall[known[member]] = rank / (2 * len(members)) - number
    return overall
