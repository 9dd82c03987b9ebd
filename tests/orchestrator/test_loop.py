"""Campaigns in which calls raise, exceed their time limit or lose their worker; the examples."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from orchestrator.assembly import prepared
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.state import CampaignState
from orchestrator.config.loading import load_config
from orchestrator.config.run_settings import ExecutorSettings
from orchestrator.executors.protocol import Call, Reply
from orchestrator.executors.serial_executor import SerialExecutor
from orchestrator.queries import queries
from orchestrator.running import runner
from orchestrator.store.store import Store

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "examples"
Accident = Callable[[str, int], Reply | None]


class Unlucky(SerialExecutor):
    """Runs calls, but lets some of them fail in one way or another."""

    def __init__(self, settings: ExecutorSettings, accident: Accident) -> None:
        super().__init__(settings)
        self._accident = accident
        self._calls: list[Call[Any, Any]] = []
        self.attempts: dict[str, int] = {}

    def submit(self, call: Call[Any, Any]) -> None:
        self._calls.append(call)
        super().submit(call)

    def next_reply(self, timeout: float) -> Reply | None:
        if not self._calls:
            return None
        call = self._calls.pop(0)
        self.attempts[call.id] = self.attempts.get(call.id, 0) + 1
        plain = super().next_reply(timeout)
        return self._accident(call.id, self.attempts[call.id]) or plain


def _run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, accident: Accident, **changes: Any
) -> tuple[CampaignState, dict[str, int], str]:
    """A campaign over 32 sequences, two attempts per call."""
    designs = [f"{i:05b}" for i in range(32)]
    table = [{"id": d, "conductance": 1.0 + d.count("1")} for d in designs]
    pool = [{"id": d, "sequence": d} for d in designs]
    for name, rows in (("pool", pool), ("table", table)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    config = {
        "name": "unlucky",
        "space": {"kind": "pool", "path": "pool.jsonl"},
        "objective": {"property": "conductance", "goal": "minimize"},
        "agents": [{"kind": "random"}],
        "oracle": {"kind": "replay", "table": "table.jsonl", "column": "conductance"},
        "budget": {"batch": 4, "oracle_calls": 12},
        "executor": {"kind": "serial", "attempts": 2},
        "tracking": {"enabled": False},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config | changes))
    executors: list[Unlucky] = []

    def build(settings: ExecutorSettings) -> Unlucky:
        executors.append(Unlucky(settings, accident))
        return executors[0]

    monkeypatch.setattr(runner, "build_executor", build)
    store = Store(folder / "home")
    runner.create(store, prepared.prepare(load_config(folder / "config.yaml")))
    stopped = runner.run_campaign(store, "unlucky", console=Console(file=io.StringIO()))
    return (
        Campaign(store, "unlucky").state,
        executors[0].attempts,
        f"{stopped.state}: {stopped.reason}",
    )


@pytest.mark.parametrize("kind", ["lost", "timeout", "error"])
def test_an_attempt_that_breaks_is_tried_again(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accident(call: str, attempt: int) -> Reply | None:
        broken = call == "t-0002" and attempt == 1
        return Reply(call, kind, error="it broke") if broken else None

    state, attempts, end = _run(tmp_path, monkeypatch, accident)
    assert end.startswith("finished")
    assert attempts["t-0002"] == 2
    assert all(t.status == "DONE" for t in state.trials.values())
    assert state.trials["t-0002"].failures == 1


def test_one_that_never_works_is_failed_and_the_campaign_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accident(call: str, attempt: int) -> Reply | None:
        return Reply(call, "lost", error="its worker died") if call == "t-0003" else None

    state, attempts, end = _run(tmp_path, monkeypatch, accident)
    assert end.startswith("finished")
    assert attempts["t-0003"] == 2
    trial = state.trials["t-0003"]
    assert trial.status == "FAILED"
    assert trial.last_error == "worker: its worker died"
    assert len([t for t in state.trials.values() if t.status == "DONE"]) == 11
    status = queries.status(Store(tmp_path / "home"), "unlucky")
    assert (status["oracle_calls"], status["failures"]) == (12, 1)


def test_a_permanent_failure_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lookups_fail: Any
) -> None:
    lookups_fail(lambda sequence: sequence.count("1") == 2)
    state, attempts, end = _run(tmp_path, monkeypatch, lambda call, attempt: None)
    assert end.startswith("finished")
    failed = [t for t in state.trials.values() if t.status == "FAILED"]
    assert failed
    assert set(attempts.values()) == {1}
    assert all("cannot be read" in str(t.last_error) for t in failed)


def test_a_campaign_whose_calls_mostly_fail_stops_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accident(call: str, attempt: int) -> Reply | None:
        return Reply(call, "error", error="RuntimeError: no licence")

    state, _, end = _run(tmp_path, monkeypatch, accident)
    assert end == "failed: 4 of 4 oracle calls failed; the last: worker: RuntimeError: no licence"
    assert len([t for t in state.trials.values() if t.is_finished]) == 4


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason=f"no shared examples at {EXAMPLES}")
@pytest.mark.parametrize(
    ("name", "calls", "cheap"),
    [
        pytest.param("replay_sequences", 60, False, marks=pytest.mark.slow),
        pytest.param("replay_crystals", 20, True, marks=pytest.mark.slow),
    ],
)
def test_shared_examples_run_unchanged(name: str, calls: int, cheap: bool, tmp_path: Path) -> None:
    store = Store(tmp_path)
    config = load_config(EXAMPLES / f"{name}.yaml")
    runner.create(store, prepared.prepare(config))
    stopped = runner.run_campaign(store, config.name, console=Console(file=io.StringIO()))
    assert stopped.reason == f"budget.oracle_calls: all {calls} are used"
    status = queries.status(store, config.name)
    assert status["oracle_calls"] == calls
    assert (status["cheap_calls"] > 0) == cheap
    assert status["best"]["value"] > 0


def test_an_interrupt_that_python_dropped_still_ends_the_campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the signal came during a callback of a library that swallows exceptions."""
    plain = Unlucky.submit
    seen: list[str] = []

    def submit(self: Unlucky, call: Call[Any, Any]) -> None:
        seen.append(call.id)
        if len(seen) == 3:
            with contextlib.suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        plain(self, call)

    monkeypatch.setattr(Unlucky, "submit", submit)
    # Tests that run in the background of a shell begin with this signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            _run(tmp_path, monkeypatch, lambda call, attempt: None)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    state = Campaign(Store(tmp_path / "home"), "unlucky").state
    assert state.stopped is not None
    assert state.stopped.state == "interrupted"
    assert len(seen) < 12
