"""Homes as they are found: read-only, locked, full, below a file, with any letters in them."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy.exc import OperationalError

from orchestrator.app.cli import main
from orchestrator.config.errors import ConfigError
from orchestrator.store import database
from orchestrator.store.read_only import copy_of
from orchestrator.store.store import NewEvent, Store
from orchestrator.tracking.mlflow_store import store_uri
from tests.orchestrator.conftest import write_layers

Write = Callable[..., Path]
ROOT = Path(__file__).parents[2]


def run(*words: str | Path) -> Any:
    return CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)


def refused(*words: str | Path, codes: tuple[int, ...] = (2,)) -> str:
    """The one line of a command that cannot be carried out."""
    done = run(*words)
    assert done.exit_code in codes, done.output
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return str(done.stderr)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs and home of a finished campaign, whose process has ended and closed the database."""
    folder = tmp_path_factory.mktemp("finished")
    words = ["launch", str(write_layers(folder / "inputs")), "--home", str(folder / "home")]
    command = [sys.executable, "-m", "orchestrator.app.cli", *words]
    environment = {"PYTHONPATH": str(ROOT), **os.environ}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (folder / "home" / "phonoscout.db-wal").exists()
    return folder


@pytest.fixture
def home(tmp_path: Path, finished: Path) -> Path:
    """A copy of a finished campaign's home, beside its inputs."""
    for name in ("inputs", "home"):
        shutil.copytree(finished / name, tmp_path / name)
    return tmp_path / "home"


def _calls(home: Path) -> int:
    document = json.loads(run("status", "layers", "--home", home, "--json").stdout)
    return int(document["oracle_calls"])


def _leave_log(home: Path) -> None:
    """A log with content and no index, as a copy of a running campaign's home has them."""
    file = home / "phonoscout.db"
    writer = sqlite3.connect(file)
    writer.execute("PRAGMA wal_autocheckpoint=0")
    writer.execute("UPDATE campaigns SET stop_requested = 1")
    writer.commit()
    kept = {name: (home / name).read_bytes() for name in ("phonoscout.db", "phonoscout.db-wal")}
    writer.close()
    for name, content in kept.items():
        (home / name).write_bytes(content)
    (home / "phonoscout.db-shm").unlink(missing_ok=True)
    assert kept["phonoscout.db-wal"]


@pytest.mark.parametrize("left", ["closed", "log"])
def test_a_read_only_home_can_be_read_and_not_written(
    home: Path, tmp_path: Path, read_only: Callable[[Path], None], left: str
) -> None:
    before = json.loads(run("best", "layers", "--home", home, "--json").stdout)
    if left == "log":
        _leave_log(home)
    names = sorted(path.name for path in home.iterdir())
    read_only(home)
    after = json.loads(run("best", "layers", "--home", home, "--json").stdout)
    assert after == before
    assert len(after) == 10
    for words in (["status"], ["status", "layers"], ["trials", "layers"], ["best", "layers"]):
        done = run(*words, "--home", home)
        assert (done.exit_code, done.stderr) == (0, ""), done.stderr
    shown = run("show", before[0]["candidate"], "--home", home, "--json")
    assert json.loads(shown.stdout)["candidate"] == before[0]["candidate"]
    out = run("export", "layers", tmp_path / "out", "--format", "json", "--home", home)
    assert out.exit_code == 0
    assert sorted(path.name for path in home.iterdir()) == names
    config = str(tmp_path / "inputs" / "config.yaml")
    for words in (
        ["resume", "layers", "--set", "budget.oracle_calls=20"],
        ["launch", config, "--name", "two"],
    ):
        line = refused(*words, "--home", home)
        assert str(home) in line
        assert "read" in line
    into = refused("export", "layers", home / "out", "--format", "json", "--home", home)
    assert "out" in into
    assert "ead-only" in into or "ermission" in into


@pytest.mark.parametrize("command", ["launch", "status", "best", "trials", "evaluate"])
def test_a_home_below_a_file_is_one_line(tmp_path: Path, write_config: Write, command: str) -> None:
    config = write_config(tmp_path / "inputs")
    (tmp_path / "file").write_text("")
    words: dict[str, list[str | Path]] = {
        "launch": ["launch", config],
        "status": ["status", "layers"],
        "best": ["best", "layers"],
        "trials": ["trials", "layers"],
        "evaluate": ["evaluate", tmp_path / "none.cif"],
    }
    for home in (tmp_path / "file" / "home", tmp_path / "file" / "a" / "b"):
        refused(*words[command], "--home", home)


@pytest.mark.parametrize("content", [b"", b"no database, but long enough to look at" * 99])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "phonoscout.db").write_bytes(content)
    done = run("best", "layers", "--home", tmp_path)
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1


def _locked(file: Path, seconds: float) -> threading.Thread:
    """Another program that writes for a while."""
    holds = threading.Event()

    def hold() -> None:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        holds.set()
        time.sleep(seconds)
        other.execute("ROLLBACK")
        other.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(10)
    return thread


def test_a_lock_is_waited_for(home: Path) -> None:
    assert database._BUSY_MS >= 60_000
    thread = _locked(home / "phonoscout.db", 6.0)  # longer than SQLite waits by itself
    began = time.monotonic()
    done = run("resume", "layers", "--set", "budget.oracle_calls=13", "--home", home)
    thread.join()
    assert done.exit_code == 0, done.stderr
    assert time.monotonic() - began > 4.0
    assert (
        json.loads(run("status", "layers", "--home", home, "--json").stdout)["oracle_calls"] == 13
    )


def test_a_longer_lock_is_one_line_and_readers_do_not_wait(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_MS", 200)
    thread = _locked(home / "phonoscout.db", 5.0)
    began = time.monotonic()
    assert run("best", "layers", "--home", home).exit_code == 0
    assert time.monotonic() - began < 3.0
    line = refused("resume", "layers", "--set", "budget.oracle_calls=13", "--home", home)
    thread.join()
    assert "locked" in line
    assert str(home) in line
    assert run("resume", "layers", "--home", home).exit_code == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 megabytes: the pages of plots take some each round."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(disk)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_full_disk_is_one_line_and_the_campaign_goes_on_later(
    small_disk: Path, tmp_path: Path, write_config: Write
) -> None:
    config = write_config(tmp_path / "inputs")
    home = small_disk / "home"
    assert run("launch", config, "--home", home).exit_code == 0
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    words = ["resume", "layers", "--set", "budget.oracle_calls=60", "--set", "budget.batch=30"]
    done = run(*words, "--home", home)
    assert done.exit_code in (1, 2)
    assert "Traceback" not in done.stderr
    assert "full" in done.stderr or "No space" in done.stderr or "disk" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("phonoscout")]) == 1
    assert run("best", "layers", "--home", home).exit_code == 0
    ballast.unlink()
    again = run(*words, "--home", home)
    assert again.exit_code == 0, again.stderr
    assert (
        json.loads(run("status", "layers", "--home", home, "--json").stdout)["oracle_calls"] == 60
    )


_NAMES = ["50%", "what?", "a#b", "with space", "höme-名", "50%25?x#y é名", "a&b=c;d"]


@pytest.mark.parametrize("name", _NAMES)
def test_any_letters_in_the_path_of_a_home(tmp_path: Path, write_config: Write, name: str) -> None:
    home = tmp_path / name
    config = write_config(tmp_path / "inputs")
    launched = run("launch", config, "--home", home)
    assert launched.exit_code == 0, launched.stderr
    resumed = run("resume", "layers", "--set", "budget.oracle_calls=13", "--home", home)
    assert resumed.exit_code == 0
    rows = list(csv.DictReader(run("best", "layers", "--csv", "--home", home).stdout.splitlines()))
    assert len(rows) == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "inputs"])


@pytest.mark.parametrize("name", _NAMES)
def test_read_only_with_any_letters(
    tmp_path: Path, name: str, read_only: Callable[[Path], None]
) -> None:
    home = tmp_path / name
    Store(home).create_campaign("one", {"name": "one"}, [NewEvent("created", {"x": 1})])
    read_only(home)
    store = Store(home, reading=True)
    assert [row.name for row in store.campaigns()] == ["one"]
    with pytest.raises(OperationalError, match="readonly"):
        store.request_stop("one")


def test_mlflow_of_a_home_with_any_letters(tmp_path: Path, write_config: Write) -> None:
    from mlflow.tracking import MlflowClient

    home = tmp_path / _NAMES[5]
    config = write_config(tmp_path / "inputs", tracking={"enabled": True})
    done = run("launch", config, "--home", home)
    assert done.exit_code == 0
    assert "tracking:" not in done.stderr
    client = MlflowClient(store_uri(home / "mlflow" / "mlflow.db"))
    experiment = client.get_experiment_by_name("phonoscout")
    runs = client.search_runs([experiment.experiment_id])
    assert {r.info.status for r in runs} == {"FINISHED"}
    first = next(r for r in runs if r.info.run_name == "round-0001")
    assert "best.csv" in [a.path for a in client.list_artifacts(first.info.run_id)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([home.name, "inputs"])


def test_an_ordinary_path_is_shown_to_mlflow_as_it_is() -> None:
    assert store_uri(Path("/data/home/mlflow.db")) == "sqlite:////data/home/mlflow.db"


def test_hints_work_from_where_they_are_typed(
    tmp_path: Path, write_config: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path / "inputs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PHONOSCOUT_HOME", raising=False)
    below = run("launch", config, "--home", "demo home").stdout
    assert "--home 'demo home'" in below
    usual = run("launch", config).stdout
    assert "--home" not in usual
    monkeypatch.setenv("PHONOSCOUT_HOME", "demo home")
    chosen = run("resume", "layers").stdout
    assert "phonoscout resume layers" in chosen
    assert "--home" not in chosen
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    away = run("resume", "layers", "--home", tmp_path / "demo home").stdout
    assert f"--home '{tmp_path / 'demo home'}'" in away


def test_tables_of_an_earlier_form_are_read_in_a_copy(
    home: Path, read_only: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only(home)
    before = [row.name for row in Store(home, reading=True).campaigns()]
    copies: list[Path] = []

    def noted(file: Path) -> Path:
        copies.append(file)
        return copy_of(file)

    monkeypatch.setattr(database, "copy_of", noted)
    # As if the tables were of another revision than the one this program knows.
    found = database._revision
    monkeypatch.setattr(database, "_revision", lambda e: None if not copies else found(e))
    assert [row.name for row in Store(home, reading=True).campaigns()] == before
    assert len(copies) == 1


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"Not a directory|File exists"):
        Store(tmp_path / "file" / "home")
