"""Campaigns whose pools, tables or homes were moved."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from mlflow.tracking import MlflowClient

from orchestrator.config.loading import load_config
from orchestrator.store.store import Store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


def test_inputs_that_were_moved_are_pointed_to(desk: Any) -> None:
    desk("launch", desk.config())
    (desk.folder / "data").rename(desk.folder / "elsewhere")
    line = desk("resume", "layers", code=2).stderr
    assert len(line.strip().splitlines()) == 1
    assert "missing" in line
    assert "changed" not in line
    for key, name in (("space.path", "pool.jsonl"), ("oracle.table", "table.jsonl")):
        assert f"{key} ({desk.folder / 'data' / name})" in line
        assert f"--set {key}=PATH" in line
    assert desk.document("best", "layers")  # reading needs none of them
    (words,) = desk.hints("x: " + line[line.index("phonoscout resume layers") :])
    words = [
        word.replace("space.path=PATH", "space.path=elsewhere/pool.jsonl")
        .replace("oracle.table=PATH", f"oracle.table={desk.folder}/elsewhere/table.jsonl")
        for word in words
    ]  # fmt: skip
    desk(*words, "--set", "budget.oracle_calls=12")
    assert desk.document("status", "layers")["oracle_calls"] == 12
    desk("resume", "layers", "--set", "budget.oracle_calls=16")
    steered = [e.payload for e in Store(desk.home).events("layers") if e.kind == "steered"]
    assert steered[0]["changes"]["space.path"] == [
        str(desk.folder / "data" / "pool.jsonl"),
        str(desk.folder / "elsewhere" / "pool.jsonl"),
    ]


def test_other_content_is_not_pointed_to(desk: Any) -> None:
    config = desk.config()
    desk("launch", config)
    pool = config.parent / "pool.jsonl"
    other = desk.write("other.jsonl", [{"id": "x", "sequence": "01"}])
    before = len(Store(desk.home).events("layers"))
    line = desk("resume", "layers", "--set", f"space.path={other}", code=2).stderr
    assert f"the content of space.path ({other}) is not what it was launched with" in line
    line = desk("resume", "layers", "--set", "space.path=nowhere", code=2).stderr
    assert f"{desk.folder / 'nowhere'} does not exist" in line
    pool.write_text(pool.read_text() + "\n")
    line = desk("resume", "layers", code=2).stderr
    assert f"the content of space.path ({pool}) is not what it was launched with" in line
    assert "missing" not in line
    assert len(Store(desk.home).events("layers")) == before


def test_a_layer_may_not_become_another_material(desk: Any, monkeypatch: Any) -> None:
    """The file of a layer is an input; a formula in its place would make results incomparable."""
    from orchestrator.campaign.campaign import Campaign

    cif = desk.folder / "Ge.cif"
    cif.write_text("data_x\n")
    path = desk.folder / "config.yaml"
    path.write_text(
        "name: stacks\nspace: {kind: superlattice, alphabet: {S: Si, G: Ge.cif}, "
        "leads: [S, S], length: 4}\nobjective: {property: conductance}\noracle: {kind: green}\n"
    )
    store = Store(desk.home)
    Campaign.create(store, load_config(path), methods={"green": "m"})
    campaign = Campaign(store, "stacks")
    with pytest.raises(Exception, match=r"space\.alphabet\.G"):
        campaign.steer(["space.alphabet.G=Ge"])
    moved = cif.rename(desk.folder / "moved.cif")
    with pytest.raises(Exception, match=r"space\.alphabet\.G .*missing"):
        campaign.steer([])
    from orchestrator.store.lease import Lease

    with Lease.acquire(store, "stacks") as lease:
        writer = Campaign(store, "stacks", token=lease.token)
        assert set(writer.steer([f"space.alphabet.G={moved}"])) == {"space.alphabet.G"}


def _artefacts(home: Path) -> list[tuple[str, Path]]:
    """All files that MLflow lists, with the run of each."""
    client = MlflowClient(f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")
    experiments = [e.experiment_id for e in client.search_experiments()]
    paths = []
    for run in client.search_runs(experiments):
        folder = Path(unquote(urlparse(run.info.artifact_uri).path))
        files = client.list_artifacts(run.info.run_id)
        paths += [(run.info.run_name, folder / file.path) for file in files]
    return paths


def test_a_home_that_was_moved_takes_mlflow_along(desk: Any) -> None:
    desk.home = desk.folder / "first home"
    ended = desk("launch", desk.config(tracking={"enabled": True})).stdout
    before = _artefacts(desk.home)
    assert before
    old, desk.home = desk.home, desk.folder / "second"
    old.rename(desk.home)
    (words,) = desk.hints(ended)
    words[words.index("--home") + 1] = str(desk.home)
    desk(*words)
    after = _artefacts(desk.home)
    assert not old.exists()
    assert {name for name, _ in after} == {f"round-{n:04d}" for n in range(1, 5)}
    assert len(after) == 2 * len(before)
    assert all(path.is_file() and desk.home in path.parents for _, path in after)


def _files(home: Path) -> set[Path]:
    """All files of a home, but for what SQLite keeps beside a database until its last reader goes.

    These belong to a connection, and when one that this process no longer needs is closed is a
    matter of garbage collection.
    """
    return {path for path in home.rglob("*") if not path.name.endswith(("-shm", "-wal"))}


def test_a_copy_of_a_home_writes_nothing_into_the_first(desk: Any) -> None:
    desk("launch", desk.config(tracking={"enabled": True}))
    first, desk.home = desk.home, desk.folder / "copy"
    shutil.copytree(first, desk.home)
    before = _files(first)
    desk("resume", "layers", "--set", "budget.oracle_calls=12")
    assert _files(first) == before
    assert len(_artefacts(desk.home)) > len(_artefacts(first)) > 0


def test_an_experiment_that_was_renamed_is_still_the_campaigns(desk: Any) -> None:
    desk("launch", desk.config(tracking={"enabled": True}))
    client = MlflowClient(f"sqlite:///{desk.home / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("phonoscout")
    assert experiment is not None
    client.rename_experiment(experiment.experiment_id, "mine")
    done = desk("resume", "layers", "--set", "budget.oracle_calls=12")
    assert "tracking" not in done.stderr
    assert client.get_experiment_by_name("phonoscout") is None
    assert {name for name, _ in _artefacts(desk.home)} == {f"round-{n:04d}" for n in range(1, 4)}


def test_a_store_that_was_deleted_is_written_anew(desk: Any) -> None:
    desk("launch", desk.config(tracking={"enabled": True}))
    # Another place, because MLflow keeps what it has opened in this process.
    old, desk.home = desk.home, desk.folder / "moved"
    old.rename(desk.home)
    shutil.rmtree(desk.home / "mlflow")
    done = desk("resume", "layers", "--set", "budget.oracle_calls=12")
    messages = [line for line in done.stderr.splitlines() if line.startswith("tracking: ")]
    assert messages == [
        "tracking: MLflow has lost the run of layers; its 2 rounds are written again"
    ]
    assert {name for name, _ in _artefacts(desk.home)} == {f"round-{n:04d}" for n in range(1, 4)}
    again = desk("resume", "layers", "--set", "budget.oracle_calls=16")
    assert "tracking: " not in again.stderr
