"""Paths in a config: one list of them for all that is done with paths."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from pydantic import BaseModel

from agents.spaces.settings import SuperlatticeSpaceSettings
from oracle.potentials.table import FAMILIES
from oracle.runtime.local_inputs import FAMILY_NAMES, InputPath, Known, marked
from orchestrator.app.api import create_app
from orchestrator.campaign.campaign import Campaign
from orchestrator.config.config import CampaignConfig, input_paths
from orchestrator.config.config_words import unwrapped
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import load_config, validate
from orchestrator.store.store import Store

TOKEN = {"Authorization": "Bearer secret"}
ESPRESSO = {"engine": "espresso", "pseudopotentials": {"Si": "Si.upf"}}


def _raw(space: dict[str, Any], oracle: dict[str, Any], **more: Any) -> dict[str, Any]:
    sought = {"property": "kappa", "temperature": 300}
    if oracle["kind"] == "interface":
        sought["property"] = "interface_conductance"
    return {"name": "a", "space": space, "objective": sought, "oracle": oracle, **more}


PHONONS = {"kind": "phonon-bte", "calculator": "7net-0"}  # one that DFT labels can mend
PROTOTYPES = {"kind": "prototypes", "elements": ["Na", "Cl"]}


def _configs(path: str) -> dict[str, dict[str, Any]]:
    """A config for every place where a path may stand, by the key of the place."""
    layers = {"kind": "superlattice", "alphabet": {"S": "Si", "G": path}, "leads": ["S", "S"]}
    table = {"kind": "replay", "table": path, "column": "kappa"}
    dft = {**ESPRESSO, "pseudo_dir": path}
    here = str(Path(__file__).resolve())
    return {
        "space.path": _raw({"kind": "pool", "path": path}, PHONONS),
        "space.path ": _raw({"kind": "interface", "path": path}, {"kind": "interface"}),
        "space.alphabet.G": _raw({**layers, "length": 4}, {"kind": "green"}),
        "oracle.table": _raw({"kind": "pool", "path": here}, table),
        "oracle.calculator.pseudo_dir": _raw(PROTOTYPES, {**PHONONS, "calculator": dft}),
        "oracle.born.pseudo_dir": _raw(PROTOTYPES, {**PHONONS, "born": dft}),
        "dft.engine.pseudo_dir": _raw(PROTOTYPES, PHONONS, dft={"engine": dft, "max_labels": 4}),
    }


PLACES = sorted(_configs("x"))


def _found(config: CampaignConfig, key: str) -> str:
    found = {at: value for at, value, _ in marked(config, InputPath)}
    return str(found[key.strip()])


@pytest.mark.parametrize("key", PLACES)
def test_relative_paths_are_those_beside_the_config_file(key: str, tmp_path: Path) -> None:
    folder = tmp_path / "configs"
    (folder / "data.d").mkdir(parents=True)
    (folder / "a.yaml").write_text(yaml.safe_dump(_configs("../configs/data.d")[key]))
    config = load_config(folder / "a.yaml")
    assert _found(config, key) == str(folder / "data.d")
    pinned = dict(input_paths(config))
    assert (key.strip() in pinned) == ("pseudo_dir" not in key)
    if key.strip() in pinned:
        (folder / "data.d").rmdir()
        with pytest.raises(ConfigError, match=f"{key.strip()}: .*data.d does not exist"):
            load_config(folder / "a.yaml")


@pytest.mark.parametrize("key", PLACES)
def test_over_http_a_path_is_absolute(key: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    client = TestClient(create_app(store, "secret"))
    config = _configs("some/data.d")[key]
    refused = client.post("/campaigns", json={"config": config}, headers=TOKEN)
    assert refused.status_code == 422
    detail = refused.json()["detail"]
    assert f"{key.strip()}: given 'some/data.d'; expected: an absolute path" in detail
    assert store.campaigns() == []
    absolute = validate(_configs("/some/data.d")[key], "config", remote=True)
    assert _found(absolute, key) == "/some/data.d"
    # On resume as well, where the working folder is the server's.
    Campaign.create(store, validate(_raw(PROTOTYPES, PHONONS), "config"), methods={})
    changes = [f"{name}={yaml.safe_dump(config[name], default_flow_style=True, width=999)}"
               for name in ("space", "oracle", "dft") if name in config]  # fmt: skip
    refused = client.post("/campaigns/a/resume", json={"set": changes}, headers=TOKEN)
    assert refused.status_code == 422
    assert "expected: an absolute path" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("given", "placed"),
    [
        ("sqlite:///runs/m.db", "sqlite:///{folder}/runs/m.db"),
        ("sqlite:////srv/m.db", "sqlite:////srv/m.db"),
        ("file:runs", "file:{folder}/runs"),
        ("file:///srv/runs", "file:///srv/runs"),
        ("../runs", "{parent}/runs"),
        ("/srv/runs", "/srv/runs"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("postgresql://u:p@h/db", "postgresql://u:p@h/db"),
        ("databricks", "databricks"),
    ],
)
def test_a_store_of_mlflow_is_where_the_config_says(
    given: str, placed: str, tmp_path: Path
) -> None:
    folder = tmp_path / "configs"
    folder.mkdir()
    raw = _raw(PROTOTYPES, PHONONS, tracking={"uri": given})
    (folder / "a.yaml").write_text(yaml.safe_dump(raw))
    expected = placed.format(folder=folder, parent=tmp_path)
    assert load_config(folder / "a.yaml").tracking.uri == expected
    if given == placed:
        assert validate(raw, "config", remote=True).tracking.uri == given
    else:
        with pytest.raises(ConfigError, match=r"tracking\.uri: given .*an absolute path"):
            validate(raw, "config", remote=True)
    old = validate(raw, "config", recorded=True)
    assert old.tracking.uri == given
    kept = validate(raw, "--set", recorded=True, remote=True, known=Known(paths=frozenset({given})))
    assert kept.tracking.uri == given


def test_a_formula_is_no_path() -> None:
    config = validate(_configs("Ge")["space.alphabet.G"], "config", remote=True)
    assert isinstance(config.space, SuperlatticeSpaceSettings)
    assert config.space.alphabet["G"] == "Ge"
    assert dict(input_paths(config)) == {}


def _models(annotation: Any, seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    plain, _ = unwrapped(annotation)
    if isinstance(plain, type) and issubclass(plain, BaseModel) and plain not in seen:
        seen.add(plain)
        yield plain
        for field in plain.model_fields.values():
            yield from _models(field.annotation, seen)
    for part in typing.get_args(plain):
        yield from _models(part, seen)


def test_every_path_is_marked() -> None:
    """One that is not would neither be made absolute nor pinned nor refused."""
    models = list(_models(CampaignConfig, set()))
    assert len(models) > 20
    paths = [
        (field.metadata, f"{model.__name__}.{name}")
        for model in models
        for name, field in model.model_fields.items()
        if field.annotation is Path
    ]
    assert len(paths) >= 4
    for metadata, name in paths:
        assert any(isinstance(mark, InputPath) for mark in metadata), name


def test_families_of_weights_are_no_modules() -> None:
    assert set(FAMILY_NAMES) == set(FAMILIES)
    oracle = {**PHONONS, "calculator": "7net:/weights.pth"}
    config = validate(_raw(PROTOTYPES, oracle), "config", remote=True)
    assert config.oracle.kind == "phonon-bte"
