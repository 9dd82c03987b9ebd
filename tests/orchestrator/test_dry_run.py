"""Estimates of the time and memory of campaigns, for each kind of oracle."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor
from rich.console import Console

from orchestrator.assembly.prepared import prepare
from orchestrator.config.config import CampaignConfig
from orchestrator.config.loading import load_config
from orchestrator.running import prices
from orchestrator.running.dry_run import described, estimate
from orchestrator.running.runner import create, run_campaign
from orchestrator.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
GREEN = {"kind": "green", "calculator": "tersoff", "frequencies": 10, "q_mesh": [3, 3],
         "neighbours": 0, "in_plane_length": 7.0}  # fmt: skip
LAYERS: dict[str, Any] = {
    "name": "layers",
    "space": {"kind": "superlattice", "alphabet": {"S": "Si", "G": "Ge"}, "leads": ["S", "S"],
              "length": 6},
    "objective": {"property": "conductance", "temperature": 300, "goal": "minimize"},
    "oracle": GREEN,
    "budget": {"oracle_calls": 6, "batch": 3},
    "executor": {"kind": "serial"},
    "tracking": {"enabled": False},
}  # fmt: skip


def _config(folder: Path, raw: dict[str, Any], **changes: Any) -> CampaignConfig:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**raw, **changes}))
    return load_config(path)


def _replay(folder: Path, **oracle: Any) -> CampaignConfig:
    rows = [{"id": f"{n:04b}", "value": 1.0 + n, "tight": 1.0 + n} for n in range(16)]
    (folder / "pool.jsonl").write_text(
        "\n".join(json.dumps({"id": r["id"], "sequence": r["id"]}) for r in rows)
    )
    (folder / "table.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    settings = {"kind": "replay", "table": "table.jsonl", **(oracle or {"column": "value"})}
    raw = {
        "name": "replay",
        "space": {"kind": "pool", "path": "pool.jsonl"},
        "objective": {"property": "kappa", "temperature": 300, "goal": "minimize"},
        "oracle": settings,
        "budget": {"oracle_calls": 10, "batch": 2},
    }
    return _config(folder, raw)


def test_replay_costs_nothing_but_what_is_recorded(tmp_path: Path) -> None:
    fidelities = {"bte": {"column": "value", "cost_s": 30.0},
                  "dft": {"column": "value", "cost_s": 3600.0}}  # fmt: skip
    document = estimate(_replay(tmp_path, fidelities=fidelities))
    assert document["recorded_hours"] == 10.0
    assert document["seconds_per_call"] == 0
    assert document["confirmations"] == 0
    assert "charged to the budget: 10 recorded hours" in described(document)


def test_a_table_with_a_better_column_is_confirmed(tmp_path: Path) -> None:
    document = estimate(_replay(tmp_path, column="value", confirm_column="tight"))
    assert document["confirmations"] > 0
    assert document["rounds"] == 5


def test_layers_take_what_they_then_take(tmp_path: Path) -> None:
    pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")
    config = _config(tmp_path, LAYERS)
    document = estimate(config)
    prepared = prepare(config)
    store = Store(tmp_path / "home")
    create(store, prepared)
    began = time.perf_counter()
    run_campaign(store, "layers", prepared=prepared, console=Console(stderr=True))
    seconds = time.perf_counter() - began
    # A small campaign beside others: the bar of a factor of 2 is measured in benchmarks/dry_run.py.
    assert 1 / 5 < 60 * document["wall_minutes"] / seconds < 5


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that nothing else keeps busy, so that two estimates can be compared."""
    monkeypatch.setattr(prices, "slowness", lambda: 1.0)
    monkeypatch.setattr(
        prices, "seconds_of_forces", lambda potential, atoms, calls: 1e-3 * len(atoms)
    )


@pytest.mark.usefixtures("steady")
def test_more_layers_take_longer(tmp_path: Path) -> None:
    pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")
    small = estimate(_config(tmp_path, LAYERS))
    longer = estimate(_config(tmp_path, LAYERS, space={**LAYERS["space"], "length": 14}))
    assert small["core_hours"] > 0
    assert 0 < small["seconds_per_call"] < longer["seconds_per_call"]


def _pool(folder: Path, **changes: Any) -> CampaignConfig:
    crystals = [bulk("Si", "diamond", a=5.43), bulk("SiC", "zincblende", a=4.35)]
    (folder / "pool.jsonl").write_text(
        "\n".join(
            json.dumps({"id": f"p{n}", "structure": AseAtomsAdaptor.get_structure(c).as_dict()})
            for n, c in enumerate(crystals)
        )
    )
    raw = {
        "name": "pool",
        "space": {"kind": "pool", "path": "pool.jsonl"},
        "objective": {"property": "kappa", "temperature": 300, "goal": "minimize"},
        "oracle": {"kind": "phonon-bte", "calculator": "tersoff", "fc2_length": 4.0,
                   "fc3_length": 4.0, "mesh": [5, 5, 5]},
        "surrogate": {"kind": "random-forest"},
        "budget": {"oracle_calls": 2, "batch": 2},
        "executor": {"kind": "serial"},
    }  # fmt: skip
    for key, value in changes.items():
        raw[key] = {**raw[key], **value}  # type: ignore[dict-item]
    return _config(folder, raw)


@pytest.mark.usefixtures("steady")
def test_fidelities_are_billed_as_what_they_are(tmp_path: Path) -> None:
    pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")
    full = estimate(_pool(tmp_path))
    harmonic = estimate(_pool(tmp_path, oracle={"fidelities": ["harmonic"]}))
    both = estimate(_pool(tmp_path, oracle={"fidelities": ["harmonic", "bte"]}))
    assert 0 < harmonic["seconds_per_call"] < full["seconds_per_call"]
    assert both["cost"]["cheaper_fidelities_core_minutes"] > 0
    assert "cheaper_fidelities_core_minutes" not in full["cost"]
    assert full["seconds_per_confirmation"] > 0


def test_memory_depends_on_the_cell(tmp_path: Path) -> None:
    pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")
    small = estimate(_pool(tmp_path))
    large = estimate(_pool(tmp_path, oracle={"fc3_length": 12.0, "fc3_atoms": 250}))
    assert large["memory_gib"] > small["memory_gib"] + 1


@pytest.mark.usefixtures("steady")
def test_healing_is_billed(tmp_path: Path) -> None:
    pytest.importorskip("sevenn", reason="the extra phonoscout[sevenn] is not installed")
    oracle = {"calculator": "7net-0"}
    plain = estimate(_pool(tmp_path, oracle=oracle))
    healed = estimate(_with_dft(tmp_path, oracle))
    names = {"hole_hunts_core_minutes", "labels_core_minutes", "fine_tuning_core_minutes"}
    assert names <= set(healed["cost"])
    assert not names & set(plain["cost"])
    assert healed["core_hours"] > plain["core_hours"]


def _with_dft(folder: Path, oracle: dict[str, Any]) -> CampaignConfig:
    _pool(folder, oracle=oracle)
    raw = yaml.safe_load((folder / "config.yaml").read_text())
    raw["dft"] = {"engine": "7net-l3i5", "max_labels": 8}
    return _config(folder, raw)


def test_lines_for_people_fit_and_say_what_they_rest_on(tmp_path: Path) -> None:
    pytest.importorskip("sevenn", reason="the extra phonoscout[sevenn] is not installed")
    document = estimate(_pool(tmp_path, oracle={"calculator": "7net-0"}))
    lines = described({**document, "notes": []})  # notes have a test of their own
    assert any("forces of 64 atoms" in line for line in lines)
    assert any("force calls" in line for line in lines)
    assert max(map(len, lines)) <= 90
    json.dumps(document, allow_nan=False)
