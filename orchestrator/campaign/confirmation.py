"""Which leaders are evaluated again at tighter settings, and what that says of them.

A minimiser finds the oracle's numerical errors before it finds good materials, so a leader counts
as confirmed only when two independent evaluations of it agree within their stated errors.
"""

from __future__ import annotations

import math

from agents.contract.objective import Objective
from oracle.contract.evaluation import Failed, Measured, Unstable
from orchestrator.campaign import events as ev
from orchestrator.campaign.ranking import leaders
from orchestrator.campaign.state import CampaignState, Label
from orchestrator.config.budget_settings import ConfirmationSettings

MAX_LEVEL = 2
"""A candidate that moved is asked once more, at still tighter settings; then it stays as it is."""


def wanted(
    state: CampaignState, objective: Objective, settings: ConfirmationSettings, *, final: bool
) -> list[Label]:
    """Labels to be confirmed now: the leader during a campaign, all leaders at its end.

    A leader that has moved is asked once more, but its place goes to the next best meanwhile: it
    would be the last one running for minutes, and seldom comes back.

    Args:
        state: of the campaign.
        objective: what is sought.
        settings: how many, and how often.
        final: whether the campaign would end otherwise.
    """
    open_ones = _open(state, objective, settings, final=final)
    return open_ones[: max(0, _allowance(state, settings))]


def unconfirmed(
    state: CampaignState, objective: Objective, settings: ConfirmationSettings
) -> list[Label]:
    """Leaders that are not confirmed only because no calls are left for it."""
    if settings.max_calls == 0 or _allowance(state, settings) > 0:
        return []
    return _open(state, objective, settings, final=True)


def _allowance(state: CampaignState, settings: ConfirmationSettings) -> int:
    """Calls that are left; an extension of the campaign may have as many as the campaign had."""
    return settings.max_calls - (state.confirmations_planned - state.confirmations_before)


def _open(
    state: CampaignState, objective: Objective, settings: ConfirmationSettings, *, final: bool
) -> list[Label]:
    count = settings.leaders if final else min(1, settings.leaders) * settings.each_round
    open_ones: list[Label] = []
    places = count
    for label in (row.label for row in leaders(state, objective)):
        if places == 0:
            break
        can_be_asked = not label.confirmed and _next_level(state, label) is not None
        if can_be_asked:
            open_ones.append(label)
        places -= label.confirmed or (can_be_asked and label.demotions == 0)
    return open_ones


def _next_level(state: CampaignState, label: Label) -> int | None:
    """Settings to ask next, or None when all are used up (a failed attempt counts as used)."""
    asked = [
        t.plan.level for t in state.of_purpose("confirm") if t.plan.candidate == label.candidate
    ]
    level = max([label.level, *asked]) + 1
    return level if level <= MAX_LEVEL else None


def level_for(state: CampaignState, label: Label) -> int:
    """The settings at which a label that is `wanted` is evaluated."""
    level = _next_level(state, label)
    assert level is not None  # `wanted` left the others out
    return level


def judge(
    label: Label,
    again: Measured | Unstable | Failed,
    objective: Objective,
    settings: ConfirmationSettings,
    trial: str,
) -> ev.Confirmation | None:
    """Compare a leader's label with its tighter evaluation; None when that failed.

    It may move by ``sigmas`` combined standard errors,
    ``sigmas * sqrt(std_before**2 + std_after**2)``, and the tighter error must itself be small:
    an evaluation that could be anything agrees with everything.
    """
    if isinstance(again, Failed):
        return None
    before = objective.value(label.evaluation)
    after = objective.value(again)
    errors = [
        0.0
        if found is None
        else found[1]
        if found[1] is not None
        else settings.default_error * abs(found[0])
        for found in (before, after)
    ]
    allowed = settings.sigmas * math.hypot(*errors)
    agrees = (
        before is not None
        and after is not None
        and abs(after[0] - before[0]) <= allowed
        and errors[1] <= settings.max_error * abs(after[0])
    )
    return ev.Confirmation(
        trial=trial,
        candidate=label.candidate,
        before=None if before is None else before[0],
        after=None if after is None else after[0],
        allowed=allowed,
        verdict="confirmed" if agrees else "demoted",
    )
