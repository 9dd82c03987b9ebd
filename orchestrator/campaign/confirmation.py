"""Which leaders are evaluated again at tighter settings, and whether that confirms them.

An optimiser also selects materials for the oracle's numerical errors. Therefore a leader counts as
confirmed only when two evaluations at different settings agree within their stated errors.
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
"""Tightest settings: a demoted leader is evaluated once more at these, and never again."""


def to_confirm(
    state: CampaignState, objective: Objective, settings: ConfirmationSettings, *, final: bool
) -> list[Label]:
    """Labels to be confirmed now: the first leader during a campaign, all leaders at its end.

    A demoted leader is evaluated once more, but the next best candidate takes its place at the
    same time: a campaign would otherwise wait for this one call, and it seldom confirms the leader.

    Args:
        state: of the campaign.
        objective: what is sought.
        settings: how many leaders are confirmed, and with how many calls.
        final: whether the campaign would otherwise end now.
    """
    open_ones = _open(state, objective, settings, final=final)
    return open_ones[: max(0, _allowance(state, settings))]


def unconfirmed(
    state: CampaignState, objective: Objective, settings: ConfirmationSettings
) -> list[Label]:
    """Leaders that are not confirmed only because no calls are left for confirmations."""
    if settings.max_calls == 0 or _allowance(state, settings) > 0:
        return []
    return _open(state, objective, settings, final=True)


def _allowance(state: CampaignState, settings: ConfirmationSettings) -> int:
    """Confirmations that may still be planned; each extension of a campaign gets as many again."""
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
        is_open = not label.confirmed and _next_level(state, label) is not None
        if is_open:
            open_ones.append(label)
        # At the end, the next candidate takes the place of one that a second potential disputes.
        is_settled = label.confirmed and not (final and label.is_disputed)
        places -= is_settled or (is_open and label.demotions == 0)
    return open_ones


def _next_level(state: CampaignState, label: Label) -> int | None:
    """Level of the next tighter settings; None when all were used, be it in a failed trial."""
    used = [
        t.plan.level for t in state.of_purpose("confirm") if t.plan.candidate == label.candidate
    ]
    level = max([label.level, *used]) + 1
    return level if level <= MAX_LEVEL else None


def level_for(state: CampaignState, label: Label) -> int:
    """Level of the settings at which a label from `to_confirm` is evaluated again."""
    level = _next_level(state, label)
    assert level is not None  # `to_confirm` leaves the others out
    return level


def judge(
    label: Label,
    again: Measured | Unstable | Failed,
    objective: Objective,
    settings: ConfirmationSettings,
    trial: str,
) -> ev.Confirmation | None:
    """Compare a leader's label with its tighter evaluation; None when that failed.

    The value may change by ``sigmas`` combined standard errors,
    ``sigmas * sqrt(std_before**2 + std_after**2)``, and the error of the tighter evaluation must
    itself be small: an evaluation with a large error would agree with everything.
    """
    if isinstance(again, Failed):
        return None
    before = objective.value(label.evaluation)
    after = objective.value(again)
    errors = [
        0.0
        if value_and_error is None
        else value_and_error[1]
        if value_and_error[1] is not None
        else settings.default_error * abs(value_and_error[0])
        for value_and_error in (before, after)
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
