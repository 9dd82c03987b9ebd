"""What is asked again once the potential has new weights."""

from __future__ import annotations

from agents.contract.objective import Objective
from orchestrator.campaign import events as ev
from orchestrator.campaign.ranking import ranking
from orchestrator.campaign.state import CampaignState


def renewals(
    state: CampaignState, objective: Objective, method: str, most: int
) -> list[ev.TrialPlan]:
    """The best that earlier weights found, to be asked of the present ones before anything else.

    They fill one round of their own: what follows is decided knowing how far the new weights moved
    them. Whatever was not among them may be proposed again.

    Args:
        state: of the campaign.
        objective: ranks them.
        method: digest of the oracle with the present weights.
        most: how many.
    """
    if any(t.plan.generation == state.generation for t in state.of_purpose("renew")):
        return []
    stale = [row.label for row in ranking(state, objective) if row.stale and not row.refusal]
    return [
        state.trials[label.trial].plan.model_copy(
            update={
                "level": 0,
                "fidelity": state.objective_fidelity,
                "method": method,
                "purpose": "renew",
                "acquisition": None,
                "belief": None,
            }
        )
        for label in stale[: max(0, most)]
    ]
