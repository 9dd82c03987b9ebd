"""Trials of a round in the form in which they are recorded, but without ids."""

from __future__ import annotations

from collections.abc import Sequence

from agents.contract.objective import Objective
from agents.selection.batch import Selected
from oracle.contract.protocol import Oracle
from orchestrator.assembly.oracles import confirming
from orchestrator.campaign import events as ev
from orchestrator.campaign.confirmation import level_for, to_confirm
from orchestrator.campaign.second_opinion import to_ask
from orchestrator.campaign.state import CampaignState
from orchestrator.config.budget_settings import ConfirmationSettings


def label_trials(chosen: Sequence[Selected], fidelity: str, method: str) -> list[ev.TrialPlan]:
    """Trials that label the candidates of a batch.

    Args:
        chosen: the batch.
        fidelity: of the objective.
        method: digest of the oracle that evaluates them.
    """
    return [
        ev.TrialPlan(
            id="",
            candidate=s.candidate.id,
            digest=s.candidate.material.digest,
            fidelity=fidelity,
            method=method,
            purpose=s.purpose,
            agent=s.candidate.agent,
            parents=s.candidate.parents,
            label=s.candidate.label,
            belief=_belief(s),
            acquisition=s.acquisition,
        )
        for s in chosen
    ]


def confirmation_trials(
    state: CampaignState,
    objective: Objective,
    settings: ConfirmationSettings,
    oracle: Oracle,
    *,
    final: bool,
) -> list[ev.TrialPlan]:
    """Trials that evaluate leaders again, at tighter settings of the objective's oracle.

    Args:
        state: of the campaign.
        objective: what is sought.
        settings: how many leaders are confirmed.
        oracle: of the objective's fidelity.
        final: whether the campaign would otherwise end now.
    """
    plans = []
    oracle, in_full = confirming(oracle, settings)
    for label in to_confirm(state, objective, settings, final=final):
        level = level_for(state, label)
        tight = oracle.tightened(level)
        if tight is None:  # the oracle has no tighter settings
            continue
        first = state.trials[label.trial].plan
        plans.append(
            first.model_copy(
                update={
                    "level": level,
                    "full_solution": in_full,
                    "method": tight.method_digest,
                    "purpose": "confirm",
                    "acquisition": None,
                    "belief": None,
                }
            )
        )
    return plans


def opinion_trials(
    state: CampaignState,
    objective: Objective,
    settings: ConfirmationSettings,
    oracle: Oracle | None,
    *,
    final: bool,
) -> list[ev.TrialPlan]:
    """Trials that evaluate confirmed leaders with a second potential.

    Args:
        state: of the campaign.
        objective: what is sought.
        settings: which potential, and how many leaders.
        oracle: the campaign's, with the second potential; None where there is none.
        final: whether the campaign would otherwise end now.
    """
    if oracle is None:
        return []
    return [
        state.trials[label.trial].plan.model_copy(
            update={
                "level": 0,
                "full_solution": False,
                "method": oracle.method_digest,
                "purpose": "opinion",
                "potential": settings.second_opinion,
                "acquisition": None,
                "belief": None,
            }
        )
        for label in to_ask(state, objective, settings, final=final)
    ]


def _belief(selected: Selected) -> ev.Belief | None:
    values = (selected.mean, selected.epistemic, selected.aleatoric, selected.p_stable)
    if any(value is None for value in values):
        return None
    names = ("mean", "epistemic", "aleatoric", "p_stable")
    return ev.Belief.model_validate(dict(zip(names, values, strict=True)))
