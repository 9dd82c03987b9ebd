"""Trials that evaluate the best candidates again with new weights of the potential."""

from __future__ import annotations

from agents.contract.objective import Objective
from orchestrator.campaign import events as ev
from orchestrator.campaign.ranking import ranking
from orchestrator.campaign.state import CampaignState


def renewals(
    state: CampaignState, objective: Objective, method: str, most: int
) -> list[ev.TrialPlan]:
    """Trials that evaluate the best stale candidates again; none once that was done.

    They form a round of their own, so that later rounds are planned knowing how far the new weights
    changed these values. All other stale candidates may be proposed again.

    Args:
        state: of the campaign.
        objective: ranks the candidates.
        method: digest of the oracle with the present weights.
        most: largest number of trials.
    """
    if any(t.plan.generation == state.generation for t in state.of_purpose("renew")):
        return []
    stale = [row.label for row in ranking(state, objective) if row.stale and not row.refusal]
    return [
        state.trials[label.trial].plan.model_copy(
            update={
                "level": 0,
                "full_solution": False,
                "fidelity": state.objective_fidelity,
                "method": method,
                "purpose": "renew",
                "acquisition": None,
                "belief": None,
            }
        )
        for label in stale[: max(0, most)]
    ]
