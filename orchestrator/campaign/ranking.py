"""The order of candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from agents.contract.objective import Objective
from agents.contract.pareto import front_numbers, overall_scores, score_vectors
from orchestrator.campaign.records import Label
from orchestrator.campaign.state import CampaignState

_UNDETERMINED = 0.5
"""Relative standard error above which a value is not known; its 90 % interval spans a factor of
five."""


@dataclass(frozen=True)
class Ranked:
    """One row of the table of best candidates.

    `refusal` is the limit on a measured property that the candidate violates, or None; `stale` says
    whether the weights with which it was evaluated have been replaced since. `front` is the number
    of the Pareto front among all candidates within the limits, from 1; None with a single objective
    and for those without values of all.
    """

    rank: int
    label: Label
    value: float
    std: float | None
    score: float
    refusal: str | None
    stale: bool = False
    front: int | None = None


def ranking(state: CampaignState, objective: Objective) -> list[Ranked]:
    """All candidates with a measured value of the objective, best first.

    Those evaluated with the potential's current weights come before stale ones, then those within
    all limits before those that violate one, then confirmed ones before others, and of these
    confirmed ones those with which a second potential disagrees last; within these groups they are
    sorted by score, and equal scores by id. Values whose standard error exceeds half of them come
    after all others within the limits, confirmed or not: with such errors, any two values agree.
    With several objectives, candidates on earlier Pareto fronts come first within these groups.
    """
    rows: list[Ranked] = []
    for label in state.labels.values():
        value_and_error = objective.value(label.evaluation)
        if value_and_error is not None:
            value, std = value_and_error
            score = float(objective.score(np.array(objective.modelled(value))))
            refusal = objective.refusal(label.evaluation)
            stale = label.generation < state.generation
            rows.append(Ranked(0, label, value, std, score, refusal, stale))
    rows = _with_fronts(rows, objective)
    rows.sort(
        key=lambda r: (
            r.stale,
            r.refusal is not None,
            _undetermined(r, objective),
            not r.label.confirmed,
            r.label.is_disputed,
            *_by_score(r),
            r.label.candidate,
        )
    )
    return [replace(row, rank=i) for i, row in enumerate(rows, start=1)]


def _undetermined(row: Ranked, objective: Objective) -> bool:
    """Whether the numerical error of a positive property is too large for a place in the order."""
    value, std = objective.value(row.label.evaluation) or (0.0, None)
    return objective.log and std is not None and std > _UNDETERMINED * abs(value)


def leaders(state: CampaignState, objective: Objective, k: int | None = None) -> list[Ranked]:
    """The k best candidates (or all) by value alone, whether confirmed or not.

    Only candidates within the limits and evaluated with the potential's current weights are
    included. Leaders are what is confirmed; the best candidate is the first of `ranking`. With
    several objectives they are on the first fronts, and spread over them.
    """
    rows = [r for r in ranking(state, objective) if r.refusal is None and not r.stale]
    overall = overall_scores(objective, [row.label.evaluation for row in rows])
    scores = {
        row.label.candidate: -math.inf if score is None else score
        for row, score in zip(rows, overall, strict=True)
    }
    return sorted(rows, key=lambda r: (-scores[r.label.candidate], -r.score, r.label.candidate))[:k]


def _by_score(row: Ranked) -> tuple[float, float]:
    """Sorts by front, where there are several objectives, and by the score in the first."""
    return (math.inf if row.front is None else row.front), -row.score


def _with_fronts(rows: list[Ranked], objective: Objective) -> list[Ranked]:
    """The rows with the numbers of their fronts, if there are several objectives."""
    if not objective.further:
        return rows
    vectors = score_vectors(objective, [row.label.evaluation for row in rows])
    places = [
        i
        for i, (row, vector) in enumerate(zip(rows, vectors, strict=True))
        if vector is not None
        and row.refusal is None
        and not row.stale
        and not any(_undetermined(row, one) for one in objective.all)
    ]
    if places:
        fronts = front_numbers(np.array([vectors[i] for i in places]))
        for i, front in zip(places, fronts.tolist(), strict=True):
            rows[i] = replace(rows[i], front=front)
    return rows


def best_of(state: CampaignState, objective: Objective) -> Ranked | None:
    """The best candidate, wherever the program says "best": the first of `ranking`."""
    return next(iter(ranking(state, objective)), None)
