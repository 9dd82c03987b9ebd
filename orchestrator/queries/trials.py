"""All trials of a campaign with their outcomes, and all candidates rejected before a trial."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from oracle.contract.evaluation import Failed, Measured, Unstable, quantity_of, unit_of
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.state import Trial
from orchestrator.store.store import Store

Document = dict[str, Any]
_VALUE = re.compile(r" is \S+, above ")  # the number, which differs between candidates


def campaign_trials(store: Store, name: str, *, failed: bool = False) -> Document:
    """The trials of a campaign in the order of planning, and its rejected candidates.

    Args:
        store: database of the home.
        name: name of the campaign.
        failed: whether only failed trials are listed.

    Returns:
        ``campaign``; ``trials``, a list of objects; ``rejected`` with ``count``, ``by_reason``
        (reason to count, most frequent first) and ``candidates``, a list of objects.

    Raises:
        UnknownCampaign: no such name.
    """
    campaign = Campaign(store, name)
    state = campaign.state
    chosen = [t for t in state.trials.values() if not failed or _has_failed(t)]
    formulas = store.formulas([*{t.plan.candidate for t in chosen}, *state.rejected])
    return {
        "campaign": name,
        "trials": [_trial(campaign, t, formulas.get(t.plan.candidate)) for t in chosen],
        "rejected": _rejected(campaign, formulas),
    }


def _has_failed(trial: Trial) -> bool:
    """Whether a trial has failed, or waits for another attempt after a failed one."""
    return trial.status == "FAILED" or (not trial.is_finished and trial.failures > 0)


def _trial(campaign: Campaign, trial: Trial, formula: str | None) -> Document:
    plan, outcome = trial.plan, trial.outcome
    result = None if outcome is None else campaign.objective.value(outcome)
    return {
        "id": plan.id,
        "candidate": plan.candidate,
        "formula": formula,
        "label": plan.label,
        "agent": plan.agent,
        "purpose": plan.purpose,
        "round": trial.round,
        "fidelity": plan.fidelity,
        "level": plan.level,
        "status": trial.status,
        "outcome": None if outcome is None else outcome.status,
        "stage": None if outcome is None else outcome.stage,
        "reason": _reason(trial),
        "min_frequency_thz": outcome.min_frequency if isinstance(outcome, Unstable) else None,
        "value": None if result is None else result[0],
        "std": None if result is None else result[1],
        "unit": _unit(campaign, outcome),
        "cost_s": trial.cost_s,
        "attempts": trial.attempts,
        "reused": trial.reused,
    }


def _reason(trial: Trial) -> str | None:
    """Why a trial has no value; None if it has one, or if nothing has gone wrong yet."""
    outcome = trial.outcome
    if isinstance(outcome, Failed):
        return f"{outcome.stage}: {outcome.message}"
    if isinstance(outcome, Unstable):
        frequency = outcome.min_frequency
        lowest = "" if frequency is None else f", lowest frequency {frequency:.3g} THz"
        return f"{outcome.reason}{lowest}"
    if trial.status == "CANCELLED":
        return "the campaign's settings were changed before the trial began"
    if outcome is None and trial.last_error is not None:
        return f"attempt {trial.failures}: {trial.last_error}"
    return None


def _unit(campaign: Campaign, outcome: Any) -> str | None:
    if not isinstance(outcome, Measured):
        return None
    name = campaign.objective.property
    return None if quantity_of(outcome, name) is None else unit_of(outcome, name)


def _rejected(campaign: Campaign, formulas: dict[str, str]) -> Document:
    state = campaign.state
    counts = Counter(_VALUE.sub(" above ", reason) for reason in state.rejected.values())
    return {
        "count": len(state.rejected),
        "by_reason": dict(counts.most_common()),
        "candidates": [
            {
                "candidate": name,
                "formula": formulas.get(name),  # earlier versions did not store it
                "reason": reason,
                "screened": state.screened.get(name, {}),
            }
            for name, reason in state.rejected.items()
        ],
    }
