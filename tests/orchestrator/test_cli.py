"""The command line: fast, one line per error, nothing created by wrong input."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ase.build import bulk
from ase.io import write
from click.testing import CliRunner

from orchestrator.app.cli import main

Run = Callable[..., subprocess.CompletedProcess[str]]
HEAVY = (
    "ray",
    "mlflow",
    "torch",
    "fastapi",
    "phonopy",
    "phono3py",
    "botorch",
    "sevenn",
    "chgnet",
    "pymatgen",
)


@pytest.fixture
def process(tmp_path: Path) -> Run:
    """The command line as a user starts it."""

    def call(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "orchestrator.app.cli", *arguments]
        command += ["--home", str(tmp_path / "home")]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=timeout, cwd=Path.cwd()
        )

    return call


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The same in this process, which need not import torch for every command."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        home = ("--home", str(tmp_path / "home"))
        done = CliRunner().invoke(main, [*arguments, *home], catch_exceptions=False)
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    return call


def _config(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """A replay of 64 layer sequences whose conductance is their number of interfaces."""
    designs = [f"{i:06b}" for i in range(64)]
    rows = [{"id": d, "sequence": d} for d in designs]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    table = [
        {"id": d, "conductance": 1.0 + sum(a != b for a, b in itertools.pairwise(d))}
        for d in designs
    ]
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(r) + "\n" for r in table))
    config: dict[str, Any] = {
        "name": "layers",
        "seed": 3,
        "space": {"kind": "pool", "path": "pool.jsonl"},
        "objective": {"property": "conductance", "goal": "maximize"},
        "agents": [{"kind": "random"}, {"kind": "evolution"}],
        "oracle": {"kind": "replay", "table": "table.jsonl", "column": "conductance"},
        "budget": {"batch": 4, "oracle_calls": 12},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
    }
    config.update(changes)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return config


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom orchestrator.app.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_queries_import_nothing_that_takes_long(run: Run, tmp_path: Path) -> None:
    _config(tmp_path)
    assert run("launch", str(tmp_path / "config.yaml")).returncode == 0
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom orchestrator.app.cli import main\n"
        f"for words in (['status', 'layers'], ['best', 'layers']):\n"
        f"    done = CliRunner().invoke(main, [*words, '--home', {str(tmp_path / 'home')!r}])\n"
        "    assert done.exit_code == 0, done.output\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_stored_evaluations_are_read_without_what_computed_them(tmp_path: Path) -> None:
    """The same bytes are printed, and nobody waits for torch, phonopy or the database."""
    files = [tmp_path / name for name in ("Pd.cif", "Pd.vasp", "Pd.extxyz")]
    for file in files:
        write(file, bulk("Pd", cubic=True))
    words = ["evaluate", *map(str, files), "--home", str(tmp_path / "home"), "--json"]
    settings = ("ase.calculators.emt:EMT", "[harmonic]", "[2, 2, 2]")
    for key, value in zip(("calculator", "fidelities", "fc2_supercell"), settings, strict=True):
        words += ["--set", f"{key}={value}"]
    computed = CliRunner().invoke(main, words, catch_exceptions=False)
    assert [each["status"] for each in json.loads(computed.stdout)] == ["measured"] * len(files)
    slow = {*HEAVY, "symfc", "seekpath", "sqlalchemy"} - {"pymatgen"}  # which reads the files
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom orchestrator.app.cli import main\n"
        f"sys.stdout.write(CliRunner().invoke(main, {words!r}, catch_exceptions=False).stdout)\n"
        f"print({slow!r} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == computed.stdout
    assert done.stderr.strip() == "set()"


def test_a_campaign_from_launch_to_export(process: Run, tmp_path: Path) -> None:
    _config(tmp_path)
    launched = process("launch", str(tmp_path / "config.yaml"))
    assert launched.returncode == 0, launched.stderr
    assert "Best of layers" in launched.stdout
    status = json.loads(process("status", "layers", "--json").stdout)
    assert (status["state"], status["oracle_calls"], status["round"]) == ("finished", 12, 3)
    assert status["stop_reason"] == "budget.oracle_calls: all 12 are used"
    best = json.loads(process("best", "layers", "-k", "100", "--json").stdout)
    assert len(best) == 12
    assert [row["rank"] for row in best] == list(range(1, 13))
    values = [row["value"] for row in best]
    assert values == sorted(values, reverse=True)
    assert {row["agent"] for row in best} > {"random"}
    shown = json.loads(process("show", best[0]["candidate"], "--json").stdout)
    assert shown["status"] == "measured"
    assert shown["why"][0]["trials"][0]["agent"] == best[0]["agent"]
    csv = process("best", "layers", "--csv").stdout.splitlines()
    assert csv[0].startswith("rank,candidate,label,formula,value")
    assert len(csv) == 11
    exported = process("export", "layers", str(tmp_path / "out"), "--format", "json", "-k", "2")
    assert exported.returncode == 0
    assert len(json.loads((tmp_path / "out" / "layers.json").read_text())) == 2


def test_resume_extends_without_losing_history(run: Run, tmp_path: Path) -> None:
    _config(tmp_path)
    run("launch", str(tmp_path / "config.yaml"))
    before = json.loads(run("best", "layers", "-k", "99", "--json").stdout)
    again = run("resume", "layers", "--set", "budget.oracle_calls=20", "--set", "budget.batch=8")
    assert again.returncode == 0, again.stderr
    after = json.loads(run("best", "layers", "-k", "99", "--json").stdout)
    assert len(after) == 20
    assert {r["candidate"] for r in before} < {r["candidate"] for r in after}
    unchanged = run("resume", "layers")
    assert unchanged.returncode == 0
    assert len(json.loads(run("best", "layers", "-k", "99", "--json").stdout)) == 20


def test_what_makes_the_science_cannot_change(run: Run, tmp_path: Path) -> None:
    _config(tmp_path)
    run("launch", str(tmp_path / "config.yaml"))
    for change in ("objective.goal=minimize", "seed=4", "oracle.column=other", "space.path=x"):
        refused = run("resume", "layers", "--set", change)
        assert refused.returncode == 2
        assert change.partition("=")[0] in refused.stderr
        assert "Traceback" not in refused.stderr
    with (tmp_path / "table.jsonl").open("a") as stream:
        stream.write('{"id": "more", "conductance": 1}\n')
    refused = run("resume", "layers")
    assert refused.returncode == 2
    assert "oracle.table" in refused.stderr


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budgett": {}}, ["budgett", "unknown key", "did you mean 'budget'"]),
        ({"budget": {"batch": "many"}}, ["budget.batch", "'many'", "integer"]),
        ({"budget": {"bach": 4}}, ["budget.bach", "unknown key", "batch"]),
        ({"agents": [{"kind": "oracle"}]}, ["agents.0.kind", "'oracle'", "bayesian"]),
        ({"objective": {"property": "conductance", "goal": "target"}}, ["objective", "target"]),
        ({"oracle": {"kind": "replay", "table": "gone.jsonl", "column": "x"}}, ["oracle.table"]),
        ({"oracle": {"kind": "phonon-bte", "mesh": [3, 3]}}, ["oracle.mesh"]),
        ({"name": "a/b"}, ["name", "'a/b'"]),
        ({"executor": {"kind": "serial", "workers": 3}}, ["executor", "serial"]),
        ({"budget": {"wall_time": "soon"}}, ["budget.wall_time", "'soon'", "30min"]),
        ({"constraints": ["shiny"]}, ["constraints.0", "shiny", "non_metal"]),
        ({"space": {"kind": "prototypes"}}, ["replay", "space.kind"]),
    ],
)
def test_wrong_configs_are_one_line_that_names_the_key(
    run: Run, tmp_path: Path, changes: dict[str, Any], words: list[str]
) -> None:
    _config(tmp_path, **changes)
    done = run("launch", str(tmp_path / "config.yaml"))
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not (tmp_path / "home").exists()
    assert done.stdout == ""


def test_names_are_unique_and_unknown_ones_explained(run: Run, tmp_path: Path) -> None:
    _config(tmp_path)
    run("launch", str(tmp_path / "config.yaml"))
    twice = run("launch", str(tmp_path / "config.yaml"))
    assert twice.returncode == 2
    assert "phonoscout resume layers" in twice.stderr
    for command in (["status", "no"], ["best", "no"], ["resume", "no"], ["stop", "no"]):
        done = run(*command)
        assert done.returncode == 2
        assert "'no'" in done.stderr
    done = run("show", "c-nothing")
    assert done.returncode == 2
    assert "c-nothing" in done.stderr


def test_a_bad_pool_record_is_named_by_line(run: Run, tmp_path: Path) -> None:
    _config(tmp_path)
    with (tmp_path / "pool.jsonl").open("a") as stream:
        stream.write('{"id": "broken", "sequence": \n')
    done = run("launch", str(tmp_path / "config.yaml"))
    assert done.returncode == 2
    assert "pool.jsonl" in done.stderr
    assert "65" in done.stderr
    skipped = run("launch", str(tmp_path / "config.yaml"), "--set", "space.on_error=skip")
    assert skipped.returncode == 0, skipped.stderr
    assert "1 records were left out" in skipped.stderr


def test_dry_run_starts_nothing(run: Run, tmp_path: Path) -> None:
    _config(tmp_path)
    done = run("launch", str(tmp_path / "config.yaml"), "--dry-run", "--json")
    document = json.loads(done.stdout)
    assert (document["space_size"], document["oracle_calls"]) == (64, 12)
    assert not (tmp_path / "home").exists()
