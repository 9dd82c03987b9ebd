"""Homes of earlier versions can be read, and campaigns of the same method resumed."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from orchestrator.app.cli import main

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def _home(name: str, folder: Path) -> Path:
    """A home with nothing but the database of an earlier version."""
    home = folder / "home"
    home.mkdir()
    for table in ("pool.jsonl", "table.jsonl"):
        shutil.copy(GOLDEN / table, folder / table)
    script = (GOLDEN / f"{name}.sql").read_text().replace("@FOLDER@", str(folder))
    with contextlib.closing(sqlite3.connect(home / "phonoscout.db")) as connection:
        connection.executescript(script)
    return home


def _run(home: Path, *words: str) -> Any:
    done = CliRunner().invoke(main, [*words, "--json", "--home", str(home)], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_a_finished_quickstart_is_read(tmp_path: Path) -> None:
    home = _home("quickstart", tmp_path)
    status = _run(home, "status", "quickstart")
    assert (status["state"], status["oracle_calls"], status["confirmations"]) == ("finished", 12, 8)
    rows = _run(home, "best", "quickstart")
    assert [(r["formula"], r["confirmed"]) for r in rows] == [
        ("CsI", True),
        ("KBr", True),
        ("RbF", True),
        ("KI", True),
        ("LiCl", True),
        ("CuI", True),
        ("AuI", False),
        ("InN", False),
    ]
    assert rows[0]["value"] == pytest.approx(0.7365, abs=5e-4)
    assert rows[0]["std"] == pytest.approx(0.16, abs=0.01)
    assert status["best"]["candidate"] == rows[0]["candidate"]
    shown = _run(home, "show", rows[0]["candidate"])
    assert shown["formula"] == "CsI"
    assert shown["temperature"] == [300.0]
    assert shown["why"][0]["trials"][-1]["purpose"] == "confirm"


def test_a_replay_goes_on_as_if_it_had_never_rested(tmp_path: Path) -> None:
    home = _home("replay", tmp_path)
    before = _run(home, "best", "layers", "-k", "99")
    assert len(before) == 12
    _run(home, "resume", "layers", "--set", "budget.oracle_calls=20")
    resumed = _run(home, "best", "layers", "-k", "99")
    assert {r["candidate"] for r in before} < {r["candidate"] for r in resumed}
    config = {
        "name": "layers",
        "seed": 3,
        "space": {"kind": "pool", "path": "pool.jsonl"},
        "objective": {"property": "conductance", "goal": "maximize"},
        "agents": [{"kind": "random"}, {"kind": "evolution"}, {"kind": "bayesian"}],
        "oracle": {"kind": "replay", "table": "table.jsonl", "column": "conductance"},
        "budget": {"batch": 4, "oracle_calls": 20},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    other = tmp_path / "other"
    _run(other, "launch", str(tmp_path / "config.yaml"))
    undisturbed = _run(other, "best", "layers", "-k", "99")
    alike = ("rank", "candidate", "value", "round", "agent")
    assert [[r[k] for k in alike] for r in resumed] == [[r[k] for k in alike] for r in undisturbed]


def test_a_quickstart_of_other_physics_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    """Its evaluations are those of another method, which one campaign never mixes with new ones."""
    home = _home("quickstart", tmp_path)
    before = _run(home, "best", "quickstart", "-k", "99")
    words = ["resume", "quickstart", "--home", str(home), "--set", "budget.oracle_calls=13"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2, done.output
    assert "another version of the physics" in done.stderr
    assert "launch a new campaign" in done.stderr
    assert _run(home, "best", "quickstart", "-k", "99") == before
