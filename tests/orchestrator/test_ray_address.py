"""A cluster that does not answer is reported within seconds; a signal always ends the wait."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.config.errors import ConfigError
from orchestrator.config.run_settings import ExecutorSettings
from orchestrator.executors import ray_address
from orchestrator.executors.ray_address import check_address, cluster_address

ROOT = Path(__file__).resolve().parents[2]
_SETTINGS_FRAME = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], int]]:
    """Starts servers that send one message and then nothing more; returns their ports."""
    listeners: list[socket.socket] = []

    def start(word: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        connections: list[socket.socket] = []

        def speak() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    break
                connections.append(connection)
                connection.sendall(word)
            for connection in connections:
                connection.close()

        threading.Thread(target=speak, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def refusal(address: str | None) -> str:
    began = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        check_address(ExecutorSettings(address=address))
    assert time.monotonic() - began < 15
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "localhost:{}", "ray://127.0.0.1:{}"])
def test_nobody_there(form: str) -> None:
    address = form.format(_unused_port())
    line = refusal(address)
    assert f"executor.address: given '{address}'" in line
    assert "Connection refused" in line
    assert "ray start --head" in line


def test_a_name_that_nobody_has() -> None:
    assert "no Ray cluster answers" in refusal("no-such-host.invalid:6379")


_NO_ADDRESSES = (
    *("nonsense", "10.0.0.1", "10.0.0.1:", ":6379", "10.0.0.1:0", "10.0.0.1:99999"),
    *("http://10.0.0.1:6379", "a b:1", "10.0.0.1:6379/", "ray://", "redis://h:1", "::1:6379"),
)


@pytest.mark.parametrize("address", _NO_ADDRESSES)
def test_what_is_no_address(address: str) -> None:
    line = refusal(address)
    assert repr(address) in line
    assert "expected host:port" in line


@pytest.mark.parametrize("word", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR unknown\r\n"])
def test_somebody_else_there(
    serve: Callable[[bytes], int], word: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_address, "_CONNECT_S", 1.0)
    assert "not a Ray cluster" in refusal(f"127.0.0.1:{serve(word)}")


def test_what_speaks_like_ray_passes(serve: Callable[[bytes], int]) -> None:
    check_address(ExecutorSettings(address=f"127.0.0.1:{serve(_SETTINGS_FRAME)}"))


def test_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{_unused_port()}")
    line = refusal(None)
    assert line.startswith("RAY_ADDRESS: ")
    assert "unset RAY_ADDRESS" in line
    assert cluster_address(ExecutorSettings(address="local")) is None
    check_address(ExecutorSettings(kind="serial"))


def test_auto_without_a_ray_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "process_iter", lambda names: iter([]))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert "no Ray runs on this machine" in refusal("auto")
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("10.0.0.1:6379")
    check_address(ExecutorSettings(address="auto"))


@pytest.mark.parametrize("source", ["config", "environment"])
def test_nothing_is_recorded_of_a_dead_cluster(
    phonoscout: Callable[..., Any], write_config: Callable[..., Path], tmp_path: Path, source: str
) -> None:
    address, home = f"127.0.0.1:{_unused_port()}", tmp_path / "home"
    executor = {"kind": "ray", "workers": 1}
    variables = {"RAY_ADDRESS": address} if source == "environment" else {}
    if source == "config":
        executor["address"] = address
    config = write_config(tmp_path / "inputs", executor=executor)
    began = time.monotonic()
    done = phonoscout("launch", config, "--home", home, **variables)
    assert time.monotonic() - began < 30
    assert (done.code, len(done.lines)) == (2, 1), done.errors
    assert address in done.errors
    assert not home.exists()


def test_a_resume_to_a_dead_cluster_changes_nothing(
    phonoscout: Callable[..., Any], write_config: Callable[..., Path], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    assert phonoscout("launch", write_config(tmp_path / "in"), "--home", home).code == 0
    address = f"127.0.0.1:{_unused_port()}"
    dead = ["--set", f"executor={{kind: ray, address: '{address}'}}"]
    more = ["--set", "budget.oracle_calls=16"]
    done = phonoscout("resume", "layers", *more, *dead, "--home", home)
    assert (done.code, len(done.lines)) == (2, 1), done.errors
    assert "executor.address" in done.errors
    assert phonoscout("resume", "layers", *more, "--home", home).code == 0
    document = json.loads(phonoscout("status", "layers", "--json", "--home", home).out)
    assert (document["state"], document["oracle_calls"]) == ("finished", 16)


def _started(config: Path, home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator.app.cli", "launch", config, "--home", home, *words],
        env={"PYTHONPATH": str(ROOT), **os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGINT]
)
def test_a_signal_ends_the_wait_for_a_cluster(
    serve: Callable[[bytes], int],
    phonoscout: Callable[..., Any],
    write_config: Callable[..., Path],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    """The server answers once like Ray and then never again, and Ray's own code waits for ever."""
    executor = {"kind": "ray", "address": f"127.0.0.1:{serve(_SETTINGS_FRAME)}", "workers": 1}
    config, home = write_config(tmp_path / "in", executor=executor), tmp_path / "home"
    process = _started(config, home)
    try:
        assert process.stderr is not None
        assert "64 candidates" in process.stderr.readline()  # recorded, and begun
        time.sleep(1.0)
        process.send_signal(number)
        began = time.monotonic()
        _, errors = process.communicate(timeout=60)
        assert time.monotonic() - began < 20
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, errors
    assert f"phonoscout resume layers --home {home}" in errors
    document = json.loads(phonoscout("status", "layers", "--json", "--home", home).out)
    assert document["state"] == "interrupted"
    resumed = phonoscout("resume", "layers", "--set", "executor={kind: serial}", "--home", home)
    assert resumed.code == 0, resumed.errors


@pytest.mark.parametrize("seconds", [0.7, 1.0])
def test_a_signal_while_a_campaign_is_prepared(
    seconds: float, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    process = _started(write_config(tmp_path / "in"), tmp_path / "home")
    try:
        time.sleep(seconds)  # it imports for longer than that
        process.terminate()
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    if process.returncode == -signal.SIGTERM:
        pytest.skip(f"Python itself took more than {seconds} s to start")
    if "go on with" in errors:
        pytest.skip("the signal came late: the campaign was prepared already")
    assert process.returncode == 130
    assert errors.strip() == "phonoscout launch: interrupted"


_STUCK = """
import ctypes, sys
from orchestrator.running.interrupts import signals_end_the_process
from orchestrator.running import interrupts

interrupts._ORDERLY_S = 1.0
library = ctypes.CDLL(None)
with signals_end_the_process("phonoscout test"):
    while True:
        # The signal may come at any moment after the line, so the line is inside as well.
        try:
            print("waits", flush=True)
            while True:
                library.pause()
        except KeyboardInterrupt:
            # Like a library that waits for a disk: Python's own signal handlers do not run.
            library.pause()
"""


def test_a_signal_ends_what_pays_no_heed() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _STUCK],
        env={"PYTHONPATH": str(ROOT), **os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.terminate()
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert errors == "phonoscout test: interrupted\n"
