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
    no_worse = np.all(scores[:, None] >= scores[None], axis=2)
    dominates = np.logical_and(no_worse, np.any(scores[:, None] > scores[None], axis=2))
    numbers = np.zeros(len(scores), dtype=np.int64)
    number = 0
    while (numbers == 0).any():
        number += 1
        free = numbers == 0
        numbers[free & ~np.any(dominates[free], axis=0)] = number
    return numbers


def overall_scores(objective: Objective, outcomes: Sequence[Outcome]) -> list[float | None]:
    """One score of each outcome, higher is better; None where nothing was measured.

    With a single objective its score; with several, minus the number of the front, among all
    outcomes, and less than one more by the rank in the first objective within the front.
    """
    if not objective.further:
        return [objective.score_of(outcome) for outcome in outcomes]
    vectors = score_vectors(objective, outcomes)
    known = [i for i, vector in enumerate(vectors) if vector is not None]
    overall: list[float | None] = [None] * len(outcomes)
    if known:
        table = np.array([vectors[i] for i in known])
        ranks = np.argsort(np.argsort(table[:, 0], kind="stable"), kind="stable")
        scores = ranks / (2 * len(known)) - front_numbers(table)
        for i, score in zip(known, scores.tolist(), strict=True):
            overall[i] = score
    return overall
