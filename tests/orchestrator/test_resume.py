"""A campaign that is killed at any instant and resumed ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

_SLOWED = """
import os, sys, time
import oracle.replay.oracle
plain = oracle.replay.oracle.ReplayOracle.evaluate
calls = sys.argv[1]
def slow(self, material, *, context):
    time.sleep(0.05)
    open(calls, "a").write(material.formula + "\\n")
    while os.path.exists(calls + ".hold"):
        time.sleep(0.05)
    return plain(self, material, context=context)
oracle.replay.oracle.ReplayOracle.evaluate = slow
sys.argv[1:] = sys.argv[2:]
from orchestrator.app.cli import main
main()
"""


def _write_inputs(folder: Path) -> Path:
    designs = [f"{i:07b}" for i in range(128)]
    pool = [{"id": d, "sequence": d} for d in designs]
    table = [{"id": d, "conductance": 1.0 + int(d, 2) % 17 + d.count("01")} for d in designs]
    for name, rows in (("pool", pool), ("table", table)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    config: dict[str, Any] = {
        "name": "killed",
        "seed": 5,
        "space": {"kind": "pool", "path": "pool.jsonl"},
        "objective": {"property": "conductance", "goal": "minimize"},
        "agents": [{"kind": "bayesian"}, {"kind": "evolution"}, {"kind": "random"}],
        "oracle": {"kind": "replay", "table": "table.jsonl", "column": "conductance"},
        "budget": {"batch": 5, "oracle_calls": 25},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _start(folder: Path, home: Path, *words: str) -> subprocess.Popen[str]:
    """The command line with an oracle that takes 50 ms and leaves a line per call."""
    command = [sys.executable, "-c", _SLOWED, str(folder / f"{home.name}.calls"), *words]
    return subprocess.Popen(
        [*command, "--home", str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _finished(folder: Path, home: Path, *words: str) -> None:
    process = _start(folder, home, *words)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors


def _results(home: Path) -> list[tuple[Any, ...]]:
    command = [
        sys.executable,
        "-m",
        "orchestrator.app.cli",
        "best",
        "killed",
        "-k",
        "999",
        "--json",
    ]
    done = subprocess.run(
        [*command, "--home", str(home)], capture_output=True, text=True, check=True
    )
    rows = json.loads(done.stdout)
    return [(r["rank"], r["label"], r["value"], r["round"], r["agent"]) for r in rows]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_at_random_instants(tmp_path: Path, seed: int) -> None:
    config = _write_inputs(tmp_path)
    whole = tmp_path / "whole"
    _finished(tmp_path, whole, "launch", str(config))
    killed = tmp_path / "broken"
    rng = random.Random(seed)
    words = ["launch", str(config)]
    kills = 0
    while kills < 2:
        process = _start(tmp_path, killed, *words)
        # Wait until its first call begins, and then for a random time.
        deadline = time.time() + 60
        before = _lines(tmp_path / "broken.calls")
        while _lines(tmp_path / "broken.calls") == before and time.time() < deadline:
            if process.poll() is not None:
                break
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, 0.6))
        if process.poll() is not None:
            process.communicate()
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
        words = ["resume", "killed"]
    assert kills > 0
    _finished(tmp_path, killed, "resume", "killed")
    assert _results(killed) == _results(whole)
    calls = (tmp_path / "broken.calls").read_text().split()
    # A call that was running when the process died is repeated, but no finished one.
    assert len(calls) - len(set(calls)) <= kills


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_a_second_process_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    config = _write_inputs(tmp_path)
    home = tmp_path / "home"
    hold = tmp_path / "home.calls.hold"
    hold.touch()  # the first must not end before the second, which takes long to start, has asked
    first = _start(tmp_path, home, "launch", str(config))
    while _lines(tmp_path / "home.calls") == 0 and first.poll() is None:
        time.sleep(0.02)
    second = _start(tmp_path, home, "resume", "killed")
    _, errors = second.communicate(timeout=120)
    hold.unlink()
    assert second.returncode == 2, errors
    assert "is running already" in errors
    first.communicate(timeout=240)
    assert first.returncode == 0


def test_interrupt_and_stop_leave_a_campaign_that_goes_on(tmp_path: Path) -> None:
    config = _write_inputs(tmp_path)
    home = tmp_path / "home"
    first = _start(tmp_path, home, "launch", str(config))
    while _lines(tmp_path / "home.calls") < 2 and first.poll() is None:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGINT)
    _, errors = first.communicate(timeout=60)
    assert first.returncode == 130, errors
    assert "phonoscout resume killed" in errors
    second = _start(tmp_path, home, "resume", "killed")
    while _lines(tmp_path / "home.calls") < 6 and second.poll() is None:
        time.sleep(0.02)
    stopping = _start(tmp_path, home, "stop", "killed")
    stopping.communicate(timeout=60)
    assert stopping.returncode == 0
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert len(_results(home)) < 25
    _finished(tmp_path, home, "resume", "killed")
    assert len(_results(home)) == 25
