"""MLflow shows what was recorded, once, and never stands in a campaign's way."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from mlflow.tracking import MlflowClient

from orchestrator.tracking.mlflow_runs import Tracker

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = {
    "name": "low-kappa",
    "space": {"kind": "prototypes", "elements": ["Na", "Cl"], "maximum": None},
    "agents": [{"kind": "random"}, {"kind": "bayesian", "weight": 2.5}],
    "budget": {"rounds": 3},
}
METRICS = {"best": 0.8, "coverage": 0.7, "spread/σ": 2.0, "regret": float("nan")}


# MLflow maps its tables in a way that SQLAlchemy means to give up.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take seconds to make."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def home(tmp_path: Path, empty_store: Path) -> Path:
    folder = tmp_path / "home of four words"
    (folder / "mlflow").mkdir(parents=True)
    shutil.copy(empty_store, folder / "mlflow")
    return folder


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    path = tmp_path / "best.csv"
    path.write_text("rank,label\n1,NaCl\n")
    return path


def make(home: Path, parent_run: str | None = None, uri: str | None = None) -> Tracker:
    return Tracker(uri, home, "low-kappa", parent_run, rest_s=0.0)


def show(tracker: Tracker, number: int, artefact: Path, **config: Any) -> str | None:
    return tracker.log_round(
        number,
        params={"agents": "random,bayesian", "trials": 4},
        metrics=METRICS | {"best": 1.0 / number},
        artefacts=[artefact],
        config=CONFIG | config,
    )


def client_of(home: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")


def runs_of(client: MlflowClient) -> tuple[list[Any], dict[str, Any]]:
    """The runs of campaigns, and those of rounds by name."""
    experiment = client.get_experiment_by_name("phonoscout")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    rounds = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len({run.info.run_name for run in rounds}) == len(rounds)
    return parents, {run.info.run_name: run for run in rounds}


def curve(client: MlflowClient, run: str, name: str) -> list[tuple[int, float]]:
    return [(p.step, p.value) for p in client.get_metric_history(run, name)]


def test_what_a_round_shows(home: Path, artefact: Path) -> None:
    tracker = make(home)
    assert [show(tracker, n, artefact) for n in (1, 2)] == [None, None]
    client = client_of(home)
    (parent,), rounds = runs_of(client)
    assert parent.info.run_id == tracker.parent_run
    assert (parent.info.run_name, parent.info.status) == ("low-kappa", "RUNNING")
    assert parent.data.params == {
        "name": "low-kappa",
        "space.kind": "prototypes",
        "space.elements": '["Na", "Cl"]',
        "space.maximum": "null",
        "agents.0.kind": "random",
        "agents.1.kind": "bayesian",
        "agents.1.weight": "2.5",
        "budget.rounds": "3",
    }
    assert curve(client, parent.info.run_id, "best") == [(1, 1.0), (2, 0.5)]
    assert list(rounds) == ["round-0001", "round-0002"]
    second = rounds["round-0002"]
    assert second.info.status == "FINISHED"
    assert second.data.tags["mlflow.parentRunId"] == tracker.parent_run
    assert second.data.params == {"agents": "random,bayesian", "trials": "4"}
    assert second.data.metrics == {"best": 0.5, "coverage": 0.7, "spread_σ": 2.0}
    files = client.list_artifacts(second.info.run_id)
    assert [file.path for file in files] == ["best.csv"]
    copies = list((home / "mlflow" / "artifacts").rglob("best.csv"))
    assert [copy.read_text() for copy in copies] == [artefact.read_text()] * 2


def test_a_resumed_campaign_goes_on_with_the_same_runs(home: Path, artefact: Path) -> None:
    first = make(home)
    show(first, 1, artefact)
    assert first.close("stopped by request", "stopped") is None
    client = client_of(home)
    (parent,), _ = runs_of(client)
    assert parent.info.status == "KILLED"
    assert parent.data.tags["phonoscout.stop_reason"] == "stopped by request"
    second = make(home, first.parent_run)
    assert second.parent_run == first.parent_run
    assert client.get_run(first.parent_run).info.status == "RUNNING"
    assert [show(second, n, artefact) for n in (1, 2)] == [None, None]
    again = second.log_round(
        1, params={"agents": "other"}, metrics={"best": 9.0}, artefacts=[], config=CONFIG
    )
    assert again is None  # a complete round stays as it is
    second.close("budget.rounds is used up")
    (parent,), rounds = runs_of(client)
    assert parent.info.status == "FINISHED"
    assert list(rounds) == ["round-0001", "round-0002"]
    assert curve(client, parent.info.run_id, "best") == [(1, 1.0), (2, 0.5)]


def test_a_run_that_was_deleted_is_made_again(home: Path, artefact: Path) -> None:
    first = make(home)
    show(first, 1, artefact)
    client_of(home).delete_run(first.parent_run)
    second = make(home, first.parent_run)
    assert second.problem is None
    assert second.parent_run != first.parent_run
    assert show(second, 1, artefact) is None


def test_accepted_weights_get_one_version_each(home: Path, tmp_path: Path) -> None:
    weights = [tmp_path / "a.pth", tmp_path / "b.pth"]
    for n, path in enumerate(weights):
        path.write_bytes(bytes([n]))
    for _ in range(2):  # a resumed campaign registers all of them again
        tracker = Tracker(None, home, "healed")
        for path in weights:
            assert tracker.register(path, path.stem * 64, {"labels": "7"}) is None
    client = MlflowClient(f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")
    versions = client.search_model_versions("name = 'phonoscout-healed-potential'")
    assert sorted(v.tags["phonoscout.sha256"][0] for v in versions) == ["a", "b"]
    assert {v.run_id for v in versions} == {tracker.parent_run}
    assert {v.tags["labels"] for v in versions} == {"7"}
    copied = client.list_artifacts(tracker.parent_run, "potential")
    assert [Path(file.path).name for file in copied] == ["a.pth", "b.pth"]


def test_steered_settings_are_tags(home: Path, artefact: Path) -> None:
    tracker = make(home)
    show(tracker, 1, artefact)
    assert show(tracker, 2, artefact, budget={"rounds": 9, "batch": 4}) is None
    (parent,), _ = runs_of(client_of(home))
    assert parent.data.params["budget.rounds"] == "3"
    assert parent.data.params["budget.batch"] == "4"
    assert parent.data.tags["phonoscout.steered.budget.rounds"] == "9"


def test_campaigns_of_one_name_in_two_homes_share_a_server_but_no_run(
    tmp_path: Path, empty_store: Path
) -> None:
    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path)}"
    one, two = (make(tmp_path / name, uri=uri) for name in ("one", "two"))
    assert one.problem is None
    assert two.problem is None
    assert one.parent_run != two.parent_run
    assert make(tmp_path / "one", uri=uri).parent_run == one.parent_run


def test_many_settings_and_long_ones(home: Path, artefact: Path) -> None:
    tracker = make(home)
    big = {f"key {i}?": "x" * 9000 for i in range(230)}
    assert show(tracker, 1, artefact, big=big) is None
    (parent,), _ = runs_of(client_of(home))
    params = {k: v for k, v in parent.data.params.items() if k.startswith("big.")}
    assert len(params) == 230
    assert set(params.values()) == {"x" * 6000}


class Killed(Exception):
    """Stands for the end of the process."""


_WRITES = (
    "create_experiment", "create_run", "update_run", "log_batch", "log_artifact",
    "set_terminated",
)  # fmt: skip


def _kill_at(monkeypatch: pytest.MonkeyPatch, writes: int, *, after: bool) -> None:
    """Let the process end just before or after the write number `writes`."""
    left = [writes]

    def dying(method: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and not after:
                raise Killed
            value = method(*args, **kwargs)
            if left[0] == 0:
                raise Killed
            return value

        return call

    for name in _WRITES:
        monkeypatch.setattr(MlflowClient, name, dying(getattr(MlflowClient, name)))


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_write(home: Path, artefact: Path, after: bool) -> None:
    """The next process completes what is missing and doubles nothing."""
    client: MlflowClient | None = None
    for writes in range(1, 30):
        name = f"campaign-{writes}"
        with pytest.MonkeyPatch.context() as patch:
            _kill_at(patch, writes, after=after)
            dying = Tracker(None, home, name, rest_s=600.0)
            if dying.problem is None:
                show(dying, 1, artefact)
        if dying.problem is None:
            break
        assert "Killed" in dying.problem
        tracker = Tracker(None, home, name)
        assert [show(tracker, n, artefact) for n in (1, 2)] == [None, None]
        client = client or client_of(home)
        experiment = client.get_experiment_by_name("phonoscout")
        assert experiment is not None
        everything = client.search_runs([experiment.experiment_id])
        parents = [r for r in everything if r.data.tags.get("phonoscout.campaign") == name]
        assert [r.info.run_id for r in parents] == [tracker.parent_run]
        rounds = [
            r for r in everything if r.data.tags.get("mlflow.parentRunId") == tracker.parent_run
        ]
        assert sorted(r.info.run_name for r in rounds) == ["round-0001", "round-0002"]
        assert {r.info.status for r in rounds} == {"FINISHED"}
        assert all(len(client.list_artifacts(r.info.run_id)) == 1 for r in rounds)
        assert curve(client, parents[0].info.run_id, "best") == [(1, 1.0), (2, 0.5)]
        for run in rounds:
            assert len(curve(client, run.info.run_id, "best")) == 1
    assert 5 < writes < 29  # there were writes to be killed at, and all were


def test_a_reader_of_the_store_keeps_nobody_waiting(home: Path, artefact: Path) -> None:
    tracker = make(home)
    with contextlib.closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        assert show(tracker, 1, artefact) is None
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    assert len(runs_of(client_of(home))[1]) == 1


def test_trouble_is_told_and_passes(home: Path, artefact: Path) -> None:
    (home / "mlflow").rename(home / "elsewhere")
    (home / "mlflow").write_text("in the way")
    tracker = make(home)
    assert tracker.problem is not None
    assert tracker.problem.startswith("MLflow at sqlite:///")
    assert "\n" not in tracker.problem
    assert show(tracker, 1, artefact) == tracker.problem
    (home / "mlflow").unlink()
    (home / "elsewhere").rename(home / "mlflow")
    assert show(tracker, 1, artefact) is None
    assert tracker.problem is None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_is_down_costs_little(tmp_path: Path, artefact: Path) -> None:
    uri = f"http://user:secret@127.0.0.1:{_free_port()}"
    before = time.monotonic()
    tracker = Tracker(uri, tmp_path, "low-kappa")
    problems = [show(tracker, n, artefact) for n in range(1, 30)]
    assert time.monotonic() - before < 15
    assert len(set(problems)) == 1
    assert str(problems[0]).startswith("MLflow at http://127.0.0.1:")
    assert "secret" not in str(problems[0])
    assert list(tmp_path.iterdir()) == [artefact]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of an MLflow server."""
    port = _free_port()
    store = tmp_path / "server"
    store.mkdir()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(
        [*command, "--backend-store-uri", f"sqlite:///{store / 'mlflow.db'}"],
        cwd=store,
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    uri = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 200
    while time.monotonic() < end:
        try:
            urlopen(f"{uri}/health", timeout=5).close()
            break
        except OSError:
            time.sleep(0.2)
    yield uri
    os.killpg(process.pid, signal.SIGKILL)  # with the workers it has started
    process.wait()


@pytest.mark.slow
def test_a_server(tmp_path: Path, server: str, artefact: Path) -> None:
    tracker = make(tmp_path / "home", uri=server)
    assert tracker.problem is None
    assert [show(tracker, n, artefact) for n in (1, 2)] == [None, None]
    (parent,), rounds = runs_of(MlflowClient(server))
    assert parent.info.run_id == tracker.parent_run
    assert len(rounds) == 2
    assert not (tmp_path / "home").exists()


_ALONE = """
import json, sys
from pathlib import Path
from orchestrator.tracking.mlflow_runs import Tracker

lazy = "mlflow" not in sys.modules
tracker = Tracker(None, Path("home"), "alone")
from mlflow.telemetry.client import get_telemetry_client
from mlflow.telemetry.utils import is_telemetry_disabled
print(json.dumps({
    "lazy": lazy,
    "problem": tracker.problem,
    "reports": not is_telemetry_disabled() or get_telemetry_client() is not None,
    "files": [path.name for path in Path(".").iterdir()],
}))
"""


def test_quiet_and_without_usage_reports(tmp_path: Path) -> None:
    told_off = ("CI", "PYTEST", "MLFLOW", "DO_NOT_TRACK", "GITHUB", "JENKINS", "TRAVIS")
    alone = {k: v for k, v in os.environ.items() if not k.startswith(told_off)}
    done = subprocess.run(
        [sys.executable, "-c", _ALONE],
        cwd=tmp_path,
        env=alone | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {
        "lazy": True,
        "problem": None,
        "reports": False,
        "files": ["home"],
    }
    assert done.stderr == ""
