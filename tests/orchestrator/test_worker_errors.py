"""An error in a worker gives one line, an exit code and a stop reason, but never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from orchestrator.app.cli import main
from orchestrator.calls import feature_calls, healing_calls, oracle_calls, pool_scan_calls
from orchestrator.executors.protocol import CallContext
from tests.orchestrator.test_healing import CONFIG, Workers

StandIn = Callable[[Any, Any], None]
NO_HEALING: dict[str, Any] = {"engine": "none"}
PROCESS = {"kind": "gaussian-process", "features": "7net-0"}


def _phonoscout(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--home", str(folder / "home")])


def _config(folder: Path, **changes: Any) -> str:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(CONFIG | changes))
    return str(path)


def _broken(request: Any, context: CallContext) -> Any:
    raise OSError("the disk of the worker\nis gone")


@pytest.mark.parametrize(
    ("function", "changes", "doing"),
    [
        (feature_calls.features, {"dft": NO_HEALING, "surrogate": PROCESS}, "planning a round"),
        (
            oracle_calls.energies,
            {"dft": NO_HEALING, "constraints": None},
            "planning a round",
        ),
        (
            pool_scan_calls.screen,
            {"dft": NO_HEALING, "selection": {"pool_limit": 3, "shortlist": 2}},
            "planning a round",
        ),
        (healing_calls.hunt, {}, "healing the potential"),
        (healing_calls.label_one, {}, "healing the potential"),
        (healing_calls.fine_tune, {}, "healing the potential"),
    ],
)
def test_a_campaign_ends_with_the_cause_and_can_go_on(
    tmp_path: Path,
    stand_in: StandIn,
    function: Callable[..., Any],
    changes: dict[str, Any],
    doing: str,
) -> None:
    workers = Workers()
    stand_in(oracle_calls.try_potentials, lambda request, context: oracle_calls.PreflightAnswer())
    stand_in(oracle_calls.evaluate, workers.evaluate)
    for name in ("hunt", "label_one", "fine_tune"):
        stand_in(vars(healing_calls)[name], vars(Workers)[name].__get__(workers))
    stand_in(function, _broken)
    done = _phonoscout(tmp_path, "launch", _config(tmp_path, **changes))
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert isinstance(done.exception, SystemExit)
    status = json.loads(_phonoscout(tmp_path, "status", "heal", "--json").stdout)
    assert status["state"] == "failed"
    reason = status["stop_reason"]
    assert reason.startswith(f"{doing}: ")
    assert reason.endswith(f":{function.__name__}: OSError: the disk of the worker is gone")
    assert reason in done.output


def test_a_launch_whose_potentials_cannot_be_tried_records_nothing(
    tmp_path: Path, stand_in: StandIn
) -> None:
    stand_in(oracle_calls.try_potentials, _broken)
    done = _phonoscout(tmp_path, "launch", _config(tmp_path))
    assert done.exit_code == 2
    assert done.stderr.strip().splitlines()[-1] == (
        "phonoscout launch: executor: orchestrator.calls.oracle_calls:try_potentials: OSError: "
        "the disk of the worker is gone"
    )
    assert not (tmp_path / "home").exists()


MODULE = """
def broken():
    raise RuntimeError("no licence today")

def needs_more(argument):
    return argument
"""


@pytest.mark.parametrize("words", [["--dry-run"], []], ids=["dry-run", "launch"])
@pytest.mark.parametrize(
    ("features", "complaint"),
    [
        ("7nte-0", "unknown calculator '7nte-0'; did you mean '7net-0'?"),
        ("no_module:make", "there is no module 'no_module'"),
        ("mine_of_features:absent", "has no attribute 'absent'"),
        ("mine_of_features:broken", "no licence today"),
        ("mine_of_features:needs_more", "missing 1 required positional argument"),
        ("chgnet:/nowhere/weights.pth", "/nowhere/weights.pth"),
    ],
)
def test_features_that_cannot_be_had_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    features: str,
    complaint: str,
    words: Iterable[str],
) -> None:
    (tmp_path / "mine_of_features.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    surrogate = {"kind": "gaussian-process", "features": features}
    path = _config(tmp_path, dft=NO_HEALING, surrogate=surrogate, oracle={"kind": "phonon-bte"})
    done = _phonoscout(tmp_path, "launch", path, *words)
    assert done.exit_code == 2, done.output
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("phonoscout launch: surrogate.features: ")
    assert complaint in last
    assert not (tmp_path / "home").exists()
