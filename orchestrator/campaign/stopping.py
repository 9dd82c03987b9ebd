"""When a campaign ends, and why; this follows from its events and settings alone."""

from __future__ import annotations

from agents.contract.objective import Objective
from agents.contract.protocol import Space
from oracle.contract.directions import in_words
from oracle.contract.evaluation import Measured, quantity_of
from orchestrator.campaign.confirmation import to_confirm
from orchestrator.campaign.ranking import best_of, leaders
from orchestrator.campaign.state import CampaignState
from orchestrator.config.config import CampaignConfig

SPACE_USED_UP = "the space is used up"
TARGET_MET = "target met"
_ENOUGH_TO_JUDGE = 4
"""With fewer finished trials, the share of failures is not judged."""


def failure_reason(
    state: CampaignState, config: CampaignConfig, enough: int = _ENOUGH_TO_JUDGE
) -> str | None:
    """Why the campaign cannot go on, when too many of its calls have failed; else None.

    Args:
        state: of the campaign.
        config: sets the share of calls that may fail.
        enough: with fewer finished trials, the share of failures is not judged.
    """
    # Where a second potential fails, it has no opinion; the campaign does not depend on it.
    own = [t for t in state.trials.values() if t.plan.purpose != "opinion"]
    finished = [t for t in own if t.status in ("DONE", "FAILED")]
    failed = [t for t in finished if t.status == "FAILED"]
    if len(finished) < enough:
        return None
    if len(failed) <= config.executor.max_failure_share * len(finished):
        return None
    return (
        f"{len(failed)} of {len(finished)} oracle calls failed; the last: {failed[-1].last_error}"
    )


def valueless_reason(state: CampaignState, objective: Objective) -> str | None:
    """Why it is useless to go on, when no measured material has a property sought; else None."""
    reasons = (
        _without_value(state, one, "objective" if at == 0 else f"further_objectives.{at - 1}")
        for at, one in enumerate(objective.all)
    )
    return next((reason for reason in reasons if reason), None)


def _without_value(state: CampaignState, objective: Objective, key: str) -> str | None:
    outcomes = [t.outcome for t in state.objective_trials()]
    measured = [outcome for outcome in outcomes if isinstance(outcome, Measured)]
    if not measured or any(objective.value(outcome) is not None for outcome in measured):
        return None
    properties = ", ".join(sorted({name for outcome in measured for name in outcome.properties}))
    gave = f"the oracle gave: {properties or 'nothing'}"
    if any(quantity_of(outcome, objective.property) is not None for outcome in measured):
        gave = "the oracle gave it as an array or at other temperatures; expected one number"
    at = "" if objective.temperature is None else f" at {objective.temperature:g} K"
    what = in_words(objective.property, objective.direction)
    return f"{key}.property: none of the {len(measured)} measured has {what}{at}; {gave}"


def stop_reason(state: CampaignState, config: CampaignConfig, objective: Objective) -> str | None:
    """Why the campaign is complete, with all limits that are reached; None while it is not."""
    reasons = [*spent(state, config), _target_met(state, config, objective)]
    gain = expected_gain_below(state, config)
    if gain is not None:
        least = config.budget.min_gain
        reasons.append(f"nothing left worth its cost: expected gain {gain:.3g} below {least:g}")
    return "; ".join(reason for reason in reasons if reason) or None


def spent(state: CampaignState, config: CampaignConfig) -> list[str]:
    """The limits of the budget that are used up, one phrase for each."""
    budget, limits = config.budget, []
    if state.calls_used >= budget.oracle_calls:
        limits.append(f"budget.oracle_calls: all {budget.oracle_calls} are used")
    if budget.rounds is not None and state.label_rounds >= budget.rounds:
        limits.append(f"budget.rounds: all {budget.rounds} are done")
    if budget.cost_h is not None and state.cost_s() >= budget.cost_h * 3600:
        limits.append(f"budget.cost_h: {state.cost_s() / 3600:.3g} of {budget.cost_h:g} h are used")
    if budget.wall_time is not None and state.busy_s >= budget.wall_time:
        limits.append(f"budget.wall_time: {state.busy_s:.0f} of {budget.wall_time:.0f} s are used")
    return limits


def is_used_up(space: Space, state: CampaignState) -> bool:
    """Whether no candidate of a space is left to be evaluated."""
    tried = {t.plan.candidate for t in state.objective_trials() if t.status != "CANCELLED"}
    done = len(tried | state.rejected.keys())
    # With new weights of the potential, all candidates may be proposed again.
    return space.size is not None and state.generation == 0 and done >= space.size


def _target_met(state: CampaignState, config: CampaignConfig, objective: Objective) -> str | None:
    """A phrase that says that the target is met, or None.

    The best candidate may meet it, or a leader that is still to be confirmed. The latter is
    confirmed at once and is then the best candidate, or is demoted and does not count any more.
    """
    if objective.goal != "target" or objective.target is None:
        return None
    best = best_of(state, objective)
    unjudged = {
        label.candidate for label in to_confirm(state, objective, config.confirmation, final=True)
    }
    rows = [row for row in leaders(state, objective) if row.label.candidate in unjudged]
    if best is not None and best.refusal is None and not best.stale:
        rows.insert(0, best)
    for row in rows:
        distance = abs(row.value - objective.target)
        if distance <= max(row.std or 0.0, 0.01 * abs(objective.target)):
            return f"{TARGET_MET}: {row.value:.4g} where {objective.target:.4g} was sought"
    return None


def expected_gain_below(state: CampaignState, config: CampaignConfig) -> float | None:
    """Expected gain of the best candidate that is left, where it is below `min_gain`; else None."""
    least = config.budget.min_gain
    if least is None or not state.rounds or state.rounds[-1].metrics is None:
        return None
    regret = state.rounds[-1].metrics.get("regret_to_posterior")
    return None if regret is None or regret >= least else regret
