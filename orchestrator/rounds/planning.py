"""Plans a round: fits the surrogate, has candidates proposed, selects a batch, checks constraints.

A plan follows from the recorded events and the seed alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from agents.acquisition.pool_posterior import (
    PoolPosterior,
    SharedSurrogate,
    expected_gain,
    pool_posterior,
)
from agents.contract.objective import Objective
from agents.contract.protocol import Candidate, Proposer, Space
from agents.selection.batch import Selected, select
from agents.selection.portfolio import shares
from agents.spaces.narrowed import Narrowed
from oracle.contract.protocol import Oracle
from orchestrator.assembly.build import (
    build_proposers,
    build_surrogate,
    kind_of,
    surrogate_settings,
)
from orchestrator.assembly.oracles import second_oracle
from orchestrator.calls.feature_calls import build_features
from orchestrator.calls.recipe import Recipe
from orchestrator.campaign import events as ev
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.metrics import calibration_of, credits_of
from orchestrator.campaign.state import CampaignState
from orchestrator.config.config import CampaignConfig
from orchestrator.config.kinds import KINDS
from orchestrator.executors.protocol import Executor
from orchestrator.rounds import coarse
from orchestrator.rounds.constraint_gate import ConstraintGate
from orchestrator.rounds.low_fidelity import (
    CandidateQuery,
    accompanying_queries,
    precede_labels,
    queries_by_value,
    query_trials,
    ruled_out_digests,
    trust_metrics,
)
from orchestrator.rounds.physical_prior import physical_prior
from orchestrator.rounds.pool_scan import narrowed
from orchestrator.rounds.proposals import Choice, proposals
from orchestrator.rounds.renewal import renewals
from orchestrator.rounds.trial_plans import confirmation_trials, label_trials, opinion_trials
from surrogate.contract.protocol import Calibration, Saving, Surrogate
from surrogate.fidelities.trust import Trust, Trusting

_FIT, _PROPOSE, _SELECT, _REGRET, _SHORTLIST = 1, 2, 3, 4, 5  # stage numbers of the random streams
_ATTEMPTS = 20  # at finding candidates that the gate admits, after one that found none
_NONE: Mapping[str, str] = MappingProxyType({})
_RESERVE = 4  # batches ranked as reserves, because the constraint gate rejects some candidates
_DRAWS = 64  # samples of the posterior from which the expected regret is computed


@dataclass(frozen=True)
class Plan:
    """A plan, ready to be recorded.

    Args:
        event: the round.
        candidates: those that the event names and that may be new.
        seconds: time by stage of planning, for the metrics.
    """

    event: ev.RoundPlanned
    candidates: tuple[Candidate, ...]
    seconds: dict[str, float]


@dataclass(frozen=True)
class _Situation:
    """What the plan of a round is based on.

    Args:
        number: of the round, from 1.
        state: of the campaign.
        objective: what is sought.
        surrogate: fitted on all labels; before the first label it is the prior, or None.
        space: the whole space, or with the shortlist to which it was narrowed.
        learned: whether there were labels.
    """

    number: int
    state: CampaignState
    objective: Objective
    surrogate: Surrogate | None
    space: Space
    learned: bool = True


@dataclass
class Planner:
    """Plans the rounds of one campaign.

    It has no memory that could influence a plan. Besides computed features, it keeps only the
    times of the last plan and its surrogate, whose weights can be saved.

    Args:
        config: settings in force.
        space: all materials.
        oracles: by fidelity, cheapest first.
        executor: computes features, screens large spaces and computes energies for constraints.
        cache: folder for features and energies.
        on_stage: called with the name of each stage as it begins.
    """

    config: CampaignConfig
    space: Space
    oracles: dict[str, Oracle]
    executor: Executor
    cache: Path
    on_stage: Callable[[str], None] = lambda stage: None
    _surrogate: Surrogate | None = field(default=None, init=False)
    _seconds: dict[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        fidelity = list(self.oracles)[-1]
        kind = kind_of(self.space)
        self._selection = self.config.selection.resolved(KINDS[kind].shares)
        self._proposers: dict[str, Proposer] = build_proposers(self.config, fidelity, kind)
        self._second = second_oracle(self.config)
        self._gate = ConstraintGate(self.config, self.space, self.executor, self.cache)
        # The surrogate need not predict materials that the constraints exclude in any case.
        self.space = self._gate.admissible(self.space)
        self._settings = surrogate_settings(self.config, self.space)
        self._features = build_features(self._settings, self.cache / "features", self.executor)

    def plan(self, campaign: Campaign, *, final: bool) -> Plan | None:
        """The next round; with `final`, only what evaluates leaders again at a campaign's end.

        Returns:
            None when nothing is left to be evaluated.
        """
        self._seconds = {}
        state, objective = campaign.state, campaign.objective
        choice = Choice()
        fidelity = state.objective_fidelity
        method = self.oracles[fidelity].method_digest
        again = self._again(state, objective, final=final)
        room = min(self.config.dft.renewed, self._room(state))
        renewed = [] if final else renewals(state, objective, method, room)
        if not final and not renewed:
            choice = self._choose(state, objective)
            if not choice.chosen and not choice.queries:
                again = self._again(state, objective, final=True)
        if not choice.chosen and not choice.queries and not again and not renewed:
            return None
        is_new = choice.chosen or choice.queries or renewed or not state.rounds
        number = len(state.rounds) + (1 if is_new else 0)
        trials = [*label_trials(choice.chosen, fidelity, method), *renewed, *again]
        trials += query_trials(choice.queries, self.oracles)
        trials = [
            trial.model_copy(
                update={"id": f"t-{len(state.trials) + i:04d}", "generation": state.generation}
            )
            for i, trial in enumerate(trials, start=1)
        ]
        event = ev.RoundPlanned(
            round=number,
            trials=tuple(trials),
            metrics=choice.metrics,
            rejected=choice.rejected,
            screened=self._gate.computed,
            notes=choice.notes,
        )
        named = {trial.candidate for trial in trials} | choice.rejected.keys()
        candidates = [s.candidate for s in (*choice.chosen, *self._gate.rejected)]
        candidates += [query.candidate for query in choice.queries]
        return Plan(event, tuple(c for c in candidates if c.id in named), self._seconds)

    def _again(
        self, state: CampaignState, objective: Objective, *, final: bool
    ) -> list[ev.TrialPlan]:
        """Confirmations of leaders, and second opinions on those that are confirmed."""
        oracle, settings = self.oracles[state.objective_fidelity], self.config.confirmation
        return [
            *confirmation_trials(state, objective, settings, oracle, final=final),
            *opinion_trials(state, objective, settings, self._second, final=final),
        ]

    def use(self, oracles: dict[str, Oracle]) -> None:
        """Plan with other oracles from now on, namely those of a healed potential."""
        self.oracles = oracles

    def save_surrogate(self, path: Path) -> Path | None:
        """Write the current surrogate's weights as safetensors; None before the first fit."""
        if self._surrogate is None or not isinstance(self._surrogate, Saving):
            return None
        self._surrogate.save(path)
        return path

    def _choose(self, state: CampaignState, objective: Objective) -> Choice:
        """The candidates and queries of the next round, apart from renewals and confirmations."""
        number = len(state.rounds) + 1
        with self._stage("fit"):
            surrogate, calibration = self._fit(state, objective, number)
        metrics = {
            "calibration_scale": calibration.scale,
            "calibration_trials": float(calibration.trials),
        }
        trusts: Mapping[str, Trust] = {}
        queries: list[CandidateQuery] = []
        situation = _Situation(number, state, objective, surrogate, self.space)
        excluded: frozenset[str] = frozenset()
        pool: PoolPosterior | None = None
        if surrogate is not None:
            if self._surrogate is not None and isinstance(self._surrogate, Trusting):
                trusts = self._surrogate.trusts
            metrics |= trust_metrics(trusts)
            recipe = self._recipe(state, objective, calibration, number)
            situation = replace(situation, space=self._narrowed(recipe, situation))
        if surrogate is not None and len(self.oracles) > 1:
            pool = self._pool_posterior(situation, surrogate)
            admits = self._gate.admitting(state.rejected)
            queries = queries_by_value(
                state, self.config, objective, pool, trusts, self.space, admits
            )
            if precede_labels(state, self.config, queries):
                self._gate.reset()
                return Choice(queries=tuple(queries), metrics=metrics)
            excluded = ruled_out_digests(state, objective, pool, trusts)
            metrics["ruled_out"] = float(len(excluded))
        if surrogate is None:
            recipe = self._recipe(state, objective, calibration, number)
            space = self._drawn(situation)
            with self._stage("prior"):
                prior = physical_prior(recipe, space, objective, self._selection, self._features)
            situation = replace(situation, space=space, surrogate=prior, learned=False)
        choice = self._labels(situation, excluded)
        rejected = dict(choice.rejected)
        for _ in range(_ATTEMPTS):
            if choice.chosen or not choice.rejected:
                break
            if isinstance(situation.space, Narrowed):
                wider = self._drawn(situation, coarse.WIDER, rejected)
                situation = replace(situation, space=wider)
            choice = self._labels(situation, excluded, rejected)
            rejected |= choice.rejected
        choice = replace(choice, rejected=rejected)
        metrics |= choice.metrics
        if surrogate is not None:
            pool = pool or self._pool_posterior(situation, surrogate)
            drawing = _DRAWS, self._rng(number, _REGRET, 1)
            metrics["regret_to_posterior"] = expected_gain(pool, objective, *drawing)
        if not choice.chosen:
            return replace(choice, metrics=metrics)
        queries += accompanying_queries(
            state, self.config, trusts, choice.chosen, self._gate.reserves, planned=queries
        )
        return replace(choice, queries=tuple(queries), metrics=metrics)

    def _labels(
        self, situation: _Situation, excluded: frozenset[str], rejected: Mapping[str, str] = _NONE
    ) -> Choice:
        """Candidates to be labelled, other than those that were rejected before in the round."""
        state, objective, number = situation.state, situation.objective, situation.number
        count = self._room(state)
        evaluations, settings = state.evaluations(), self._selection
        slots = shares(
            tuple(self._proposers),
            credits_of(state, objective),
            count,
            floor=settings.floor_share,
            half_life=settings.half_life,
        )
        with self._stage("propose"):
            proposed = proposals(
                self._proposers,
                lambda agent, proposer: proposer.propose(
                    4 * count,
                    space=situation.space,
                    objective=objective,
                    evaluations=evaluations,
                    pending=(),
                    surrogate=situation.surrogate,
                    rng=self._rng(number, _PROPOSE, agent),
                ),
            )
        with self._stage("select"):
            selection = select(
                count,
                round_number=state.label_rounds + 1,
                settings=settings,
                space=situation.space,
                objective=objective,
                evaluations=evaluations,
                pending=(),
                surrogate=situation.surrogate,
                fidelity=state.objective_fidelity,
                proposals=proposed.candidates,
                shares=slots,
                rng=self._rng(number, _SELECT, 0),
                admit=self._gate.admitting(state.rejected, rejected),
                reserve=_RESERVE * count if self._gate.computes or len(self.oracles) > 1 else 0,
                excluded=excluded,
            )
        with self._stage("screen"):
            chosen, refused = self._gate.first_allowed(
                selection, count, [e.material for e in evaluations], again=bool(rejected)
            )
        metrics = {f"share_{name}": float(slot) for name, slot in slots.items()}
        metrics |= proposed.metrics | {"rejected": float(len(rejected) + len(refused))}
        if situation.learned:
            metrics |= selection.spreads
            return Choice(tuple(chosen), (), metrics, refused, proposed.notes)
        # What physics says is no prediction of the surrogate, by which it could be calibrated.
        plain = tuple(Selected(one.candidate, one.purpose) for one in chosen)
        return Choice(plain, (), metrics, refused, proposed.notes)

    def _pool_posterior(self, situation: _Situation, surrogate: Surrogate) -> PoolPosterior:
        """Predictions for the whole space, or for a large sample of it."""
        return pool_posterior(
            situation.space,
            objective=situation.objective,
            evaluations=situation.state.evaluations(),
            surrogate=surrogate,
            fidelity=situation.state.objective_fidelity,
            limit=self.config.selection.pool_limit,
            rng=self._rng(situation.number, _REGRET, 0),
        )

    def _fit(
        self, state: CampaignState, objective: Objective, number: int
    ) -> tuple[Surrogate | None, Calibration]:
        labels = state.evaluations()
        if not any(evaluation.status == "measured" for evaluation in labels):
            return None, Calibration()
        calibration = calibration_of(state, objective)
        recipe = self._recipe(state, objective, calibration, number)
        surrogate = build_surrogate(
            self._settings, objective.outputs, recipe.fidelity, recipe.seed, self._features
        )
        self._surrogate = surrogate
        shared = SharedSurrogate(surrogate)
        shared.fit(recipe.evaluations, calibration=calibration)
        return shared, calibration

    def _recipe(
        self, state: CampaignState, objective: Objective, calibration: Calibration, number: int
    ) -> Recipe:
        seed = int(self._rng(number, _FIT, 0).integers(2**31))
        return Recipe.of(state, self._settings, objective, seed, calibration)

    def _narrowed(self, recipe: Recipe, situation: _Situation) -> Space:
        """The space, with a shortlist where it is too large to be screened in one process."""
        with self._stage("shortlist"):
            return narrowed(
                self.space,
                self.executor,
                recipe,
                situation.objective,
                settings=self.config.selection,
                cache=self.cache / "features",
                rng=self._rng(situation.number, _SHORTLIST, 0),
                fixed_rng=self._rng(0, _SHORTLIST, 0),
                rejected=situation.state.rejected,
            )

    def _drawn(
        self, situation: _Situation, times: int = 1, rejected: Mapping[str, str] = _NONE
    ) -> Space:
        """The space, with a shortlist drawn without labels where it has too many crystals."""
        objective, rng = situation.objective, self._rng(0, _SHORTLIST, 0)
        asked = self._settings, self._selection, rng, times, rejected
        return coarse.without_labels(self.space, situation.state, objective, *asked)

    def _room(self, state: CampaignState) -> int:
        """Largest number of trials at the objective's fidelity in the round."""
        budget, size = self.config.budget, self.space.size
        batch = budget.batch if size is None else min(budget.batch, size)
        return max(0, min(batch, budget.oracle_calls - state.calls_used))

    def _rng(self, number: int, stage: int, agent: int) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, number, stage, agent])

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self.on_stage(name)
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[f"seconds_{name}"] = time.perf_counter() - began
