"""Decides a round: fit, propose, select, screen. What is decided follows from events and seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from agents.acquisition.pool_posterior import PoolPosterior, SharedSurrogate, pool_posterior
from agents.contract.objective import Objective
from agents.contract.protocol import Candidate, Proposer, Space
from agents.selection.batch import Selected, Selection, select
from agents.selection.portfolio import shares
from oracle.contract.protocol import Oracle
from oracle.materials.material import Material
from orchestrator.assembly.build import (
    build_proposers,
    build_surrogate,
    kind_of,
    surrogate_settings,
)
from orchestrator.calls.feature_calls import build_features
from orchestrator.calls.recipe import Recipe
from orchestrator.campaign import events as ev
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.metrics import calibration_of, credits_of
from orchestrator.campaign.state import CampaignState
from orchestrator.config.config import CampaignConfig
from orchestrator.config.kinds import KINDS
from orchestrator.executors.protocol import Executor
from orchestrator.rounds.constraint_gate import Screener
from orchestrator.rounds.low_fidelity import (
    CheapLook,
    cheap_trials,
    come_first,
    riding_along,
    trust_metrics,
    worthwhile,
)
from orchestrator.rounds.low_fidelity import excluded as excluded_by_looks
from orchestrator.rounds.pool_scan import narrowed
from orchestrator.rounds.renewal import renewals
from orchestrator.rounds.trial_plans import confirmation_trials, label_trials
from surrogate.contract.protocol import Calibration, Saving, Surrogate
from surrogate.fidelities.trust import Trust, Trusting

_FIT, _PROPOSE, _SELECT, _REGRET, _SHORTLIST = 1, 2, 3, 4, 5  # stage numbers of the random streams
_RESERVE = 4  # candidates ranked beyond the batch, in batches, because screening rejects some
_DRAWS = 64  # of the posterior, for the expected regret


@dataclass(frozen=True)
class Plan:
    """A decision, ready to be recorded.

    Args:
        event: the round.
        candidates: the materials it names.
        seconds: time by stage, for the metrics.
    """

    event: ev.RoundPlanned
    candidates: tuple[Candidate, ...]
    seconds: dict[str, float]


@dataclass(frozen=True)
class _Choice:
    """Labels and looks of a round, its metrics, and who was rejected for what."""

    chosen: tuple[Selected, ...] = ()
    looks: tuple[CheapLook, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Given:
    """What a round is decided on.

    Args:
        number: of the round, from 1.
        state: of the campaign.
        objective: what is sought.
        surrogate: fitted on all labels, or None before the first.
        looked: the space, or the shortlist of it that is looked at closely.
    """

    number: int
    state: CampaignState
    objective: Objective
    surrogate: Surrogate | None
    looked: Space


@dataclass
class Planner:
    """Plans rounds of one campaign.

    Beside features, which are computed once, it keeps nothing that a decision rests on: only the
    times of the last plan and its surrogate, for whoever wants its weights.

    Args:
        config: settings in force.
        space: all materials.
        oracles: by fidelity, cheapest first.
        executor: for feature and screening shards.
        cache: folder for features and screening results.
        on_stage: told what is being done.
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
        self._screener = Screener(self.config, self.space, self.executor, self.cache)
        # What no constraint will ever let through need not be looked at by the surrogate.
        self.space = self._screener.admissible(self.space)
        self._settings = surrogate_settings(self.config, self.space)
        self._features = build_features(self._settings, self.cache / "features", self.executor)

    def plan(self, campaign: Campaign, *, final: bool) -> Plan | None:
        """The next round; with `final`, only the confirmations without which it cannot end.

        Returns:
            None when there is nothing left to do.
        """
        self._seconds = {}
        state, objective = campaign.state, campaign.objective
        choice = _Choice()
        fidelity = state.objective_fidelity
        oracle, settings = self.oracles[fidelity], self.config.confirmation
        method = oracle.method_digest
        confirmations = confirmation_trials(state, objective, settings, oracle, final=final)
        room = min(self.config.dft.renewed, self._room(state))
        renewed = [] if final else renewals(state, objective, method, room)
        if not final and not renewed:
            choice = self._choose(state, objective)
            if not choice.chosen and not choice.looks:
                confirmations = confirmation_trials(state, objective, settings, oracle, final=True)
        if not choice.chosen and not choice.looks and not confirmations and not renewed:
            return None
        new = choice.chosen or choice.looks or renewed or not state.rounds
        number = len(state.rounds) + (1 if new else 0)
        trials = [*label_trials(choice.chosen, fidelity, method), *renewed, *confirmations]
        trials += cheap_trials(choice.looks, self.oracles)
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
            screened=self._screener.computed,
        )
        named = {trial.candidate for trial in trials} | choice.rejected.keys()
        candidates = [s.candidate for s in (*choice.chosen, *self._screener.refused)]
        candidates += [look.candidate for look in choice.looks]
        return Plan(event, tuple(c for c in candidates if c.id in named), self._seconds)

    def use(self, oracles: dict[str, Oracle]) -> None:
        """Plan with other oracles from now on: those of a healed potential."""
        self.oracles = oracles

    def save_surrogate(self, path: Path) -> Path | None:
        """Write the current surrogate's weights as safetensors; None before the first fit."""
        if self._surrogate is None or not isinstance(self._surrogate, Saving):
            return None
        self._surrogate.save(path)
        return path

    def _choose(self, state: CampaignState, objective: Objective) -> _Choice:
        """What this round measures, at which fidelity; metrics; and who was rejected for what."""
        number = len(state.rounds) + 1
        with self._stage("fit"):
            surrogate, calibration = self._fit(state, objective, number)
        metrics = {
            "calibration_scale": calibration.scale,
            "calibration_trials": float(calibration.trials),
        }
        trusts: Mapping[str, Trust] = {}
        found: list[CheapLook] = []
        given = _Given(number, state, objective, surrogate, self.space)
        excluded: frozenset[str] = frozenset()
        screened: PoolPosterior | None = None
        if surrogate is not None:
            if self._surrogate is not None and isinstance(self._surrogate, Trusting):
                trusts = self._surrogate.trusts
            metrics |= trust_metrics(trusts)
            recipe = self._recipe(state, objective, calibration, number)
            given = replace(given, looked=self._narrowed(recipe, objective, number))
        if surrogate is not None and len(self.oracles) > 1:
            screened = self._screened(given, surrogate)
            found = worthwhile(
                state, self.config, objective, screened, trusts, self.space, self._admits(state)
            )
            if come_first(state, self.config, found):
                self._screener.forget()
                return _Choice(looks=tuple(found), metrics=metrics)
            excluded = excluded_by_looks(state, objective, screened, trusts)
            metrics["ruled_out"] = float(len(excluded))
        chosen, more, rejected = self._labels(given, excluded)
        if surrogate is not None:
            screened = screened or self._screened(given, surrogate)
            more["regret_to_posterior"] = self._regret(screened, objective, number)
        if not chosen:
            return _Choice(metrics=metrics | more, rejected=rejected)
        found += riding_along(
            state, self.config, trusts, chosen, self._screener.reserves, known=found
        )
        return _Choice(tuple(chosen), tuple(found), metrics | more, rejected)

    def _labels(
        self, given: _Given, excluded: frozenset[str]
    ) -> tuple[list[Selected], dict[str, float], dict[str, str]]:
        """Candidates to be labelled, metrics of the choice, and who was rejected for what."""
        state, objective, number = given.state, given.objective, given.number
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
            proposals = {
                name: proposer.propose(
                    4 * count,
                    space=given.looked,
                    objective=objective,
                    evaluations=evaluations,
                    pending=(),
                    surrogate=given.surrogate,
                    rng=self._rng(number, _PROPOSE, agent),
                )
                for agent, (name, proposer) in enumerate(self._proposers.items())
            }
        with self._stage("select"):
            plan = select(
                count,
                round_number=state.label_rounds + 1,
                settings=settings,
                space=given.looked,
                objective=objective,
                evaluations=evaluations,
                pending=(),
                surrogate=given.surrogate,
                fidelity=state.objective_fidelity,
                proposals=proposals,
                shares=slots,
                rng=self._rng(number, _SELECT, 0),
                admit=self._admits(state),
                reserve=_RESERVE * count if self._needs_reserves else 0,
                excluded=excluded,
            )
        with self._stage("screen"):
            chosen, rejected = self._screener.first_allowed(plan, count)
        metrics = {f"share_{name}": float(slot) for name, slot in slots.items()}
        metrics |= {"rejected": float(len(rejected))} | _spreads(plan)
        return chosen, metrics, rejected

    def _admits(self, state: CampaignState) -> Callable[[Material], bool]:
        return lambda material: self._screener.admits(material, state.rejected)

    def _screened(self, given: _Given, surrogate: Surrogate) -> PoolPosterior:
        """Predictions for the whole space, or for a large sample of it."""
        return pool_posterior(
            given.looked,
            objective=given.objective,
            evaluations=given.state.evaluations(),
            surrogate=surrogate,
            fidelity=given.state.objective_fidelity,
            limit=self.config.selection.pool_limit,
            rng=self._rng(given.number, _REGRET, 0),
        )

    def _regret(self, screened: PoolPosterior, objective: Objective, number: int) -> float:
        """Expected gain of the best of the whole space over the best found, modelled scale."""
        draws = screened.posterior.sample(_DRAWS, self._rng(number, _REGRET, 1))[..., 0]
        scores = objective.score(draws)
        stable = screened.posterior.p_stable >= 0.5
        if screened.best is None or not stable.any():
            return 0.0
        return float(np.maximum(scores[:, stable].max(axis=1) - screened.best, 0.0).mean())

    @property
    def _needs_reserves(self) -> bool:
        """Screening may refuse some of a batch, and cheaper fidelities look at what comes next."""
        return self._screener.computes or len(self.oracles) > 1

    def _fit(
        self, state: CampaignState, objective: Objective, number: int
    ) -> tuple[Surrogate | None, Calibration]:
        labels = state.evaluations()
        if not any(evaluation.status == "measured" for evaluation in labels):
            return None, Calibration()
        calibration = calibration_of(state, objective)
        recipe = self._recipe(state, objective, calibration, number)
        surrogate = build_surrogate(
            self._settings, (recipe.output,), recipe.fidelity, recipe.seed, self._features
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

    def _narrowed(self, recipe: Recipe, objective: Objective, number: int) -> Space:
        """The space, with a shortlist where it is too large to be screened in one process."""
        with self._stage("shortlist"):
            return narrowed(
                self.space,
                self.executor,
                recipe,
                objective,
                settings=self.config.selection,
                cache=self.cache / "features",
                rng=self._rng(number, _SHORTLIST, 0),
            )

    def _room(self, state: CampaignState) -> int:
        """How many trials at the objective's fidelity the round may have."""
        budget, most = self.config.budget, self.space.size
        batch = budget.batch if most is None else min(budget.batch, most)
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


def _spreads(plan: Selection) -> dict[str, float]:
    """Mean spread of the holes chosen and median of the pool: the first must exceed the second."""
    found = {"hole_spread": plan.exploration_spread, "pool_spread": plan.pool_spread}
    return {name: value for name, value in found.items() if value is not None}
