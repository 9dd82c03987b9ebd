"""How long a campaign will still take, from what its trials took so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from agents.contract.objective import Objective
from orchestrator.campaign.ranking import leaders
from orchestrator.campaign.state import CampaignState, Label, Trial
from orchestrator.config.config import CampaignConfig

_TIGHT = 3.0  # what a confirmation costs beside a first evaluation, while none was measured
_LEAST = 0.05  # of its expected time, that a call under way is still given


def seconds_left(
    state: CampaignState,
    config: CampaignConfig,
    objective: Objective,
    *,
    slots: int,
    running: dict[str, float],
    elapsed: float,
) -> float | None:
    """Seconds until the campaign ends by its budget; None while nothing was measured.

    Calls are taken to last as long as those before them did on the same workers, confirmations
    longer by the ratio found so far. Hunting for holes and healing are not foreseen.

    Args:
        state: of the campaign.
        config: settings in force.
        objective: what is sought, which decides who is to be confirmed.
        slots: calls that run side by side.
        running: by trial under way, the seconds since it began.
        elapsed: seconds that the campaign has taken.
    """
    took = [t for t in map(_took, state.objective_trials()) if t is not None]
    if not took:
        return None
    call = float(np.mean(took))
    left = _calls_left(state, config)
    again = _confirmations_left(state, config, objective, left)
    tight = _ratio(state) * call
    cheap = [t for t in state.of_purpose("cheap") if not t.is_finished]
    seconds = _side_by_side(left, call, min(slots, config.budget.batch))
    seconds += _side_by_side(again, tight, slots)
    seconds += _side_by_side(len(cheap), _mean(map(_took, state.of_purpose("cheap"))), slots)
    seconds += _planning(state) * -(-_unplanned(state, left) // config.budget.batch)
    for name, since in running.items():
        expected = tight if state.trials[name].plan.purpose == "confirm" else call
        seconds -= min(since, (1 - _LEAST) * expected) / slots
    return max(0.0, min([seconds, *_limits(state, config, slots, elapsed)]))


def _side_by_side(count: int, each: float, slots: int) -> float:
    return count * each / max(1, min(slots, count))


def _took(trial: Trial) -> float | None:
    """Seconds on a worker; an answer that was known before took none, and tells nothing."""
    if trial.started is None or trial.finished is None or trial.reused:
        return None
    return trial.finished - trial.started


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else 0.0


def _ratio(state: CampaignState) -> float:
    """What confirmations took, beside the first evaluations of the same candidates."""
    first = {t.plan.candidate: took for t in state.objective_trials() if (took := _took(t))}
    pairs = [
        (took, first[t.plan.candidate])
        for t in state.of_purpose("confirm")
        if (took := _took(t)) is not None and t.plan.candidate in first
    ]
    return sum(a for a, _ in pairs) / sum(b for _, b in pairs) if pairs else _TIGHT


def _calls_left(state: CampaignState, config: CampaignConfig) -> int:
    """Oracle calls, planned or not, that the budget still allows."""
    trials = [t for t in state.objective_trials() if t.status != "CANCELLED"]
    left = config.budget.oracle_calls - len(trials)
    if config.budget.rounds is not None:
        rounds = max(0, config.budget.rounds - state.label_rounds)
        left = min(left, rounds * config.budget.batch)
    return max(0, left) + len([t for t in trials if not t.is_finished])


def _unplanned(state: CampaignState, calls: int) -> int:
    return max(0, calls - len([t for t in state.objective_trials() if not t.is_finished]))


def _confirmations_left(
    state: CampaignState, config: CampaignConfig, objective: Objective, calls: int
) -> int:
    """Those planned, or those that the campaign's end will ask for as things stand."""
    settings = config.confirmation
    asked = [t for t in state.of_purpose("confirm") if t.status != "CANCELLED"]
    planned = len([t for t in asked if not t.is_finished])
    if planned and not calls:
        return planned
    best = [row.label for row in leaders(state, objective)]
    expected = settings.leaders - _confirmed(best[: settings.leaders])
    if not calls and not planned:
        expected = min(expected, len(best))
    return max(planned, min(expected, settings.max_calls - len(asked) + planned))


def _confirmed(labels: Sequence[Label]) -> int:
    return sum(label.confirmed for label in labels)


def _planning(state: CampaignState) -> float:
    """Seconds that deciding a round took on average."""
    return _mean(r.planned_metrics.get("seconds_planning") for r in state.rounds)


def _limits(
    state: CampaignState, config: CampaignConfig, slots: int, elapsed: float
) -> list[float]:
    """Seconds until budgets of time and of cost are spent."""
    found = []
    if config.budget.wall_time is not None:
        found.append(config.budget.wall_time - elapsed)
    if config.budget.cost_h is not None:
        found.append((3600 * config.budget.cost_h - state.cost_s()) / slots)
    return found
