"""All executors run calls in the same way; the one on Ray survives whatever happens to workers."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import TypeAdapter, ValidationError

from orchestrator.config.errors import ConfigError
from orchestrator.config.run_settings import Duration, ExecutorSettings
from orchestrator.executors.protocol import Call, CallFailed, Executor, Reply
from orchestrator.executors.ray_cluster import _arguments, _fitting
from orchestrator.executors.ray_executor import RayExecutor
from orchestrator.executors.serial_executor import SerialExecutor
from tests.orchestrator import executor_functions

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 200.0  # a worker that imports torch beside five busy processes takes a minute


def call(
    name: str, /, *, id: str = "t-1", limit: float | None = None, **payload: Any
) -> Call[dict[str, Any], Any]:
    return Call(id, vars(executor_functions)[name], payload, limit)


def answer(executor: Executor, asked: Call[Any, Any]) -> Reply:
    executor.submit(asked)
    reply = executor.next_reply(_PATIENCE_S)
    assert reply is not None
    assert reply.id == asked.id
    return reply


def until(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


_UNKNOWN_TO_WORKERS: list[Any] = [
    lambda payload, context: payload,
    functools.partial(executor_functions.add, {}),
    executor_functions.Sum(1, 2).doubled,
    executor_functions.inner(),
    executor_functions.Sum,
    "executor_functions:add",
]


class ExecutorContract:
    """What every executor must do, because the loop relies on it."""

    def test_is_an_executor(self, executor: Executor) -> None:
        assert isinstance(executor, Executor)
        assert executor.slots >= 1

    def test_value_and_times(self, executor: Executor) -> None:
        before = time.time()
        reply = answer(executor, call("add", a=1, b=2, name="Å κ", seconds=0.05))
        assert (reply.kind, reply.value) == ("ok", {"sum": 3, "name": "Å κ"})
        assert reply.error is None
        assert reply.submitted is not None
        assert reply.started is not None
        assert reply.finished is not None
        assert before <= reply.submitted <= reply.started <= reply.finished - 0.05
        assert reply.finished <= time.time()

    def test_what_a_call_raises_is_one_line(self, executor: Executor) -> None:
        reply = answer(executor, call("refuse"))
        assert (reply.kind, reply.error) == ("error", "ValueError: the cell is flat")

    def test_what_users_are_told_reaches_this_process(
        self, executor: Executor, caplog: pytest.LogCaptureFixture
    ) -> None:
        reply = answer(executor, call("complain", file="arrays.npz"))
        assert reply.kind == "ok"
        assert [r.getMessage() for r in caplog.records if r.name == "phonoscout"] == [
            "arrays.npz is damaged (it is too short): it is computed again"
        ]

    @pytest.mark.parametrize("function", _UNKNOWN_TO_WORKERS)
    def test_what_no_worker_can_import_is_refused(
        self, executor: Executor, function: Callable[..., Any]
    ) -> None:
        for ask in (
            lambda: executor.submit(Call("t-1", function, {})),
            lambda: executor.map(function, []),
        ):
            with pytest.raises(TypeError, match=r"cannot run in a worker.*top level"):
                ask()
        assert executor.next_reply(0.0) is None

    def test_requests_and_answers_are_what_they_were(self, executor: Executor) -> None:
        requests = [executor_functions.Sum(1, 2.5), executor_functions.Sum(0.1, 0.2)]
        assert list(executor.map(executor_functions.added, requests)) == [
            executor_functions.Total(3.5, of=requests[0]),
            executor_functions.Total(0.1 + 0.2, of=requests[1]),
        ]

    def test_a_call_that_gives_no_answer(self, executor: Executor) -> None:
        reply = answer(executor, call("nothing"))
        assert reply.kind == "error"
        assert "nothing returned nothing, expected an answer" in str(reply.error)

    def test_deadline_and_threads_reach_the_function(self, executor: Executor) -> None:
        before = time.time()
        value = answer(executor, call("surroundings", limit=500.0)).value
        assert value is not None
        assert before + 500 <= value["deadline"] <= time.time() + 500
        assert value["threads"] == value["torch_threads"] == 1
        assert value["variable"] == "1"

    def test_no_limit_is_no_deadline(self, executor: Executor) -> None:
        value = answer(executor, call("surroundings")).value
        assert value is not None
        assert value["deadline"] is None

    def test_nothing_under_way_gives_nothing(self, executor: Executor) -> None:
        before = time.monotonic()
        assert executor.next_reply(30.0) is None
        assert time.monotonic() - before < 5
        assert executor.progress() == {}

    def test_more_calls_than_slots(self, executor: Executor) -> None:
        names = {f"t-{i}" for i in range(7)}
        for name in names:
            executor.submit(call("add", id=name, a=0, b=int(name[2:])))
        replies = [executor.next_reply(_PATIENCE_S) for _ in names]
        assert {r.id: (r.value or {})["sum"] for r in replies if r} == {
            name: int(name[2:]) for name in names
        }

    def test_map_keeps_the_order(self, executor: Executor) -> None:
        payloads = [{"a": i, "b": 0, "seconds": 0.03 * (i % 2 == 0)} for i in range(9)]
        results = executor.map(executor_functions.add, payloads)
        assert [value["sum"] for value in results] == list(range(9))

    def test_who_waits_is_told_the_stages_of_a_map(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        go = tmp_path / "go"
        reported: list[tuple[str, float]] = []

        def listen(stages: dict[str, tuple[str, float]]) -> None:
            reported.extend(stages.values())
            if ("fc3", 0.25) in reported:
                go.touch()

        executor.watch(listen)
        assert list(executor.map(executor_functions.report, [{"go": str(go)}])) == [{}]
        executor.watch(lambda stages: None)
        assert ("fc3", 0.25) in reported

    def test_map_of_nothing(self, executor: Executor) -> None:
        assert list(executor.map(executor_functions.add, [])) == []

    def test_map_takes_payloads_as_they_are_needed(self, executor: Executor) -> None:
        drawn_payloads = []

        def payloads() -> Iterator[dict[str, int]]:
            for i in range(100):
                drawn_payloads.append(i)
                yield {"a": i, "b": 0}

        results = executor.map(executor_functions.add, payloads())
        assert [next(results)["sum"] for _ in range(5)] == [0, 1, 2, 3, 4]
        assert len(drawn_payloads) <= 5 + 8 * executor.slots
        assert [value["sum"] for value in results] == list(range(5, 100))

    def test_map_raises_the_first_error(self, executor: Executor) -> None:
        with pytest.raises(CallFailed, match=r"executor_functions:add: KeyError: 'b'"):
            list(executor.map(executor_functions.add, [{"a": 1, "b": 1}, {"a": 1}]))
        assert executor.next_reply(0.2) is None

    def test_map_leaves_other_replies_alone(self, executor: Executor) -> None:
        executor.submit(call("add", id="t-9", a=4, b=5))
        results = executor.map(executor_functions.add, [{"a": i, "b": 0} for i in range(4)])
        assert [value["sum"] for value in results] == [0, 1, 2, 3]
        reply = executor.next_reply(_PATIENCE_S)
        assert reply is not None
        assert (reply.id, reply.value) == ("t-9", {"sum": 9, "name": None})


class TestSerialExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        executor = SerialExecutor(ExecutorSettings(kind="serial"))
        executor.start()
        yield executor
        executor.shutdown()

    def test_shutdown_forgets_what_is_in_line(self, executor: Executor) -> None:
        executor.submit(call("add", a=1, b=1))
        executor.shutdown()
        assert executor.next_reply(0.0) is None


@pytest.fixture(scope="module")
def ray_executor() -> Iterator[RayExecutor]:
    """Started once, because that takes seconds. Every test leaves it without running calls."""
    executor = RayExecutor(ExecutorSettings(workers=2))
    before = time.monotonic()
    executor.start()
    assert time.monotonic() - before < 0.5
    yield executor
    executor.shutdown()
    assert until(lambda: not psutil.Process().children(recursive=True))


class TestRayExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self, ray_executor: RayExecutor) -> Executor:
        return ray_executor

    def test_nothing_listens_but_on_the_loopback(self, executor: Executor) -> None:
        assert answer(executor, call("add", a=1, b=1)).kind == "ok"
        ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
        listening = {
            connection.laddr.ip.removeprefix("::ffff:")
            for process in ours
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening <= {"127.0.0.1", "::1"}
        assert listening

    def test_calls_run_side_by_side_and_end_in_their_order(self, executor: Executor) -> None:
        list(executor.map(executor_functions.add, [{"a": 1, "b": 1, "seconds": 0.3}] * 2))
        executor.submit(call("add", id="slow", a=1, b=1, seconds=1.0))
        executor.submit(call("add", id="quick", a=1, b=1, seconds=0.1))
        replies = [executor.next_reply(_PATIENCE_S), executor.next_reply(_PATIENCE_S)]
        quick, slow = replies
        assert quick is not None
        assert slow is not None
        assert (quick.id, slow.id) == ("quick", "slow")
        assert slow.started is not None
        assert quick.finished is not None
        assert slow.started < quick.finished

    def test_a_worker_serves_many_calls(self, executor: Executor) -> None:
        pids = [(answer(executor, call("surroundings")).value or {})["pid"] for _ in range(5)]
        assert len(set(pids)) == 1
        assert os.getpid() not in pids

    def test_progress_of_calls_under_way(self, executor: Executor, tmp_path: Path) -> None:
        go = tmp_path / "go"
        executor.submit(call("report", id="t-3", go=str(go)))
        assert until(lambda: executor.progress() == {"t-3": ("fc3", 0.25)})
        go.touch()
        reply = executor.next_reply(_PATIENCE_S)
        assert reply is not None
        assert reply.kind == "ok"
        assert executor.progress() == {}

    @pytest.mark.parametrize("death", ["exit_at_once", "segfault"])
    def test_a_call_that_ends_its_worker_is_lost(self, executor: Executor, death: str) -> None:
        reply = answer(executor, call(death))
        assert reply.kind == "lost"
        assert reply.value is None
        assert "worker died" in str(reply.error)
        assert "\n" not in str(reply.error)
        assert answer(executor, call("add", a=2, b=2)).kind == "ok"

    def test_a_killed_worker_is_replaced(self, executor: Executor, tmp_path: Path) -> None:
        file = tmp_path / "pid"
        executor.submit(call("hang", file=str(file)))
        assert until(lambda: file.exists() and file.read_text() != "")
        os.kill(int(file.read_text()), signal.SIGKILL)
        reply = executor.next_reply(_PATIENCE_S)
        assert reply is not None
        assert reply.kind == "lost"
        assert answer(executor, call("add", a=2, b=2)).kind == "ok"

    def test_a_call_that_hangs_is_stopped(self, executor: Executor, tmp_path: Path) -> None:
        file = tmp_path / "pid"
        reply = answer(executor, call("hang", limit=1.0, file=str(file)))
        assert reply.kind == "timeout"
        assert "executor.time_limit" in str(reply.error)
        assert until(lambda: not psutil.pid_exists(int(file.read_text())))
        assert answer(executor, call("add", a=2, b=2)).kind == "ok"

    def test_map_repeats_what_a_lost_worker_had(self, executor: Executor, tmp_path: Path) -> None:
        payloads = [{"index": i, "file": str(tmp_path / str(i == 1))} for i in range(4)]
        (tmp_path / "False").touch()
        results = executor.map(executor_functions.die_once, payloads)
        assert [value["index"] for value in results] == [0, 1, 2, 3]

    def test_a_map_nobody_reads_to_its_end_leaves_nothing(self, executor: Executor) -> None:
        results = executor.map(
            executor_functions.add, [{"a": i, "b": 0, "seconds": 0.5} for i in range(20)]
        )
        assert next(results)["sum"] == 0
        assert isinstance(results, Iterator)
        results.close()  # type: ignore[attr-defined]
        before = time.monotonic()
        assert answer(executor, call("add", id="t-5", a=1, b=1)).value == {"sum": 2, "name": None}
        assert time.monotonic() - before < 4.0  # all of them would take 5 s


def test_ray_is_started_again_when_it_dies(ray_executor: RayExecutor) -> None:
    ray_executor.shutdown()  # one process has one Ray
    executor = RayExecutor(ExecutorSettings(workers=1))
    try:
        assert answer(executor, call("add", a=1, b=1)).kind == "ok"
        executor.submit(call("add", id="t-2", a=1, b=1, seconds=600))
        assert executor.next_reply(0.5) is None
        raylets = [p for p in psutil.Process().children() if p.name() == "raylet"]
        assert len(raylets) == 1
        raylets[0].kill()
        reply = executor.next_reply(_PATIENCE_S)
        assert reply is not None
        assert (reply.id, reply.kind) == ("t-2", "lost")
        assert answer(executor, call("add", a=2, b=3)).value == {"sum": 5, "name": None}
    finally:
        executor.shutdown()


_DRIVER = """
import json
from tests.orchestrator import executor_functions as functions
from orchestrator.executors.protocol import Call
from orchestrator.executors.ray_executor import RayExecutor
from orchestrator.config.run_settings import ExecutorSettings

executor = RayExecutor(ExecutorSettings(workers=2))
executor.submit(Call("1", functions.exit_at_once, {}))
reply = executor.next_reply(60.0)
for i in range(2):
    executor.submit(Call(str(i), functions.hang, {"file": f"pid-{i}"}))
executor.next_reply(0.1)
print(json.dumps(reply.kind), flush=True)
while True:
    executor.next_reply(1.0)
"""


def test_nothing_survives_a_killed_campaign(tmp_path: Path) -> None:
    """The driver runs in another folder, with the longest path for temporary files."""
    temp = tmp_path / ("long-" * 20)
    temp.mkdir()
    driver = subprocess.Popen(
        [sys.executable, "-c", _DRIVER],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(temp), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    files = [tmp_path / f"pid-{i}" for i in range(2)]
    working = until(lambda: all(f.exists() and f.read_text() for f in files), 90.0)
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    out, errors = driver.communicate(timeout=30)
    assert working, errors
    # Ray's own reports of the dead worker would spoil `--json`.
    assert json.loads(out) == "lost"
    assert errors == ""
    workers = {int(file.read_text()) for file in files}
    assert workers <= {child.pid for child in children}
    assert until(lambda: not any(psutil.pid_exists(pid) for pid in workers))
    names = {"raylet", "gcs_server"}
    assert until(lambda: not any(c.is_running() and c.name() in names for c in children))


@pytest.mark.parametrize(
    ("settings", "fitting"),
    [
        ({}, 8),
        ({"cpus_per_call": 3}, 2),
        ({"memory_gb": 12}, 2),
        ({"gpus_per_call": 0.5}, 2),
    ],
)
def test_as_many_calls_as_resources_allow(settings: dict[str, Any], fitting: int) -> None:
    node = {"CPU": 8.0, "GPU": 1.0, "memory": 32.0 * 2**30}
    assert _fitting(ExecutorSettings(**settings), [node]) == fitting
    halves = {name: value / 2 for name, value in node.items()}
    if settings.get("memory_gb") != 12:
        halves_fit = 2 * (fitting // 2)
        assert _fitting(ExecutorSettings(**settings), [halves, halves]) == halves_fit


def test_a_call_runs_on_one_node() -> None:
    settings = ExecutorSettings(address="10.0.0.1:6379", memory_gb=12)
    nodes = [{"CPU": 8.0, "memory": 10.0 * 2**30}] * 3
    with pytest.raises(ConfigError, match=r"memory_gb is 12, but the largest node .* only 10"):
        _fitting(settings, nodes)
    assert _fitting(settings, [*nodes, {"CPU": 8.0, "memory": 24.0 * 2**30}]) == 2


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"gpus_per_call": 1}, r"executor\.gpus_per_call is 1, but .* only 0"),
        ({"memory_gb": 1000}, r"executor\.memory_gb is 1000, but .* only 32"),
        ({"cpus_per_call": 9}, r"executor\.cpus_per_call is 9, but .* only 8"),
    ],
)
def test_resources_that_are_not_there_are_named(
    settings: dict[str, Any], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match=line):
        _fitting(ExecutorSettings(**settings), [{"CPU": 8.0, "memory": 2.0**35}])


def test_a_call_that_fits_on_no_node_is_refused_at_once() -> None:
    """Ray would wait for such a node, and each call for its worker."""
    settings = ExecutorSettings(address="10.0.0.1:6379", cpus_per_call=16, memory_gb=30)
    many, large = {"CPU": 64.0, "memory": 16 * 2.0**30}, {"CPU": 8.0, "memory": 512 * 2.0**30}
    with pytest.raises(ConfigError, match=r"cpus_per_call is 16, but the largest node .* only 8"):
        _fitting(settings, [large] * 4)
    with pytest.raises(ConfigError, match=r"no node has all .*cpus_per_call 16, memory_gb 30"):
        _fitting(settings, [many, large])
    assert _fitting(settings, [many, large, {"CPU": 32.0, "memory": 64 * 2.0**30}]) == 2


def test_a_cluster_is_joined_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert _arguments(ExecutorSettings())["address"] == "local"
    assert _arguments(ExecutorSettings(address="10.0.0.1:6379")) == {"address": "10.0.0.1:6379"}
    assert _arguments(ExecutorSettings(workers=4096))["num_cpus"] == 4096
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    assert _arguments(ExecutorSettings()) == {"address": "10.0.0.2:6379"}


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30min", 1800.0), ("1.5 h", 5400.0), ("90s", 90.0), ("2d", 172800.0), (45, 45.0)],
)
def test_durations(written: Any, seconds: float) -> None:
    assert TypeAdapter(Duration).validate_python(written) == seconds


@pytest.mark.parametrize("written", ["30 minutes", "-5s", 0, -1, "", "nan", float("inf")])
def test_what_is_no_duration(written: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(written)


def test_serial_has_neither_address_nor_workers() -> None:
    with pytest.raises(ValidationError, match="belong to kind: ray"):
        ExecutorSettings(kind="serial", workers=2)
