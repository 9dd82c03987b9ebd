"""Low-fidelity queries: cheap evaluations that are made for what they tell about the next choice.

Before the costs of both fidelities are known, the candidates of a round and the next best ones are
queried. Afterwards, queries are chosen from the whole space by value per second, as long as their
total cost stays below ``budget.cheap_share`` of the total cost of labels. Queries that cost little
beside a batch of labels are made first, in a round of their own, so that the next batch is chosen
with their results.
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

_FIRST = 2  # number of queries, in batches, before a cost is known
_IGNORED = 0.05  # a fidelity that is informative with a lower probability is not queried any more
_TRUSTED = 0.8  # a fidelity that is informative with a higher probability may rule materials out,
_CORRELATED = 0.6  # if its correlation with the objective's is at least this
AGENT = "fidelity"
"""The agent that queries are recorded under."""


@dataclass(frozen=True)
class CandidateQuery:
    """A candidate to be evaluated at a low fidelity.

    `value` is the worth of that per second, or None for a candidate that is labelled too.
    """

    candidate: Candidate
    fidelity: str
    value: float | None = None


def queries_by_value(
    state: CampaignState,
    config: CampaignConfig,
    objective: Objective,
    pool: PoolPosterior,
    trusts: Mapping[str, Trust],
    space: Space,
    admits: Callable[[Material], bool],
) -> list[CandidateQuery]:
    """Queries that are worth more per second than the best label, best first, within the budget.

    Args:
        state: holds the recorded costs; there are no queries before those of both fidelities are
            known.
        config: sets the share of the cost of labels that queries may cost.
        objective: what is sought.
        pool: predictions for the space.
        trusts: how far each low fidelity is believed.
        space: names the materials.
        admits: refuses materials that violate a constraint.
    """
    label_s = _mean_cost(state, state.objective_fidelity)
    if not label_s:
        return []
    free = pool.free([e.material for e in state.evaluations()])
    prices = {}
    for name in list(state.methods)[:-1]:
        trust, cost = trusts.get(name, PRIOR), _mean_cost(state, name)
        if cost and trust.weight >= _IGNORED:
            queried = _queried(state, name)
            is_open = np.array([m.digest not in queried for m in pool.materials], dtype=bool)
            prices[name] = FidelityCost(trust.correlation, cost, free & is_open)
    queries = worthwhile_queries(
        Belief.of(pool.posterior),
        objective,
        best=incumbent(pool, objective),
        free=free,
        lower=prices,
        label_s=label_s,
    )
    queries += _survey(queries, prices, config.budget.cheap_share * config.budget.batch * label_s)
    seconds_left = _allowance(state, config)
    chosen = []
    for query in queries:
        material = pool.materials[query.at]
        if not admits(material):
            continue
        seconds_left -= prices[query.fidelity].cost_s
        if seconds_left < 0:
            break
        candidate = Candidate(material, AGENT, label=space.label(material))
        chosen.append(CandidateQuery(candidate, query.fidelity, query.value))
    return chosen


def _survey(
    queries: Sequence[LowFidelityQuery], prices: Mapping[str, FidelityCost], most_s: float
) -> list[LowFidelityQuery]:
    """Queries of all other materials, where that costs little beside a batch of labels.

    The value of a query looks only one step ahead. It does not include what all queries together
    tell about the space and the fidelity.
    """
    chosen = {query.at for query in queries}
    others: list[LowFidelityQuery] = []
    for name, price in prices.items():
        open_ = [int(at) for at in np.flatnonzero(price.open) if int(at) not in chosen]
        if (len(open_) + len(queries)) * price.cost_s <= most_s:
            others += [LowFidelityQuery(at, name, 0.0) for at in open_]
            chosen |= set(open_)
    return others


def precede_labels(
    state: CampaignState, config: CampaignConfig, queries: Sequence[CandidateQuery]
) -> bool:
    """Whether labels wait for these queries: together they cost little beside a batch of labels."""
    cost = sum(_mean_cost(state, query.fidelity) for query in queries)
    batch = config.budget.batch * _mean_cost(state, state.objective_fidelity)
    return 0 < cost <= config.budget.cheap_share * batch


def accompanying_queries(
    state: CampaignState,
    config: CampaignConfig,
    trusts: Mapping[str, Trust],
    chosen: Sequence[Selected],
    reserves: Sequence[Selected],
    planned: Sequence[CandidateQuery] = (),
) -> list[CandidateQuery]:
    """Queries of the candidates that are labelled, which tell how far a fidelity can be trusted.

    Before the cost of a fidelity is known, reserves are queried as well. Queries that are `planned`
    already are left out.
    """
    queries: list[CandidateQuery] = []
    for name in list(state.methods)[:-1]:
        if config.budget.cheap_share == 0 or trusts.get(name, PRIOR).weight < _IGNORED:
            continue
        queried = _queried(state, name) | {
            query.candidate.material.digest for query in planned if query.fidelity == name
        }
        cost = _mean_cost(state, name)
        unqueried = [s for s in chosen if s.candidate.material.digest not in queried]
        room = len(unqueried)
        if not cost:
            unqueried += [s for s in reserves if s.candidate.material.digest not in queried]
            room = _FIRST * config.budget.batch
        else:
            room = min(room, int(max(0.0, _allowance(state, config)) / cost))
        queries += [CandidateQuery(s.candidate, name) for s in unqueried[:room]]
    return queries


def ruled_out_digests(
    state: CampaignState, objective: Objective, pool: PoolPosterior, trusts: Mapping[str, Trust]
) -> frozenset[str]:
    """Digests of materials that a trusted low fidelity has ruled out; they are not explored."""
    observed: set[str] = set()
    for name, trust in trusts.items():
        if trust.weight >= _TRUSTED and trust.correlation >= _CORRELATED:
            observed |= {
                t.plan.digest
                for t in state.trials.values()
                if t.plan.fidelity == name and t.outcome and t.outcome.status == "measured"
            }
    is_observed = np.array([m.digest in observed for m in pool.materials], dtype=bool)
    if not is_observed.any():
        return frozenset()
    hopeless = ruled_out(pool.posterior, objective, is_observed)
    return frozenset(pool.materials[int(k)].digest for k in np.flatnonzero(hopeless))


def trust_metrics(trusts: Mapping[str, Trust]) -> dict[str, float]:
    """How far each low fidelity is believed, and whether it misleads."""
    metrics: dict[str, float] = {}
    for fidelity, trust in trusts.items():
        metrics[f"cheap_weight_{fidelity}"] = float(trust.weight)
        metrics[f"cheap_correlation_{fidelity}"] = float(trust.correlation)
        metrics[f"cheap_misleads_{fidelity}"] = float(trust.misleads)
    return metrics


def query_trials(
    queries: Sequence[CandidateQuery], oracles: Mapping[str, Oracle]
) -> list[ev.TrialPlan]:
    """The trials that make some queries, without ids."""
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
        for query in queries
    ]


def _allowance(state: CampaignState, config: CampaignConfig) -> float:
    """Seconds that queries may still cost, from recorded costs and not from a clock."""
    labels_s = sum(t.cost_s for t in state.objective_trials())
    queries_s = sum(t.cost_s for t in state.of_purpose("cheap"))
    return config.budget.cheap_share * labels_s - queries_s


def _mean_cost(state: CampaignState, fidelity: str) -> float:
    """Mean of the recorded costs of a fidelity's trials, s; 0 while there are none."""
    costs = [t.cost_s for t in state.trials.values() if t.plan.fidelity == fidelity and t.cost_s]
    return float(np.mean(costs)) if costs else 0.0


def _queried(state: CampaignState, fidelity: str) -> frozenset[str]:
    """Digests of the materials with a trial at a fidelity."""
    return frozenset(t.plan.digest for t in state.trials.values() if t.plan.fidelity == fidelity)
