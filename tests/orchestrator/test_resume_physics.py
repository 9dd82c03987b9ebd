"""A campaign on Ray with a real potential ends the same after all processes were killed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from orchestrator.campaign.campaign import Campaign
from orchestrator.store.store import Store

_CONFIG: dict[str, Any] = {
    "name": "killed",
    "seed": 3,
    "space": {
        "kind": "prototypes",
        "prototypes": ["rocksalt"],
        "elements": ["Na", "K", "Rb", "Cs", "Cl", "Br", "I"],
    },
    "objective": {"property": "kappa", "temperature": 300, "goal": "minimize"},
    "constraints": ["dynamically_stable", {"energy_above_best_polymorph": 0.05}],
    "agents": [{"kind": "evolution"}, {"kind": "bayesian"}, {"kind": "random"}],
    # Small and inaccurate, since the test is about resuming and not about accuracy.
    "oracle": {
        "kind": "phonon-bte",
        "calculator": "7net-0",
        "temperatures": [300],
        "fc2_supercell": [2, 2, 2],
        "fc3_supercell": [2, 2, 2],
        "fc3_cutoff": 5.0,
        "pairs_start": 4,
        "pairs_max": 4,
        "oversampling": 1.05,
        "mesh": [5, 5, 5],
        "bands": False,
    },
    "budget": {"rounds": 2, "batch": 3, "oracle_calls": 6},
    "confirmation": {"leaders": 1, "max_calls": 1, "each_round": False},
    "executor": {"kind": "ray", "cpus_per_call": 1},
    "tracking": {"enabled": False},
}


def _start(home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator.app.cli", *words, "--home", str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _finished(home: Path, *words: str) -> None:
    process = _start(home, *words)
    _, errors = process.communicate(timeout=1500)
    assert process.returncode == 0, errors


def _kill_tree(process: subprocess.Popen[str]) -> None:
    """The driver and all processes that Ray has started for it."""
    root = psutil.Process(process.pid)
    for victim in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    process.communicate()


def _best(home: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "orchestrator.app.cli", "best", "killed", "-k", "99", "--json"]
    done = subprocess.run(
        [*command, "--home", str(home)], capture_output=True, text=True, check=True
    )
    return list(json.loads(done.stdout))


def _finished_calls(home: Path) -> dict[str, float]:
    """When each finished call had begun, by trial."""
    with contextlib.suppress(Exception):  # nothing is there yet
        state = Campaign(Store(home), "killed").state
        return {n: t.started for n, t in state.trials.items() if t.status == "DONE" and t.started}
    return {}


@pytest.mark.slow
def test_killed_with_ray_and_a_real_potential(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(_CONFIG))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    _finished(whole, "launch", str(config))
    finished: dict[str, float] = {}
    words = ["launch", str(config)]
    for count in (1, 3, 5):
        process = _start(broken, *words)
        end = time.monotonic() + 600
        while len(_finished_calls(broken)) < count and process.poll() is None:
            assert time.monotonic() < end, "no call ends"
            time.sleep(0.3)
        time.sleep(0.7 * count)  # into the middle of the next call
        _kill_tree(process)
        assert process.returncode < 0, "it ended before it could be killed"
        now = _finished_calls(broken)
        assert finished.items() <= now.items()
        finished, words = now, ["resume", "killed"]
    _finished(broken, "resume", "killed")
    assert finished.items() <= _finished_calls(broken).items()  # nothing that had ended ran again
    expected, actual = _best(whole), _best(broken)
    assert len(expected) >= 4
    same = ("rank", "candidate", "confirmed", "round", "agent")
    assert [[r[k] for k in same] for r in actual] == [[r[k] for k in same] for r in expected]
    for one, other in zip(actual, expected, strict=True):
        assert one["value"] == pytest.approx(other["value"], rel=1e-12)
