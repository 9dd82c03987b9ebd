"""Campaigns with a low fidelity that is good, misleading, often unstable or too expensive."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.assembly.build import build_executor
from orchestrator.assembly.prepared import Prepared, prepare
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.state import CampaignState, Trial
from orchestrator.config.config import CampaignConfig
from orchestrator.config.loading import validate
from orchestrator.executors.protocol import Call
from orchestrator.rounds.planning import Planner
from orchestrator.running.loop import Loop
from orchestrator.running.runner import create
from orchestrator.running.trial_call import call_for
from orchestrator.store.lease import Lease
from orchestrator.store.store import Store

DESIGNS = [f"{i:06b}" for i in range(64)]


def truth() -> dict[str, float]:
    """Energies that are hard to predict from similar designs."""
    rng = np.random.default_rng(11)
    return {d: float(d.count("01") + 1.5 * rng.standard_normal()) for d in DESIGNS}


def config(
    folder: Path,
    cheap: Callable[[str, float], float | None],
    *,
    cost_s: float = 30.0,
    silent: tuple[str, ...] = (),
    **changes: Any,
) -> CampaignConfig:
    """A pool with a table of two fidelities; at the low one, `silent` designs are unstable."""
    rows = []
    for design, value in truth().items():
        stable = design not in silent
        rows.append(
            {
                "id": design,
                "rough": cheap(design, value) if stable else None,
                "stable": stable,
                "true": value,
            }
        )
    folder.mkdir(parents=True, exist_ok=True)
    pool = [{"id": d, "sequence": d} for d in DESIGNS]
    for name, lines in (("pool", pool), ("table", rows)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines))
    raw = {
        "name": "two",
        "seed": 3,
        "space": {"kind": "pool", "path": str(folder / "pool.jsonl")},
        "objective": {"property": "energy", "goal": "minimize", "log": False},
        "agents": [{"kind": "bayesian"}, {"kind": "random"}],
        "surrogate": {"kind": "gaussian-process"},
        "oracle": {
            "kind": "replay",
            "table": str(folder / "table.jsonl"),
            "fidelities": {
                "bte": {"column": "rough", "stable_column": "stable", "cost_s": cost_s},
                "dft": {"column": "true", "cost_s": 36000.0},
            },
        },
        "budget": {"batch": 1, "oracle_calls": 12},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
    }
    return validate(raw | changes, "test")


class _Killed(Exception):
    pass


class _Killer:
    """Stops the loop after every round."""

    def on_change(self, campaign: Campaign, in_flight: dict[str, tuple[str, float]]) -> None:
        pass

    def on_round(self, campaign: Campaign) -> None:
        raise _Killed


def run(folder: Path, settings: CampaignConfig, *, killed: bool = False) -> CampaignState:
    """The state at the end; with `killed`, every round is run by a newly created loop."""
    store = Store(folder / "home")
    create(store, prepare(settings))
    ended = False
    while not ended:
        prepared = prepare(settings)
        executor = build_executor(settings.executor)
        with Lease.acquire(store, settings.name) as lease:
            campaign = Campaign(store, settings.name, token=lease.token)
            planner = Planner(settings, prepared.space, prepared.oracles, executor, folder / "c")
            loop = Loop(
                campaign,
                planner,
                executor,
                call_for=partial(_call, campaign, prepared),
                observers=(_Killer(),) if killed else (),
            )
            try:
                loop.run()
                ended = True
            except _Killed:
                pass
    return Campaign(store, settings.name).state


def _call(campaign: Campaign, prepared: Prepared, trial: Trial) -> Call[Any, Any]:
    return call_for(trial, campaign, prepared.oracles)


def labels(state: CampaignState) -> list[str | None]:
    return [t.plan.label for t in state.objective_trials()]


def looked(state: CampaignState) -> set[str | None]:
    return {t.plan.label for t in state.of_purpose("cheap")}


def last(state: CampaignState) -> dict[str, float]:
    return state.rounds[-1].planned_metrics


def test_good_cheap_fidelity_is_bought_early_and_finds_the_best(tmp_path: Path) -> None:
    state = run(tmp_path, config(tmp_path, lambda _, value: 2.0 + value))
    rounds = [t.round for t in state.of_purpose("cheap")]
    assert looked(state) == set(DESIGNS)
    assert max(rounds) <= 3
    assert last(state)["cheap_weight_bte"] > 0.9
    assert last(state)["cheap_misleads_bte"] < 0.1
    assert last(state)["ruled_out"] > 10
    best = sorted(DESIGNS, key=lambda d: truth()[d])[:3]
    assert set(best) <= set(labels(state))
    assert len(labels(state)) == 12


def test_misleading_cheap_fidelity_is_noticed(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    noise = {d: float(2.0 * rng.standard_normal()) for d in DESIGNS}
    state = run(tmp_path, config(tmp_path, lambda design, _: noise[design]))
    assert last(state)["cheap_misleads_bte"] > 0.5
    assert last(state)["cheap_correlation_bte"] < 0.4
    assert last(state)["ruled_out"] == 0


def test_unstable_at_the_cheap_fidelity_can_still_be_chosen(tmp_path: Path) -> None:
    best = min(DESIGNS, key=lambda d: truth()[d])
    state = run(
        tmp_path,
        config(
            tmp_path,
            lambda _, value: value,
            silent=(best, *DESIGNS[::9]),
            budget={"batch": 1, "oracle_calls": 30},
        ),
    )
    chosen = [t for t in state.objective_trials() if t.plan.label in {best, *DESIGNS[::9]}]
    assert any(t.plan.purpose == "promise" for t in chosen)
    assert best in labels(state)


def test_a_look_as_dear_as_a_label_is_not_bought(tmp_path: Path) -> None:
    settings = config(tmp_path, lambda _, value: value, cost_s=36000.0)
    state = run(tmp_path, settings)
    assert len(looked(state)) <= 2  # before any cost was known


def test_without_a_share_it_decides_as_without_the_fidelity(tmp_path: Path) -> None:
    budget = {"batch": 1, "oracle_calls": 8, "cheap_share": 0.0}
    two = config(tmp_path / "two", lambda _, value: value, budget=budget)
    raw = two.model_dump(mode="json")
    del raw["oracle"]["fidelities"]["bte"]
    states = [run(tmp_path / "two", two), run(tmp_path / "one", validate(raw, "test"))]
    assert not looked(states[0])
    assert labels(states[0]) == labels(states[1])


def test_rounds_of_looks_do_not_count_as_rounds(tmp_path: Path) -> None:
    settings = config(
        tmp_path,
        lambda _, value: value,
        budget={"batch": 2, "rounds": 3, "oracle_calls": 50},
    )
    state = run(tmp_path, settings)
    assert len(labels(state)) == 6
    assert state.label_rounds == 3 < len(state.rounds)


@pytest.mark.parametrize("kind", ["gaussian-process", "multi-fidelity"])
def test_killed_after_every_round_it_decides_the_same(kind: str, tmp_path: Path) -> None:
    surrogate = {"kind": kind}
    plain, broken = tmp_path / "plain", tmp_path / "broken"
    budget = {"batch": 1, "oracle_calls": 6}
    first = run(plain, config(plain, lambda _, value: value, surrogate=surrogate, budget=budget))
    second = run(
        broken,
        config(broken, lambda _, value: value, surrogate=surrogate, budget=budget),
        killed=True,
    )
    decisions = [
        [
            (t.plan.label, t.plan.fidelity, t.plan.purpose, t.plan.acquisition)
            for t in s.trials.values()
        ]
        for s in (first, second)
    ]
    assert decisions[0] == decisions[1]
