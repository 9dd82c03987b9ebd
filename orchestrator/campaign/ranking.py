"""The order of candidates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from agents.contract.objective import Objective
from orchestrator.campaign.records import Label
from orchestrator.campaign.state import CampaignState


@dataclass(frozen=True)
class Ranked:
    """One line of the table of best candidates.

    `refusal` says which limit on a measured property it breaks, or is None; `stale` whether the
    weights that gave it were replaced since.
    """

    rank: int
    label: Label
    value: float
    std: float | None
    score: float
    refusal: str | None
    stale: bool = False


def ranking(state: CampaignState, objective: Objective) -> list[Ranked]:
    """All candidates evaluated as stable, ties by id.

    Those of the potential's current weights come before stale ones, those within the limits before
    those that break one, confirmed ones before others, then by score.
    """
    rows: list[Ranked] = []
    for label in state.labels.values():
        found = objective.value(label.evaluation)
        if found is not None:
            score = float(objective.score(np.array(objective.modelled(found[0]))))
            refusal = objective.refusal(label.evaluation)
            stale = label.generation < state.generation
            rows.append(Ranked(0, label, *found, score, refusal, stale))
    rows.sort(
        key=lambda r: (
            r.stale,
            r.refusal is not None,
            not r.label.confirmed,
            -r.score,
            r.label.candidate,
        )
    )
    return [replace(row, rank=i) for i, row in enumerate(rows, start=1)]


def leaders(state: CampaignState, objective: Objective, k: int | None = None) -> list[Ranked]:
    """The k best (or all) within the limits by value alone, whether confirmed or not.

    These are to be confirmed; which is the best, `ranking` says. Of the potential's current
    weights only.
    """
    rows = [r for r in ranking(state, objective) if r.refusal is None and not r.stale]
    return sorted(rows, key=lambda r: (-r.score, r.label.candidate))[:k]


def best_of(state: CampaignState, objective: Objective) -> Ranked | None:
    """The best candidate: what everything means that says "best"."""
    return next(iter(ranking(state, objective)), None)
