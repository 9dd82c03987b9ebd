"""Campaigns on interfaces: what a config may say, and one from its launch to its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor
from rich.console import Console

from agents.spaces.interface_space import InterfaceSpace
from oracle.materials.interface import Interface
from orchestrator.assembly.build import build_space, surrogate_settings
from orchestrator.assembly.oracles import build_oracles
from orchestrator.assembly.prepared import prepare
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import load_config, validate
from orchestrator.queries import queries
from orchestrator.queries.export import export_best
from orchestrator.running.dry_run import estimate
from orchestrator.running.runner import create, run_campaign
from orchestrator.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
CRYSTALS = {"Si": ("diamond", 5.432), "Ge": ("diamond", 5.657), "C": ("diamond", 3.566)}
CONFIG: dict[str, Any] = {
    "name": "pairs",
    "space": {"kind": "interface", "path": "list.jsonl"},
    "objective": {"property": "interface_conductance", "goal": "maximize"},
    "oracle": {
        "kind": "interface",
        "calculator": "tersoff",
        "fc2_length": 5.0,
        "relax_fmax": 1e-3,
        "stability_spacing": 0.3,
        "overlap_spacing": 0.5,
        "mesh_spacing": 0.35,
    },
    "budget": {"batch": 1, "oracle_calls": 3, "cheap_share": 1.0},
    "confirmation": {"leaders": 1, "max_calls": 2},
    "executor": {"kind": "serial"},
}


def _written(folder: Path, names: list[tuple[str, str, float]], **changes: Any) -> Path:
    lines = []
    for name, kind, a in names:
        structure = AseAtomsAdaptor.get_structure(bulk(name, kind, a=a)).as_dict()
        lines.append(json.dumps({"id": f"{name} {kind}", "structure": structure}))
    (folder / "list.jsonl").write_text("\n".join(lines))
    path = folder / "pairs.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **changes}))
    return path


def _few() -> list[tuple[str, str, float]]:
    return [(name, kind, a) for name, (kind, a) in CRYSTALS.items()]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")
    folder = tmp_path_factory.mktemp("pairs")
    prepared = prepare(load_config(_written(folder, _few())))
    store = Store(folder / "home")
    create(store, prepared)
    # In this process: another would spend most of its time on imports.
    run_campaign(store, "pairs", prepared=prepared, console=Console(stderr=True))
    return store


def test_a_campaign_finds_the_pair_that_conducts_best(store: Store) -> None:
    rows = queries.best(store, "pairs", 9)
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert [row["value"] for row in rows] == sorted((r["value"] for r in rows), reverse=True)
    # Diamond's modes lie far above those of the other two.
    assert (rows[0]["formula"], rows[0]["label"]) == ("Ge | Si", "Si diamond | Ge diamond")
    assert rows[0]["confirmed"]
    assert rows[0]["unit"] == "W/m²/K"
    assert rows[0]["structure"] == "Ge | Si"
    status = queries.status(store, "pairs")
    assert status["oracle_calls"] == 3
    assert status["failures"] == 0
    assert status["best"]["formula"] == "Ge | Si"
    assert "space: all pairs of 3 crystals, each computed once" in status["notes"]


def test_its_pairs_can_be_read_and_taken_elsewhere(store: Store, tmp_path: Path) -> None:
    (row,) = queries.best(store, "pairs", 1)
    pair = Interface.model_validate_json(Path(row["file"]).read_text())
    document = queries.show(store, row["candidate"])
    assert 0 < document["overlap"] < 1
    assert document["why"][0]["confirmed"]
    assert row["candidate"] == f"c-{pair.digest[:12]}"
    written = export_best(store, "pairs", tmp_path, "cif", 1)
    assert sorted(p.name.rpartition("-")[2] for p in written) == ["Ge.cif", "Si.cif"]
    (table,) = export_best(store, "pairs", tmp_path, "json", 3)
    assert len(json.loads(table.read_text())) == 3
    with pytest.raises(ConfigError, match="interfaces have no phono3py"):
        export_best(store, "pairs", tmp_path, "phono3py", 1)


def test_the_shipped_config_is_valid_and_its_space_can_be_built() -> None:
    config = load_config(ROOT / "configs" / "interfaces.yaml")
    space = build_space(config.space)
    assert isinstance(space, InterfaceSpace)
    assert space.size == 66
    assert surrogate_settings(config, space).kind == "gaussian-process"
    assert surrogate_settings(config, space).features == "7net-0"


def test_dry_run_counts_crystals_not_pairs(tmp_path: Path) -> None:
    pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")
    document = estimate(load_config(_written(tmp_path, _few())))
    assert document["space_size"] == document["oracle_calls"] == 3
    assert 0 < document["core_hours"] < 0.1
    assert set(document["methods"]) == {"overlap", "mismatch"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": {"property": "kappa"}}, "objective.property.*kappa.*interface_conductance"),
        ({"objective": {"property": "overlaps"}}, "objective.property.*radiation_limit, overlap"),
        ({"objective": {"temperature": 900}}, "objective.temperature.*900"),
        ({"oracle": {"kind": "phonon-bte"}}, "oracle.kind: given 'phonon-bte'.*'interface'"),
        ({"space": {"kind": "pool", "path": "x"}}, "oracle.kind: given 'interface'.*'pool'"),
        ({"agents": [{"kind": "tree-search"}]}, "agents: given 'tree-search'.*: bayesian"),
        ({"constraints": [{"formation_energy": 0.0}]}, "constraints.*formation_energy.*non_metal"),
        ({"surrogate": {"kind": "graph-ensemble"}}, "surrogate.kind.*gaussian-process"),
        ({"space": {"kind": "interface"}}, "space.path"),
    ],
)
def test_what_does_not_fit_is_one_line(changes: dict[str, Any], message: str) -> None:
    raw = {**CONFIG, **changes}
    if "objective" in changes:
        raw["objective"] = {**CONFIG["objective"], **changes["objective"]}
    with pytest.raises(ConfigError, match=message) as error:
        validate(raw, "config")
    assert "\n" not in str(error.value)


def test_an_element_that_the_potential_does_not_know(tmp_path: Path) -> None:
    pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")
    config = load_config(_written(tmp_path, [*_few(), ("NaCl", "rocksalt", 5.64)]))
    with pytest.raises(ConfigError, match=r"oracle: .*does not know Cl, Na") as error:
        build_oracles(config, build_space(config.space))
    assert "\n" not in str(error.value)


def test_fewer_than_two_crystals(tmp_path: Path) -> None:
    config = load_config(_written(tmp_path, _few()[:1]))
    with pytest.raises(ConfigError, match="space: path: holds 1 crystal; expected at least two"):
        build_space(config.space)


@pytest.mark.parametrize("prop", ["interface_conductance_amm", "radiation_limit", "overlap"])
def test_objectives_have_their_temperature(prop: str) -> None:
    config = validate({**CONFIG, "objective": {"property": prop, "goal": "minimize"}}, "config")
    assert config.objective.temperature == (None if prop == "overlap" else 300.0)
    assert config.objective.in_log == (prop != "overlap")
