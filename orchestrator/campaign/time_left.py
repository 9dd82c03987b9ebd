"""Estimates how long a campaign will still take, from the durations of its trials so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from agents.contract.objective import Objective
from orchestrator.campaign.ranking import leaders
from orchestrator.campaign.state import CampaignState, Label, Trial
from orchestrator.config.config import CampaignConfig

_TIGHT = 3.0  # duration of a confirmation over that of a first evaluation, before any has ended
_LEAST = 0.05  # least fraction of its expected duration that a running call is expected to need


def seconds_left(
    state: CampaignState,
    config: CampaignConfig,
    objective: Objective,
    *,
    slots: int,
    running: dict[str, float],
    elapsed: float,
) -> float | None:
    """Seconds until the campaign ends by its budget; None before the first call has ended.

    Calls are assumed to take as long as earlier ones on the same workers, and confirmations longer
    by the ratio seen so far. Hole hunts and healing are not included.

    Args:
        state: of the campaign.
        config: settings in force.
        objective: decides which candidates are to be confirmed.
        slots: number of calls that run side by side.
        running: seconds since each running trial began, by the trial's id.
        elapsed: seconds that the campaign has taken.
    """
    durations = [t for t in map(_duration, state.objective_trials()) if t is not None]
    if not durations:
        return None
    per_call = float(np.mean(durations))
    calls = _calls_left(state, config)
    confirmations = _confirmations_left(state, config, objective, calls)
    per_confirmation = _ratio(state) * per_call
    queries = state.of_purpose("cheap")
    open_queries = [t for t in queries if not t.is_finished]
    seconds = _side_by_side(calls, per_call, min(slots, config.budget.batch))
    seconds += _side_by_side(confirmations, per_confirmation, slots)
    seconds += _side_by_side(len(open_queries), _mean(map(_duration, queries)), slots)
    opinions = state.of_purpose("opinion")
    per_opinion = _mean(map(_duration, opinions)) or per_call
    seconds += _side_by_side(_opinions_left(state, config, confirmations), per_opinion, slots)
    seconds += _planning(state) * -(-_unplanned(state, calls) // config.budget.batch)
    for name, since in running.items():
        each = {"confirm": per_confirmation, "opinion": per_opinion}
        expected = each.get(state.trials[name].plan.purpose, per_call)
        seconds -= min(since, (1 - _LEAST) * expected) / slots
    return max(0.0, min([seconds, *_limits(state, config, slots, elapsed)]))


def _side_by_side(count: int, each: float, slots: int) -> float:
    return count * each / max(1, min(slots, count))


def _duration(trial: Trial) -> float | None:
    """Seconds on a worker; None for a trial that has not ended or that reused a stored answer."""
    if trial.started is None or trial.finished is None or trial.reused:
        return None
    return trial.finished - trial.started


def _mean(values: Iterable[float | None]) -> float:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else 0.0


def _ratio(state: CampaignState) -> float:
    """Duration of confirmations over that of the first evaluations of the same candidates."""
    first = {
        t.plan.candidate: seconds for t in state.objective_trials() if (seconds := _duration(t))
    }
    pairs = [
        (seconds, first[t.plan.candidate])
        for t in state.of_purpose("confirm")
        if (seconds := _duration(t)) is not None and t.plan.candidate in first
    ]
    return sum(a for a, _ in pairs) / sum(b for _, b in pairs) if pairs else _TIGHT


def _calls_left(state: CampaignState, config: CampaignConfig) -> int:
    """Oracle calls, planned or not, that the budget still allows."""
    trials = [t for t in state.objective_trials() if t.status != "CANCELLED"]
    unplanned = config.budget.oracle_calls - len(trials)
    if config.budget.rounds is not None:
        rounds = max(0, config.budget.rounds - state.label_rounds)
        unplanned = min(unplanned, rounds * config.budget.batch)
    return max(0, unplanned) + len([t for t in trials if not t.is_finished])


def _unplanned(state: CampaignState, calls: int) -> int:
    return max(0, calls - len([t for t in state.objective_trials() if not t.is_finished]))


def _confirmations_left(
    state: CampaignState, config: CampaignConfig, objective: Objective, calls: int
) -> int:
    """Confirmations that are planned, or that would be planned if the campaign ended now."""
    settings = config.confirmation
    trials = [t for t in state.of_purpose("confirm") if t.status != "CANCELLED"]
    planned = len([t for t in trials if not t.is_finished])
    if planned and not calls:
        return planned
    best = [row.label for row in leaders(state, objective)]
    expected = settings.leaders - _confirmed(best[: settings.leaders])
    if not calls and not planned:
        expected = min(expected, len(best))
    return max(planned, min(expected, settings.max_calls - len(trials) + planned))


def _opinions_left(state: CampaignState, config: CampaignConfig, confirmations: int) -> int:
    """Second opinions that are planned, or that would follow the confirmations that are left."""
    if config.confirmation.second_opinion is None:
        return 0
    planned = len([t for t in state.of_purpose("opinion") if not t.is_finished])
    return max(planned, min(confirmations, config.confirmation.leaders))


def _confirmed(labels: Sequence[Label]) -> int:
    return sum(label.confirmed for label in labels)


def _planning(state: CampaignState) -> float:
    """Mean duration of the planning of a round, s."""
    return _mean(r.planned_metrics.get("seconds_planning") for r in state.rounds)


def _limits(
    state: CampaignState, config: CampaignConfig, slots: int, elapsed: float
) -> list[float]:
    """Seconds until the budgets of time and of cost are spent, for those that are set."""
    seconds = []
    if config.budget.wall_time is not None:
        seconds.append(config.budget.wall_time - elapsed)
    if config.budget.cost_h is not None:
        seconds.append((3600 * config.budget.cost_h - state.cost_s()) / slots)
    return seconds
