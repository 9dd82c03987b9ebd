"""Trials at cheaper fidelities: looks that are worth their recorded cost.

Before a cost of either kind is known, a round's candidates and those next in line are looked at.
From then on every look is chosen by value per second, over the whole space, as far as
``budget.cheap_share`` of what labels cost allows. Looks that cost next to nothing come before
the next label, in a round of their own, so that it is chosen knowing what they found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agents.acquisition.functions import Belief
from agents.acquisition.multi_fidelity import (
    FidelityCost,
    LowFidelityQuery,
    ruled_out,
    worthwhile_queries,
)
from agents.acquisition.pool_posterior import PoolPosterior, incumbent
from agents.contract.objective import Objective
from agents.contract.protocol import Candidate, Space
from agents.selection.batch import Selected
from oracle.contract.protocol import Oracle
from oracle.materials.material import Material
from orchestrator.campaign import events as ev
from orchestrator.campaign.state import CampaignState
from orchestrator.config.config import CampaignConfig
from surrogate.fidelities.trust import PRIOR, Trust

_FIRST = 2  # batches of cheap trials while no cost is known
_IGNORED = 0.05  # a fidelity that says something with less probability is not asked any more
_TRUSTED = 0.8  # with more, what it says can rule materials out
_CORRELATED = 0.6  # and only if what it says is most of the truth
AGENT = "fidelity"
"""Who proposes looks."""


@dataclass(frozen=True)
class CheapLook:
    """A candidate to be evaluated at a cheaper fidelity, and what that is worth per second."""

    candidate: Candidate
    fidelity: str
    value: float | None = None


def worthwhile(
    state: CampaignState,
    config: CampaignConfig,
    objective: Objective,
    screened: PoolPosterior,
    trusts: Mapping[str, Trust],
    space: Space,
    admits: Callable[[Material], bool],
) -> list[CheapLook]:
    """Looks that are worth more per second than the best label, best first, within the budget.

    Args:
        state: gives the recorded costs; none are worthwhile before both kinds are known.
        config: gives the share that looks may cost.
        objective: what is sought.
        screened: what is believed of the space.
        trusts: how far each cheaper fidelity is believed.
        space: names the materials.
        admits: refuses materials that break a constraint.
    """
    label_s = _mean_cost(state, state.objective_fidelity)
    if not label_s:
        return []
    free = screened.free([e.material for e in state.evaluations()])
    prices = {}
    for name in list(state.methods)[:-1]:
        trust, cost = trusts.get(name, PRIOR), _mean_cost(state, name)
        if cost and trust.weight >= _IGNORED:
            asked = _asked(state, name)
            open_ = np.array([m.digest not in asked for m in screened.materials], dtype=bool)
            prices[name] = FidelityCost(trust.correlation, cost, free & open_)
    found = worthwhile_queries(
        Belief.of(screened.posterior),
        objective,
        best=incumbent(screened, objective),
        free=free,
        lower=prices,
        label_s=label_s,
    )
    found += _survey(found, prices, config.budget.cheap_share * config.budget.batch * label_s)
    left = _allowance(state, config)
    chosen = []
    for query in found:
        material = screened.materials[query.at]
        if not admits(material):
            continue
        left -= prices[query.fidelity].cost_s
        if left < 0:
            break
        candidate = Candidate(material, AGENT, label=space.label(material))
        chosen.append(CheapLook(candidate, query.fidelity, query.value))
    return chosen


def _survey(
    found: Sequence[LowFidelityQuery], prices: Mapping[str, FidelityCost], most_s: float
) -> list[LowFidelityQuery]:
    """All that is left to look at, where that costs next to nothing beside a batch of labels.

    The value of a look counts one step ahead only; what all of them together teach of
    the space, and of the fidelity, is not in it.
    """
    seen = {query.at for query in found}
    rest: list[LowFidelityQuery] = []
    for name, price in prices.items():
        open_ = [int(at) for at in np.flatnonzero(price.open) if int(at) not in seen]
        if (len(open_) + len(found)) * price.cost_s <= most_s:
            rest += [LowFidelityQuery(at, name, 0.0) for at in open_]
            seen |= set(open_)
    return rest


def come_first(state: CampaignState, config: CampaignConfig, chosen: Sequence[CheapLook]) -> bool:
    """Whether labels wait for these looks: all of them cost little beside one batch of labels."""
    cost = sum(_mean_cost(state, query.fidelity) for query in chosen)
    batch = config.budget.batch * _mean_cost(state, state.objective_fidelity)
    return 0 < cost <= config.budget.cheap_share * batch


def riding_along(
    state: CampaignState,
    config: CampaignConfig,
    trusts: Mapping[str, Trust],
    chosen: Sequence[Selected],
    reserves: Sequence[Selected],
    known: Sequence[CheapLook] = (),
) -> list[CheapLook]:
    """Looks at the candidates that are labelled, from which trust is learned.

    While no cost is known, also at those next in line. Those `known` already are left out.
    """
    planned = {(query.candidate.material.digest, query.fidelity) for query in known}
    found: list[CheapLook] = []
    for name in list(state.methods)[:-1]:
        if config.budget.cheap_share == 0 or trusts.get(name, PRIOR).weight < _IGNORED:
            continue
        asked = _asked(state, name) | {digest for digest, at in planned if at == name}
        cost = _mean_cost(state, name)
        wanted = [s for s in chosen if s.candidate.material.digest not in asked]
        room = len(wanted)
        if not cost:
            wanted += [s for s in reserves if s.candidate.material.digest not in asked]
            room = _FIRST * config.budget.batch
        else:
            room = min(room, int(max(0.0, _allowance(state, config)) / cost))
        found += [CheapLook(s.candidate, name) for s in wanted[:room]]
    return found


def excluded(
    state: CampaignState, objective: Objective, screened: PoolPosterior, trusts: Mapping[str, Trust]
) -> frozenset[str]:
    """Digests that a trusted look has ruled out: exploring there teaches nothing that matters."""
    observed: set[str] = set()
    for name, trust in trusts.items():
        if trust.weight >= _TRUSTED and trust.correlation >= _CORRELATED:
            observed |= {
                t.plan.digest
                for t in state.trials.values()
                if t.plan.fidelity == name and t.outcome and t.outcome.status == "measured"
            }
    seen = np.array([m.digest in observed for m in screened.materials], dtype=bool)
    if not seen.any():
        return frozenset()
    hopeless = ruled_out(screened.posterior, objective, seen)
    return frozenset(screened.materials[int(k)].digest for k in np.flatnonzero(hopeless))


def trust_metrics(trusts: Mapping[str, Trust]) -> dict[str, float]:
    """How far each cheaper fidelity is believed: of one that misleads it is said."""
    found: dict[str, float] = {}
    for fidelity, trust in trusts.items():
        found[f"cheap_weight_{fidelity}"] = float(trust.weight)
        found[f"cheap_correlation_{fidelity}"] = float(trust.correlation)
        found[f"cheap_misleads_{fidelity}"] = float(trust.misleads)
    return found


def cheap_trials(found: Sequence[CheapLook], oracles: Mapping[str, Oracle]) -> list[ev.TrialPlan]:
    """The trials that looks stand for, without ids."""
    return [
        ev.TrialPlan(
            id="",
            candidate=query.candidate.id,
            digest=query.candidate.material.digest,
            fidelity=query.fidelity,
            method=oracles[query.fidelity].method_digest,
            purpose="cheap",
            agent=query.candidate.agent,
            parents=query.candidate.parents,
            label=query.candidate.label,
            acquisition=query.value,
        )
        for query in found
    ]


def _allowance(state: CampaignState, config: CampaignConfig) -> float:
    """Seconds that looks may still cost; never decided by the clock."""
    dear = sum(t.cost_s for t in state.objective_trials())
    cheap = sum(t.cost_s for t in state.of_purpose("cheap"))
    return config.budget.cheap_share * dear - cheap


def _mean_cost(state: CampaignState, fidelity: str) -> float:
    """Recorded mean cost of a fidelity's finished trials, s; 0 while none is known."""
    costs = [t.cost_s for t in state.trials.values() if t.plan.fidelity == fidelity and t.cost_s]
    return float(np.mean(costs)) if costs else 0.0


def _asked(state: CampaignState, fidelity: str) -> frozenset[str]:
    """Digests of the materials with a trial at a fidelity."""
    return frozenset(t.plan.digest for t in state.trials.values() if t.plan.fidelity == fidelity)
