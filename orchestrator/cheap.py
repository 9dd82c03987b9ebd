"""Trials at cheaper fidelities that ride along with a round, as far as their cost is small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agents.selection import Selected
from oracle.protocol import Oracle
from orchestrator import events as ev
from orchestrator.config import CampaignConfig
from orchestrator.state import CampaignState

_FIRST = 2  # batches of cheap trials in the first round, when no cost is known yet
_MOST = 4  # batches of cheap trials in any round


def cheap_trials(
    state: CampaignState,
    config: CampaignConfig,
    oracles: Mapping[str, Oracle],
    chosen: Sequence[Selected],
    reserves: Sequence[Selected],
) -> list[ev.TrialPlan]:
    """Cheaper evaluations of this round's candidates and of those next in line.

    Their recorded cost stays below ``budget.cheap_share`` of what the objective's fidelity cost.
    """
    plans: list[ev.TrialPlan] = []
    for fidelity in list(oracles)[:-1]:
        asked = {t.plan.candidate for t in state.trials.values() if t.plan.fidelity == fidelity}
        open_ones = [s for s in (*chosen, *reserves) if s.candidate.id not in asked]
        plans += [
            ev.TrialPlan(
                id="",
                candidate=s.candidate.id,
                digest=s.candidate.material.digest,
                fidelity=fidelity,
                method=oracles[fidelity].method_digest,
                purpose="cheap",
                agent=s.candidate.agent,
                parents=s.candidate.parents,
                label=s.candidate.label,
            )
            for s in open_ones[: _room(state, config, fidelity)]
        ]
    return plans


def _room(state: CampaignState, config: CampaignConfig, fidelity: str) -> int:
    """How many cheap trials the recorded costs allow; never decided by the clock."""
    batch = config.budget.batch
    cheap = [t.cost_s for t in state.trials.values() if t.plan.fidelity == fidelity and t.cost_s]
    if not cheap or config.budget.cheap_share == 0:
        return _FIRST * batch if config.budget.cheap_share > 0 else 0
    dear = sum(t.cost_s for t in state.objective_trials())
    left = config.budget.cheap_share * dear - sum(cheap)
    return int(np.clip(left / np.mean(cheap), 0, _MOST * batch))
