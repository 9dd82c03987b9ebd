"""The funnel of a campaign: how many candidates are left after each filter, in order of cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from oracle.contract.evaluation import Measured
from orchestrator.campaign.state import CampaignState

_COUNTED = ("proposed", "valid", "new")  # by the agents, see `agents.contract.protocol.Looked`


def funnel(state: CampaignState) -> dict[str, int]:
    """Candidates by the filter that they passed, summed over all rounds.

    ``proposed``: ideas of the agents; ``valid``: of these, members of the space; ``new``: neither
    known nor repeated; ``relaxed``: relaxed by the potential, to compare their energies;
    ``excluded``: rejected by constraints, for instance for their energy;
    ``evaluated``: with an outcome at the objective's fidelity; ``stable``: measured;
    ``confirmed``: at tighter settings; ``agreed``: by a second potential, too.
    """
    labels = list(state.labels.values())
    stable = [label for label in labels if isinstance(label.evaluation, Measured)]
    confirmed = [label for label in stable if label.confirmed]
    agreed = [label for label in confirmed if label.opinion and not label.is_disputed]
    counts = {name: 0 for name in _COUNTED}
    for each in state.rounds:
        for name, number in looked_at(each.planned_metrics).items():
            counts[name] += number
    return counts | {
        "relaxed": len(state.screened),
        "excluded": len(state.rejected),
        "evaluated": len(labels),
        "stable": len(stable),
        "confirmed": len(confirmed),
        "agreed": len(agreed),
    }


def looked_at(metrics: Mapping[str, float]) -> dict[str, int]:
    """What all agents together looked at in one round, by what they counted."""
    return {name: _sum(metrics, name) for name in _COUNTED}


def _sum(metrics: Mapping[str, float], name: str) -> int:
    matching: Iterable[float] = (v for key, v in metrics.items() if key.startswith(f"{name}_"))
    return round(sum(matching))
