"""Of a large space of crystals, only some get features of the potential."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from agents.chemistry.rough_estimates import rough_order
from agents.contract.objective import Objective
from agents.contract.protocol import Space
from agents.selection.settings import SelectionSettings
from agents.spaces.finite import FiniteSpace
from agents.spaces.narrowed import Narrowed
from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.crystal import Crystal
from oracle.materials.superlattice import Superlattice
from orchestrator.assembly.build import build_space
from orchestrator.assembly.oracles import build_oracle
from orchestrator.assembly.prepared import prepare
from orchestrator.calls import oracle_calls
from orchestrator.calls.oracle_calls import EnergyAnswer, EnergyRequest, EvaluationRequest
from orchestrator.calls.recipe import Recipe
from orchestrator.campaign.campaign import Campaign
from orchestrator.config.config import CampaignConfig
from orchestrator.config.loading import validate
from orchestrator.config.run_settings import ExecutorSettings
from orchestrator.executors.protocol import CallContext
from orchestrator.executors.serial_executor import SerialExecutor
from orchestrator.rounds import coarse
from orchestrator.rounds.pool_scan import narrowed
from orchestrator.running.runner import create, run_campaign
from orchestrator.store.store import Store
from surrogate.contract.protocol import Calibration
from surrogate.contract.settings import GraphEnsembleSettings, RandomForestSettings
from surrogate.features import plain_descriptors

LJ = "ase.calculators.lj:LennardJones"
SPACE = {
    "kind": "prototypes",
    "prototypes": ["rocksalt", "cscl", "zincblende", "wurtzite"],
    "elements": ["Li", "Na", "K", "Rb", "Cs", "F", "Cl", "Br", "I"],
}
OBJECTIVE = Objective("kappa", 300.0, "minimize")


def _config(**changes: Any) -> CampaignConfig:
    return validate(
        {
            "name": "many",
            "seed": 1,
            "space": SPACE,
            "objective": {"property": "kappa", "temperature": 300, "goal": "minimize"},
            "constraints": ["dynamically_stable"],
            "surrogate": {"kind": "gaussian-process", "features": LJ},
            "oracle": {"kind": "phonon-bte", "calculator": LJ},
            "confirmation": {"leaders": 0},
            "budget": {"batch": 4, "oracle_calls": 20},
            "executor": {"kind": "serial"},
            "tracking": {"enabled": False},
            **changes,
        },
        "test",
    )


def _kappa(crystal: Crystal) -> float:
    structure = crystal.structure()
    mass = structure.composition.weight / len(structure)
    return 500.0 / mass / (structure.volume / len(structure)) ** 0.5 * (1 + len(structure) / 8)


def _label(crystal: Crystal, method: str = "m") -> Measured:
    return Measured(
        material=crystal,
        fidelity="bte",
        method=method,
        cost_s=1.0,
        stage="bte",
        temperature=(300.0,),
        properties={"kappa": Quantity(value=[_kappa(crystal)], unit="W/m/K", per_temperature=True)},
    )


def _evaluated(request: EvaluationRequest, context: CallContext) -> Measured:
    assert isinstance(request.material, Crystal)
    method = build_oracle(request.oracle, request.fidelity).method_digest
    return _label(request.material, method)


def _run(folder: Path, **changes: Any) -> Campaign:
    store = Store(folder / "home")
    create(store, prepare(_config(**changes)))
    run_campaign(store, "many", console=Console(file=io.StringIO()))
    return Campaign(store, "many")


def _with_features(folder: Path) -> int:
    """Crystals of which the campaign has features, in the files of its home."""
    return len(list((folder / "home").glob("cache/features/**/*.safetensors")))


def test_few_get_features_and_the_best_are_found(
    tmp_path: Path, stand_in: Callable[[Any, Any], None]
) -> None:
    stand_in(oracle_calls.evaluate, _evaluated)
    campaign = _run(tmp_path, selection={"exact_limit": 24})
    crystals = [c for c in build_space(campaign.config.space) if isinstance(c, Crystal)]
    assert len(crystals) == 80
    best = sorted(map(_kappa, crystals))
    found = sorted(
        _kappa(label.evaluation.material)
        for label in campaign.state.labels.values()
        if isinstance(label.evaluation.material, Crystal)
    )
    assert found[0] == best[0]
    # Of 20 random ones of 80, 5 or more of the best 8 have a probability of 3 %.
    assert sum(value <= best[7] for value in found) >= 5
    assert 24 <= _with_features(tmp_path) < 70


def test_the_whole_space_can_be_evaluated(
    tmp_path: Path, stand_in: Callable[[Any, Any], None]
) -> None:
    stand_in(oracle_calls.evaluate, _evaluated)
    small = SPACE | {"elements": ["Na", "K", "F", "Cl"]}
    changes = {"space": small, "selection": {"exact_limit": 3}}
    campaign = _run(tmp_path, budget={"batch": 4, "oracle_calls": 40}, **changes)
    assert campaign.state.stopped is not None
    assert campaign.state.stopped.state == "finished"
    assert len(campaign.state.labels) == build_space(campaign.config.space).size == 16


def _wurtzites_only(request: EnergyRequest, context: CallContext) -> EnergyAnswer:
    above = 0.0 if request.material.spacegroup[1] == 186 else 1.0
    return EnergyAnswer({"energy_above_best_polymorph": above})


@pytest.mark.parametrize("limit", [4, 200])
def test_rejected_candidates_do_not_end_the_campaign(
    limit: int, tmp_path: Path, stand_in: Callable[[Any, Any], None]
) -> None:
    """The best are all excluded: wurtzites conduct best here, and come last."""
    stand_in(oracle_calls.evaluate, _evaluated)
    stand_in(oracle_calls.energies, _wurtzites_only)
    campaign = _run(
        tmp_path,
        constraints=[{"energy_above_best_polymorph": 0.0}],
        selection={"exact_limit": limit},
        budget={"batch": 4, "oracle_calls": 24},
    )
    found = [label.evaluation.material for label in campaign.state.labels.values()]
    assert len(found) == 20
    assert {c.spacegroup[1] for c in found if isinstance(c, Crystal)} == {186}
    assert len(campaign.state.rejected) == 60
    assert campaign.state.stopped is not None
    assert campaign.state.stopped.reason == "the space is used up"
    known = campaign.store.formulas(list(campaign.state.rejected))
    assert known.keys() == campaign.state.rejected.keys()  # people can look at each


def _looked(space: Space, evaluations: list[Measured], folder: Path, seed: int) -> Space:
    return narrowed(
        space,
        SerialExecutor(ExecutorSettings(kind="serial")),
        Recipe(
            GraphEnsembleSettings(features=LJ),
            OBJECTIVE.output,
            "bte",
            seed,
            evaluations,
            Calibration(),
        ),
        OBJECTIVE,
        settings=SelectionSettings(exact_limit=20),
        cache=folder,
        rng=np.random.default_rng(seed),
        fixed_rng=np.random.default_rng(3),
    )


def test_they_are_others_than_those_with_labels_and_a_part_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_descriptors, "_SAVED", 3)
    space = build_space(_config().space)
    crystals = [c for c in space if isinstance(c, Crystal)]
    shortlists = []
    for number, known in enumerate((5, 9)):
        labels = [_label(crystal) for crystal in crystals[10 : 10 + known]]
        narrow = _looked(space, labels, tmp_path, number)
        assert isinstance(narrow, Narrowed)
        assert len(narrow.shortlist) < len(list(narrow)) == len(crystals)
        assert len(narrow.shortlist) == 20
        assert len(list((tmp_path / "plain").iterdir())) == 1  # the space is described once
        assert not {c.digest for c in narrow.shortlist} & {x.material.digest for x in labels}
        shortlists.append({material.digest for material in narrow.shortlist})
    assert len(shortlists[0] & shortlists[1]) >= 5  # a quarter is random, and the same


@pytest.mark.parametrize(("goal", "last"), [("minimize", False), ("maximize", True)])
def test_before_the_first_label_half_are_best_by_a_rough_estimate(goal: Any, last: bool) -> None:
    space = build_space(_config().space)
    objective = Objective("kappa", 300.0, goal)
    first, again = (
        coarse.drawn(space, objective, count=20, rng=np.random.default_rng(5)) for _ in range(2)
    )
    assert isinstance(first, Narrowed)
    assert isinstance(again, Narrowed)
    assert first.shortlist == again.shortlist
    assert len(set(first.shortlist)) == 20
    crystals = [c for c in space if isinstance(c, Crystal)]
    rough = rough_order("kappa", crystals)
    assert rough is not None
    order = [crystals[i] for i in np.argsort(-rough if last else rough, kind="stable")]
    assert set(order[:10]) <= set(first.shortlist)
    assert not set(order[:20]) <= set(first.shortlist)  # the others are random


@pytest.mark.parametrize("changes", [{"property": "band_gap"}, {"goal": "target", "target": 3.0}])
def test_without_an_estimate_all_are_drawn(changes: dict[str, Any]) -> None:
    space = build_space(_config().space)
    objective = Objective(**{"property": "kappa", "temperature": 300.0, **changes})
    narrow = coarse.drawn(space, objective, count=20, rng=np.random.default_rng(5))
    assert isinstance(narrow, Narrowed)
    chosen = np.random.default_rng(5).permutation(80)[:20]
    assert set(narrow.shortlist) == {list(space)[i] for i in chosen}


def test_only_large_spaces_of_crystals_need_a_choice() -> None:
    space = build_space(_config().space)
    with_features, without = GraphEnsembleSettings(features=LJ), RandomForestSettings()
    assert coarse.needs_choice(space, with_features, SelectionSettings(exact_limit=79))
    assert not coarse.needs_choice(space, with_features, SelectionSettings(exact_limit=80))
    assert not coarse.needs_choice(space, without, SelectionSettings(exact_limit=20))
    layers = [Superlattice(sequence=f"{i:04b}") for i in range(16)]
    sequences = FiniteSpace(layers, [None] * len(layers))
    assert not coarse.needs_choice(sequences, with_features, SelectionSettings(exact_limit=4))


def test_beyond_the_pool_limit_more_are_looked_at_quickly_first() -> None:
    settings = SelectionSettings(exact_limit=20, pool_limit=1000, shortlist=10)
    assert coarse.number_chosen(1000, settings) == 20
    assert coarse.number_chosen(1001, settings) == 200


@pytest.mark.parametrize("limit", [20, 80])
def test_a_dry_run_bills_those_with_features(limit: int) -> None:
    from orchestrator.running.dry_run import _with_features as billed

    config = _config(selection={"exact_limit": limit})
    assert billed(config, prepare(config), 5) == min(80, limit + 5 * limit // 4)
