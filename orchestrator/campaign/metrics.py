"""Numbers that describe a round: its results, how well they were predicted, and their cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.contract.objective import Objective
from agents.contract.pareto import overall_scores
from agents.selection.portfolio import Credit
from oracle.contract.evaluation import scalar
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.ranking import best_of
from orchestrator.campaign.state import CampaignState, Trial
from surrogate.contract.calibration import calibrate, coverage
from surrogate.contract.protocol import Calibration


def predictions(
    trials: Sequence[Trial], objective: Objective
) -> tuple[list[float], list[float], list[float]]:
    """(means, spreads, truths) of measured trials, on the modelled scale.

    The mean is what the surrogate predicted, the truth what the oracle gave. The spread is the
    standard deviation that the surrogate stated before the evaluation, with the oracle's own error
    added in quadrature.
    """
    means, spreads, truths = [], [], []
    for trial in trials:
        belief, outcome = trial.plan.belief, trial.outcome
        value_and_error = None if outcome is None else objective.value(outcome)
        if belief is None or value_and_error is None:
            continue
        value, error = value_and_error
        noise = (error or 0.0) / (value * np.log(10)) if objective.log else (error or 0.0)
        means.append(belief.mean)
        spreads.append(float(np.sqrt(belief.epistemic**2 + belief.aleatoric**2 + noise**2)))
        truths.append(objective.modelled(value))
    return means, spreads, truths


def calibration_of(state: CampaignState, objective: Objective) -> Calibration:
    """Calibration of the spreads by the audit trials alone.

    Trials that the surrogate chose cannot calibrate it, because they were chosen for their extreme
    predictions. The recorded spreads include the calibration of their own round; it is divided out
    first.
    """
    means, spreads, truths = [], [], []
    scales = {r.number: r.planned_metrics.get("calibration_scale", 1.0) for r in state.rounds}
    for trial in state.of_purpose("audit"):
        mean, spread, truth = predictions([trial], objective)
        means += mean
        spreads += [std / scales[trial.round] for std in spread]
        truths += truth
    if not means:
        return Calibration()
    return calibrate(np.array(means), np.array(spreads), np.array(truths))


def round_metrics(campaign: Campaign, seconds_running: float) -> dict[str, float]:
    """Metrics of the round that has just ended; those that are not finite are left out."""
    state, objective = campaign.state, campaign.objective
    number = state.rounds[-1].number
    trials = [t for t in state.trials.values() if t.round == number]
    metrics = state.rounds[-1].planned_metrics | best_metrics(state, objective)
    finished = [t for t in trials if t.status in ("DONE", "FAILED")]
    own = [t for t in finished if t.plan.purpose != "opinion"]
    judged = [t for t in own if t.outcome is not None and t.outcome.status != "failed"]
    if judged:
        stable = [t for t in judged if t.outcome is not None and t.outcome.status == "measured"]
        metrics["stability_hit_rate"] = len(stable) / len(judged)
    metrics |= {
        "oracle_calls": float(len([t for t in state.objective_trials() if t.is_finished])),
        "failures": float(len([t for t in finished if t.status == "FAILED"])),
        "force_calls": _force_calls(finished),
        "seconds_running": seconds_running,
        "seconds_in_oracle": sum(t.cost_s for t in finished if not t.reused),
        "cost_h": state.cost_s() / 3600,
        "demotions": float(sum(label.demotions for label in state.labels.values())),
        "disputed": float(sum(label.is_disputed for label in state.labels.values())),
    }
    return {k: v for k, v in (metrics | _coverage(state, objective)).items() if np.isfinite(v)}


def best_metrics(state: CampaignState, objective: Objective) -> dict[str, float]:
    """Value of the best candidate, and whether it is confirmed."""
    best = best_of(state, objective)
    if best is None:
        return {}
    return {"best": best.value, "best_confirmed": float(best.label.confirmed)}


def _force_calls(trials: Sequence[Trial]) -> float:
    counts = [scalar(t.outcome, "force_calls") for t in trials if t.outcome is not None]
    return float(sum(count[0] for count in counts if count is not None))


def _coverage(state: CampaignState, objective: Objective) -> dict[str, float]:
    """Fractions of audit trials whose value lies within 1 and 2 spreads of the prediction."""
    means, spreads, truths = predictions(state.of_purpose("audit"), objective)
    if not means:
        return {}
    one, two, n = coverage(np.array(means), np.array(spreads), np.array(truths))
    errors = np.abs(np.array(means) - np.array(truths))
    return {
        "audit_coverage_1sigma": one,
        "audit_coverage_2sigma": two,
        "audit_trials": float(n),
        "audit_mean_absolute_error": float(errors.mean()),
    }


def credits_of(state: CampaignState, objective: Objective) -> list[Credit]:
    """The score of each finished trial, with the agent that proposed its candidate."""
    trials = [
        trial
        for trial in state.objective_trials()
        if trial.is_finished and trial.status != "CANCELLED"
    ]
    outcomes = [trial.outcome for trial in trials if trial.outcome is not None]
    scores = iter(overall_scores(objective, outcomes))
    return [
        Credit(
            trial.plan.agent,
            trial.round,
            None if trial.outcome is None else next(scores),
            trial.plan.purpose,
        )
        for trial in trials
    ]
