"""When a campaign ends, and why: a pure function of what it recorded."""

from __future__ import annotations

from agents.objective import Objective
from orchestrator.config import CampaignConfig
from orchestrator.state import CampaignState, leaders

_ENOUGH_TO_JUDGE = 4
"""Finished trials below which a share of failures says nothing."""


def failure_reason(
    state: CampaignState, config: CampaignConfig, enough: int = _ENOUGH_TO_JUDGE
) -> str | None:
    """Why the campaign cannot go on, when most of its calls fail.

    Args:
        state: of the campaign.
        config: says how many may fail.
        enough: finished trials below which it is not judged.
    """
    finished = [t for t in state.trials.values() if t.status in ("DONE", "FAILED")]
    failed = [t for t in finished if t.status == "FAILED"]
    if len(finished) < enough:
        return None
    if len(failed) <= config.executor.max_failure_share * len(finished):
        return None
    return (
        f"{len(failed)} of {len(finished)} oracle calls failed; the last: {failed[-1].last_error}"
    )


def stop_reason(state: CampaignState, config: CampaignConfig, objective: Objective) -> str | None:
    """Why the campaign is complete, or None while it is not."""
    budget = config.budget
    used = len([t for t in state.objective_trials() if t.status != "CANCELLED"])
    if used >= budget.oracle_calls:
        return f"budget.oracle_calls: all {budget.oracle_calls} are used"
    if budget.rounds is not None and state.label_rounds >= budget.rounds:
        return f"budget.rounds: all {budget.rounds} are done"
    if budget.cost_h is not None and state.cost_s() >= budget.cost_h * 3600:
        return f"budget.cost_h: {state.cost_s() / 3600:.3g} of {budget.cost_h:g} h are used"
    if budget.wall_time is not None and state.busy_s >= budget.wall_time:
        return f"budget.wall_time: {state.busy_s:.0f} of {budget.wall_time:.0f} s are used"
    return _target_met(state, objective) or _nothing_left(state, config)


def _target_met(state: CampaignState, objective: Objective) -> str | None:
    if objective.goal != "target" or objective.target is None:
        return None
    for row in leaders(state, objective, 1):
        distance = abs(row.value - objective.target)
        if distance <= max(row.std or 0.0, 0.01 * abs(objective.target)):
            return f"target met: {row.value:.4g} where {objective.target:.4g} was sought"
    return None


def _nothing_left(state: CampaignState, config: CampaignConfig) -> str | None:
    """Stop when the posterior expects no candidate to beat the best by more than `min_gain`."""
    least = config.budget.min_gain
    if least is None or not state.rounds or state.rounds[-1].metrics is None:
        return None
    regret = state.rounds[-1].metrics.get("regret_to_posterior")
    if regret is None or regret >= least:
        return None
    return f"nothing left worth its cost: expected gain {regret:.3g} below {least:g}"
