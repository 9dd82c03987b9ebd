"""Square brackets of names, notes and hints come out of every command as they went in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from orchestrator.app.cli import main

Run = Callable[..., subprocess.CompletedProcess[str]]
ODD = "[bold]x[/bold][nequix]"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The commands on a replay of designs whose ids look like markup, in a folder that does too."""
    folder = tmp_path / "[red]"
    folder.mkdir()
    designs = [f"{k:04b}" for k in range(16)]
    rows = [json.dumps({"id": ODD + d, "sequence": d}) for d in designs]
    (folder / "pool.jsonl").write_text("\n".join(rows))
    table = [json.dumps({"id": ODD + d, "conductance": 1.0 + d.count("1")}) for d in designs]
    (folder / "table.jsonl").write_text("\n".join(table))
    config = {
        "name": "odd",
        "space": {"kind": "pool", "path": "pool.jsonl"},
        "objective": {"property": "conductance"},
        "agents": [{"kind": "evolution"}, {"kind": "random"}],
        "oracle": {"kind": "replay", "table": "table.jsonl", "column": "conductance"},
        "budget": {"batch": 4, "oracle_calls": 8},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        words = tuple(str(folder / w) if w == "config.yaml" else w for w in words)
        arguments = [*words, "--home", str(folder / "home[/]")]
        done = CliRunner().invoke(main, arguments, catch_exceptions=False)
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    return call


def test_every_command_prints_brackets(run: Run) -> None:
    assert run("launch", "config.yaml", "--dry-run").returncode == 0
    launched = run("launch", "config.yaml")
    assert launched.returncode == 0, launched.stderr
    assert ODD in launched.stdout
    assert "[red]/home[/]" in launched.stdout
    rows = json.loads(run("best", "odd", "--json").stdout)
    assert ODD + rows[0]["formula"] in run("best", "odd").stdout
    assert ODD in run("best", "odd", "--csv").stdout
    assert ODD in run("show", rows[0]["candidate"]).stdout
    assert "odd" in run("status").stdout
    wrong = run("launch", "config.yaml", "--set", f"space.on_error='{ODD}'", "--name", "other")
    assert wrong.returncode == 2
    assert ODD in wrong.stderr
    assert "[red]/home[/]" in run("status", ODD).stderr
    taken = run("launch", "config.yaml")
    assert taken.returncode == 2
    fetched = run("potentials", "fetch", ODD)
    assert fetched.returncode == 2
    assert ODD in fetched.stderr


def test_show_names_parents(run: Run) -> None:
    run("launch", "config.yaml")
    rows = json.loads(run("best", "odd", "-k", "99", "--json").stdout)
    children = [
        (row["candidate"], trial["parents"])
        for row in rows
        for history in json.loads(run("show", row["candidate"], "--json").stdout)["why"]
        for trial in history["trials"]
        if trial["parents"]
    ]
    assert children  # evolution makes some of half the trials
    for name, parents in children:
        text = run("show", name).stdout
        assert all(parent in text for parent in parents)


def test_what_a_potential_needs_is_told_with_its_brackets(run: Run) -> None:
    rows = json.loads(run("potentials", "--json").stdout)
    wanted = [row["todo"] for row in rows if row["todo"] and "[" in row["todo"]]
    assert wanted
    text = run("potentials").stdout
    assert all(todo in text for todo in wanted)
