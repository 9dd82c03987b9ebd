"""Screening in shards gives the same predictions and decisions as screening in one process."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from rich.console import Console

from agents.acquisition.shortlist import Marginals
from agents.contract.objective import Objective
from agents.selection.settings import SelectionSettings
from agents.spaces.finite import FiniteSpace
from agents.spaces.narrowed import Narrowed
from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.crystal import Crystal
from orchestrator.assembly.build import build_surrogate
from orchestrator.assembly.prepared import prepare
from orchestrator.calls.recipe import Recipe
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.ranking import ranking
from orchestrator.config.loading import validate
from orchestrator.config.run_settings import ExecutorSettings
from orchestrator.executors.protocol import Executor
from orchestrator.executors.ray_executor import RayExecutor
from orchestrator.executors.serial_executor import SerialExecutor
from orchestrator.rounds import pool_scan
from orchestrator.rounds.pool_scan import narrowed, streamed
from orchestrator.running.runner import create, run_campaign
from orchestrator.store.store import Store
from surrogate.contract.protocol import Calibration
from surrogate.contract.settings import GraphEnsembleSettings
from surrogate.features.feature_store import FeatureStore

EMT = "ase.calculators.emt:EMT"
OBJECTIVE = Objective("kappa", 300.0, "minimize")


def _metals() -> list[Crystal]:
    """Cells of one and two atoms, all with different lattice parameters."""
    ends: list[list[float]] = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]
    structures = []
    for k, symbol in enumerate(("Al", "Cu", "Ag", "Au", "Ni", "Pd", "Pt")):
        for other in ("Cu", "Ag", "Au"):
            cell = Lattice.cubic(2.9 + 0.05 * k)
            structures.append(Structure(cell, [symbol, other], ends))
        structures.append(Structure(Lattice.cubic(2.5 + 0.03 * k), [symbol], ends[:1]))
    unique = {c.digest: c for c in map(Crystal.from_structure, structures)}
    return list(unique.values())


CRYSTALS = _metals()


def _label(crystal: Crystal, value: float) -> Measured:
    kappa = Quantity(value=[value], unit="W/m/K", per_temperature=True)
    return Measured(
        material=crystal,
        fidelity="bte",
        method="m",
        cost_s=1.0,
        stage="bte",
        temperature=(300.0,),
        properties={"kappa": kappa},
    )


RECIPE = Recipe(
    GraphEnsembleSettings(features=EMT, members=2, steps=5),
    OBJECTIVE.output,
    "bte",
    7,
    [_label(c, 1.0 + k) for k, c in enumerate(CRYSTALS[:6])],
    Calibration(1.5, 4),
)


@pytest.fixture
def executor() -> SerialExecutor:
    return SerialExecutor(ExecutorSettings(kind="serial"))


@pytest.fixture
def in_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_scan, "SHARD", 8)


def _equal(one: Marginals, two: Marginals) -> bool:
    pairs = zip(vars(one).values(), vars(two).values(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.usefixtures("in_shards")
def test_as_in_one_process(executor: SerialExecutor, tmp_path: Path) -> None:
    marginals = streamed(executor, CRYSTALS, RECIPE, tmp_path)
    store = FeatureStore(EMT, tmp_path)
    surrogate = build_surrogate(RECIPE.surrogate, (RECIPE.output,), "bte", RECIPE.seed, store)
    surrogate.fit(RECIPE.evaluations, calibration=RECIPE.calibration)
    whole = surrogate.posterior(CRYSTALS, outputs=[RECIPE.output], fidelity="bte")
    assert marginals.mean == pytest.approx(whole.mean[:, 0], abs=1e-4)
    assert marginals.epistemic == pytest.approx(whole.epistemic[:, 0], rel=1e-3)
    assert marginals.aleatoric == pytest.approx(whole.aleatoric[:, 0], rel=1e-6)
    assert marginals.p_stable == pytest.approx(whole.p_stable, abs=1e-4)
    assert np.ptp(marginals.mean) > 0.01


@pytest.mark.usefixtures("in_shards")
def test_the_same_on_ray(executor: SerialExecutor, tmp_path: Path) -> None:
    here = streamed(executor, CRYSTALS, RECIPE, tmp_path / "serial")
    ray = RayExecutor(ExecutorSettings(workers=2))
    ray.start()
    try:
        there = streamed(ray, CRYSTALS, RECIPE, tmp_path / "ray")
        again = streamed(ray, CRYSTALS, RECIPE, tmp_path / "ray")
    finally:
        ray.shutdown()
    assert _equal(here, there)
    assert _equal(there, again)


@pytest.mark.usefixtures("in_shards")
def test_only_a_large_space_is_narrowed(executor: SerialExecutor, tmp_path: Path) -> None:
    space = FiniteSpace(CRYSTALS, [None] * len(CRYSTALS))

    def looked(how: Executor, **settings: Any) -> Any:
        return narrowed(
            space,
            how,
            RECIPE,
            OBJECTIVE,
            settings=SelectionSettings(**settings),
            cache=tmp_path,
            rng=np.random.default_rng(1),
            fixed_rng=np.random.default_rng(2),
        )

    assert looked(executor, pool_limit=len(CRYSTALS)) is space
    assert looked(executor, pool_limit=5, shortlist=0) is space
    narrow = looked(executor, pool_limit=5, shortlist=10)
    assert isinstance(narrow, Narrowed)
    assert len(narrow.shortlist) == 10
    assert not set(narrow.shortlist) & set(CRYSTALS[:6])
    assert narrow.shortlist == looked(executor, pool_limit=5, shortlist=10).shortlist


def _found(folder: Path, config: dict[str, Any]) -> list[float]:
    store = Store(folder)
    create(store, prepare(validate(config, "test")))
    run_campaign(store, config["name"], console=Console(file=io.StringIO()))
    campaign = Campaign(store, config["name"])
    return [row.value for row in ranking(campaign.state, campaign.objective)]


def _landscape(folder: Path) -> tuple[dict[str, Any], list[float]]:
    """A campaign on 512 sequences with couplings drawn at random, and all their values."""
    rng = np.random.default_rng(0)
    near, field = rng.normal(size=8), 0.3 * rng.normal(size=9)
    designs = [f"{i:09b}" for i in range(512)]
    spins = np.array([[1.0 if bit == "1" else -1.0 for bit in design] for design in designs])
    values = (spins[:, 1:] * spins[:, :-1]) @ near + spins @ field
    folder.mkdir()
    pool = [{"id": d, "sequence": d} for d in designs]
    table = [{"id": d, "energy": float(v)} for d, v in zip(designs, values, strict=True)]
    for name, rows in (("pool", pool), ("table", table)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    config = {
        "name": "landscape",
        "seed": 0,
        "space": {"kind": "pool", "path": str(folder / "pool.jsonl")},
        "objective": {"property": "energy", "goal": "minimize"},
        "agents": [{"kind": "bayesian"}, {"kind": "evolution"}],
        "oracle": {"kind": "replay", "table": str(folder / "table.jsonl"), "column": "energy"},
        "budget": {"batch": 5, "oracle_calls": 40},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
        "selection": {"pool_limit": 100, "shortlist": 60},
    }
    return config, sorted(values)


def test_a_campaign_on_a_space_beyond_the_limit(tmp_path: Path) -> None:
    config, values = _landscape(tmp_path / "data")
    measured = _found(tmp_path / "one", config)
    assert measured == _found(tmp_path / "two", config)
    assert len(measured) == 40
    # 40 random designs would include one of the two best with a probability of 15 %.
    assert min(measured) <= values[1] + 1e-9


class _Endless:
    """A space whose size is known, but whose members are too many to be listed."""

    size = 2**60
    materials = None

    def __iter__(self) -> Iterator[Crystal]:
        raise AssertionError("it must not be listed")


def test_a_space_that_cannot_be_listed_is_left_as_it_is(tmp_path: Path) -> None:
    space: Any = _Endless()
    recipe = Recipe(GraphEnsembleSettings(), OBJECTIVE.output, "bte", 0, [], Calibration())
    result = narrowed(
        space,
        SerialExecutor(ExecutorSettings(kind="serial")),
        recipe,
        OBJECTIVE,
        settings=SelectionSettings(),
        cache=tmp_path,
        rng=np.random.default_rng(0),
        fixed_rng=np.random.default_rng(2),
    )
    assert result is space
