"""What is shown while a campaign runs: every phase, a clock that goes on, no line too wide."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.cells import cell_len
from rich.console import Console

from agents.contract.objective import Objective
from orchestrator.campaign.state import CampaignState
from orchestrator.config.budget_settings import BudgetSettings, ConfirmationSettings
from orchestrator.config.run_settings import ExecutorSettings
from orchestrator.executors.protocol import CallContext
from orchestrator.executors.serial_executor import SerialExecutor
from orchestrator.executors.watched import Share, WatchedExecutor
from orchestrator.presentation.progress_frame import Count, Frame, Running, Snapshot
from orchestrator.tracking.progress import Heartbeat, ProgressView

SHOT = Snapshot(
    taken=100.0,
    round=3,
    phase="confirming",
    count=Count(3, 8),
    calls=Count(12, 12),
    confirmations=Count(3, 8),
    running=(
        Running("CsI rocksalt, again", "fc3", 0.45, began=80.0),
        Running("Si | " + "01" * 60 + " | Ge", "transmission", 0.5, began=97.0),
    ),
    best="AuI 0.37 ± 0.19 W/m/K (not confirmed yet)",
    elapsed=271.0,
    left=360.0,
)


def _drawn(shot: Snapshot, now: float, width: int, height: int = 24) -> list[str]:
    stream = io.StringIO()
    size: dict[str, Any] = {"width": width, "height": height}
    Console(file=stream, force_terminal=True, color_system=None, **size).print(Frame(shot, now))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


class TestFrame:
    def test_everything_is_there_at_80_columns(self) -> None:
        first, calls, confirmations, crystal, layers, best = _drawn(SHOT, 100.0, 80)
        assert first.startswith("round 3: confirming 3 of 8")
        assert first.endswith("4:31, about 6 min left")
        assert calls.split()[:2] == ["oracle", "calls"]
        assert calls.endswith("12 of 12")
        assert confirmations.endswith("3 of 8")
        assert "third order 45%" in crystal
        assert crystal.endswith("0:20")
        assert layers.endswith("0:03")
        assert best == "  best AuI 0.37 ± 0.19 W/m/K (not confirmed yet)"

    @pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160, 200])
    def test_no_line_is_wider_than_the_terminal(self, width: int) -> None:
        lines = _drawn(SHOT, 100.0, width)
        assert len(lines) == 6
        assert max(map(cell_len, lines)) < width

    def test_no_picture_is_higher_than_the_terminal(self) -> None:
        crowd = replace(SHOT, running=SHOT.running[:1] * 50)
        lines = _drawn(crowd, 100.0, 80, height=12)
        assert len(lines) <= 12
        assert "and 44 more" in "\n".join(lines)

    def test_clocks_go_on_while_nothing_happens(self) -> None:
        early, late = _drawn(SHOT, 100.0, 80), _drawn(SHOT, 175.0, 80)
        assert "4:31, about 6 min left" in early[0]
        assert "5:46, about 5 min left" in late[0]
        assert early[3].endswith("0:20")
        assert late[3].endswith("1:35")

    def test_a_time_that_ran_out_is_not_told(self) -> None:
        assert _drawn(SHOT, 1000.0, 80)[0].endswith("19:31")

    def test_brackets_are_brackets(self) -> None:
        odd = replace(SHOT, best="[bold]x[/bold]", running=(Running("[red]", "[/]", 0.0),))
        assert "[bold]x[/bold]" in "\n".join(_drawn(odd, 100.0, 80))
        assert "[red]     [/]" in "\n".join(_drawn(odd, 100.0, 80))


class TestHeartbeat:
    def test_a_short_phase_is_not_told(self) -> None:
        heartbeat = Heartbeat()
        phases = [replace(SHOT, phase=name) for name in ("fitting", "choosing", "measuring")]
        lines = [heartbeat.line(phases[k % 3], 5.0 * k) for k in range(30)]
        assert lines == [None] * 30

    def test_a_long_phase_is_told_when_that_shows_and_then_every_minute(self) -> None:
        heartbeat = Heartbeat()
        seconds = [second for second in range(300) if heartbeat.line(SHOT, float(second))]
        assert seconds == [10, 70, 130, 190, 250]

    def test_a_line_says_it_all(self) -> None:
        assert SHOT.sentence(100.0).startswith(
            "round 3: confirming 3 of 8 (CsI rocksalt, again third order 45%, Si | 01"
        )
        assert SHOT.sentence(100.0).endswith("; 4:31, about 6 min left")


@dataclass(frozen=True)
class _Numbers:
    work_items: int


def _squares(numbers: _Numbers, context: CallContext) -> list[int]:
    return [k * k for k in range(numbers.work_items)]


def test_maps_are_counted_by_what_they_hold() -> None:
    shares: list[Share | None] = []
    executor = WatchedExecutor(
        SerialExecutor(ExecutorSettings(kind="serial")), shares.append, lambda: None
    )
    assert list(executor.map(_squares, [_Numbers(3), _Numbers(3)])) == [[0, 1, 4]] * 2
    assert [None if s is None else (s.done, s.total) for s in shares] == [
        (0, 6),
        (3, 6),
        (6, 6),
        None,
    ]


def test_a_phase_shows_how_far_its_map_is() -> None:
    config = SimpleNamespace(budget=BudgetSettings(), confirmation=ConfirmationSettings())
    campaign: Any = SimpleNamespace(state=CampaignState(), config=config, objective=Objective())
    campaign.state.methods = {"bte": "m"}
    view = ProgressView(Console(file=io.StringIO()), campaign)
    view.say("fit")
    view.on_share(Share("features", 24, 58))
    assert view.snapshot.doing == "round 1: fitting the surrogate: features 24 of 58"
    view.on_share(None)
    view.say("fine-tuning")
    view.on_share(Share("fine_tune", 0, 1))
    view.on_stages({"map:1:0": ("fine-tuning", 0.4)})
    assert view.snapshot.doing == "round 1: fine-tuning 40%"


def _campaign(folder: Path) -> Path:
    designs = [f"{k:05b}" for k in range(32)]
    rows = [json.dumps({"id": d, "sequence": d}) for d in designs]
    (folder / "pool.jsonl").write_text("\n".join(rows))
    table = [json.dumps({"id": d, "kappa": 1.0 + d.count("1"), "std": 0.2}) for d in designs]
    (folder / "table.jsonl").write_text("\n".join(table))
    config = {
        "name": "layers",
        "space": {"kind": "pool", "path": "pool.jsonl"},
        "objective": {"property": "conductance"},
        "agents": [{"kind": "random"}],
        "oracle": {
            "kind": "replay",
            "table": "table.jsonl",
            "column": "kappa",
            "std_column": "std",
        },
        "budget": {"batch": 4, "oracle_calls": 8},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / "config.yaml"


def _command(folder: Path) -> list[str]:
    launch = ["launch", str(_campaign(folder)), "--home", str(folder / "home")]
    return [sys.executable, "-m", "orchestrator.app.cli", *launch]


def test_nothing_wraps_in_a_terminal_of_80_columns(tmp_path: Path) -> None:
    """What the terminal is sent: pictures that are erased again, and lines that stay."""
    driver, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen(
        _command(tmp_path), stdout=terminal, stderr=terminal, stdin=terminal, env=environment
    ) as process:
        os.close(terminal)
        sent = b""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                part = os.read(driver, 65536)
            except OSError:  # the terminal is gone with the last process that had it
                break
            if not part:
                break
            sent += part
    os.close(driver)
    assert process.returncode == 0, sent.decode()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent.decode())
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    pictures = [line for line in lines if line.startswith(("round ", "  oracle calls", "  best"))]
    assert len(pictures) >= 6
    assert any(line.startswith("round 2: 4 measured; best ") for line in lines)
    hints = ("look further:", "compute again:", "extend it:")
    own = [line for line in lines if not line.startswith(hints) and str(tmp_path) not in line]
    assert max(map(cell_len, own)) <= 80
    assert "[bold]" not in text


def test_a_file_gets_one_line_per_round(tmp_path: Path) -> None:
    done = subprocess.run(
        _command(tmp_path), capture_output=True, text=True, check=True, timeout=120
    )
    rounds = [line for line in done.stderr.splitlines() if line.startswith("round")]
    assert [line.partition(";")[0] for line in rounds[:2]] == [
        "round 1: 4 measured",
        "round 2: 4 measured",
    ]
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
