"""Decides a round: fit, propose, select, screen. A pure function of the events and the seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agents.objective import Objective
from agents.portfolio import History, shares
from agents.protocol import Candidate, Proposer, Space
from agents.selection import Selected, select
from oracle.material import Crystal, Superlattice
from oracle.protocol import Oracle
from orchestrator import events as ev
from orchestrator.build import build_proposers, build_surrogate, tightened
from orchestrator.campaign import Campaign
from orchestrator.config import CampaignConfig
from orchestrator.confirmation import level_for, wanted
from orchestrator.executor import Executor
from orchestrator.metrics import calibration_of
from orchestrator.screening import Screener
from orchestrator.state import CampaignState
from surrogate.protocol import Calibration, Surrogate

_FIT, _PROPOSE, _SELECT = 1, 2, 3  # stage numbers of the random streams


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


@dataclass
class Planner:
    """Plans rounds of one campaign.

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
        self._proposers: dict[str, Proposer] = build_proposers(self.config)
        self._screener = Screener(self.config, self.space, self.executor, self.cache)

    def plan(self, campaign: Campaign, *, final: bool) -> Plan | None:
        """The next round; with `final`, only the confirmations without which it cannot end.

        Returns:
            None when there is nothing left to do.
        """
        self._seconds = {}
        state, objective = campaign.state, campaign.objective
        confirmations = self._confirmations(state, objective, final=final)
        chosen: list[Selected] = []
        metrics: dict[str, float] = {}
        rejected: dict[str, str] = {}
        if not final:
            chosen, metrics, rejected = self._choose(state, objective)
            if not chosen:
                confirmations = self._confirmations(state, objective, final=True)
        if not chosen and not confirmations:
            return None
        number = len(state.rounds) + (1 if chosen or not state.rounds else 0)
        trials = [*self._trials(state, chosen), *confirmations]
        trials = [
            trial.model_copy(update={"id": f"t-{len(state.trials) + i:04d}"})
            for i, trial in enumerate(trials, start=1)
        ]
        event = ev.RoundPlanned(
            round=number,
            trials=tuple(trials),
            metrics=metrics,
            rejected=rejected,
            screened={s.candidate.id: v for s in chosen if (v := self._screener.numbers(s))},
        )
        return Plan(event, tuple(s.candidate for s in chosen), self._seconds)

    def save_surrogate(self, path: Path) -> Path | None:
        """Write the current surrogate's weights as safetensors; None before the first fit."""
        save = getattr(self._surrogate, "save", None)
        if save is None:
            return None
        save(path)
        return path

    def _choose(
        self, state: CampaignState, objective: Objective
    ) -> tuple[list[Selected], dict[str, float], dict[str, str]]:
        """Candidates for this round, metrics of the choice, and who was rejected for what."""
        number = len(state.rounds) + 1
        with self._stage("fit"):
            self._surrogate, calibration = self._fit(state, objective, number)
        pending: list[Crystal | Superlattice] = []
        count = self._room(state)
        evaluations = state.evaluations()
        history = [
            History(trial.plan.agent, trial.round, objective.score_of(trial.outcome))
            for trial in state.objective_trials()
            if trial.outcome is not None and trial.plan.purpose == "promise"
        ]
        with self._stage("propose"):
            wanted_shares = shares(
                tuple(self._proposers), history, count, settings=self.config.selection
            )
            proposals = {
                name: proposer.propose(
                    max(4 * count, 16),
                    space=self.space,
                    objective=objective,
                    evaluations=evaluations,
                    pending=pending,
                    surrogate=self._surrogate,
                    rng=self._rng(number, _PROPOSE, agent),
                )
                for agent, (name, proposer) in enumerate(self._proposers.items())
            }
        with self._stage("select"):
            ranked, metrics = select(
                proposals,
                wanted_shares,
                count,
                round_number=number,
                space=self.space,
                objective=objective,
                evaluations=evaluations,
                excluded=set(state.rejected),
                surrogate=self._surrogate,
                settings=self.config.selection,
                rng=self._rng(number, _SELECT, 0),
            )
        with self._stage("screen"):
            chosen, rejected = self._screener.first_allowed(ranked, count)
        metrics |= {
            f"share_{name}": float(share) for name, share in wanted_shares.items()
        }
        metrics |= {
            "calibration_scale": calibration.scale,
            "calibration_trials": float(calibration.trials),
            "rejected": float(len(rejected)),
        }
        return chosen, metrics, rejected

    def _fit(
        self, state: CampaignState, objective: Objective, number: int
    ) -> tuple[Surrogate | None, Calibration]:
        labels = state.evaluations()
        if not any(evaluation.status == "measured" for evaluation in labels):
            return None, Calibration()
        surrogate = build_surrogate(
            self.config,
            self.space,
            objective,
            fidelity=state.objective_fidelity,
            seed=int(self._rng(number, _FIT, 0).integers(2**31)),
            cache=self.cache,
            executor=self.executor,
        )
        calibration = calibration_of(state, objective)
        surrogate.fit([*labels, *state.cheap_evaluations()], calibration=calibration)
        return surrogate, calibration

    def _room(self, state: CampaignState) -> int:
        """How many trials at the objective's fidelity the round may have."""
        used = len([t for t in state.objective_trials() if t.status != "CANCELLED"])
        return max(0, min(self.config.budget.batch, self.config.budget.oracle_calls - used))

    def _trials(self, state: CampaignState, chosen: list[Selected]) -> list[ev.TrialPlan]:
        fidelity = state.objective_fidelity
        return [
            ev.TrialPlan(
                id="",
                candidate=s.candidate.id,
                digest=s.candidate.material.digest,
                fidelity=fidelity,
                method=self.oracles[fidelity].method_digest,
                purpose=s.purpose,
                agent=s.candidate.agent,
                parents=s.candidate.parents,
                label=s.candidate.label,
                belief=s.belief,
                acquisition=s.acquisition,
            )
            for s in chosen
        ]

    def _confirmations(
        self, state: CampaignState, objective: Objective, *, final: bool
    ) -> list[ev.TrialPlan]:
        fidelity = state.objective_fidelity
        plans = []
        for label in wanted(state, objective, self.config.confirmation, final=final):
            level = level_for(state, label)
            oracle = tightened(self.oracles[fidelity], level)
            first = state.trials[label.trial].plan
            plans.append(
                first.model_copy(
                    update={
                        "level": level,
                        "method": oracle.method_digest,
                        "purpose": "confirm",
                        "acquisition": None,
                        "belief": None,
                    }
                )
            )
        return plans

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
