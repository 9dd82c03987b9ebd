"""Standard output belongs to the results of a command, whatever else is printed meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write
from click.testing import CliRunner

from orchestrator.app.cli import main
from orchestrator.presentation.own_stdout import own_stdout, results

# Prints as Python code, C code and a program that it starts do; also when it is imported.
NOISY = """
import ctypes
import os
import subprocess

from ase.calculators.emt import EMT

print("imported")


class Noisy(EMT):
    def calculate(self, *arguments, **options):
        print("by Python")
        os.write(1, b"by descriptor\\n")
        libc = ctypes.CDLL(None)
        libc.puts(b"by C")
        libc.fflush(None)
        subprocess.run(["echo", "by a program"], check=True)
        super().calculate(*arguments, **options)
"""


def test_a_document_is_alone_whatever_a_calculator_prints(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    write(tmp_path / "Ag.vasp", bulk("Ag", cubic=True))
    command = [sys.executable, "-m", "orchestrator.app.cli", "evaluate", "Ag.vasp", "--json"]
    for change in ("calculator=noisy:Noisy", "fidelities=[harmonic]", "bands=false"):
        command += ["--set", change]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [*command, "--home", "home"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": f"{root}:{tmp_path}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert json.loads(done.stdout)["status"] == "measured"
    for printed in ("by descriptor", "by C", "by a program"):
        assert printed in done.stderr


def test_what_phono3py_says_of_a_supercell_is_not_in_a_dry_run(tmp_path: Path) -> None:
    """A dry run makes supercells in the process of the command itself, not in a worker."""
    write(tmp_path / "Cu.cif", bulk("Cu", cubic=True))
    config = tmp_path / "campaign.yaml"
    config.write_text(
        f"name: flat\nspace: {{kind: pool, path: {tmp_path}}}\n"
        'oracle: {kind: phonon-bte, calculator: "ase.calculators.emt:EMT", '
        "fc3_supercell: [2, 2, 1], fc2_supercell: [2, 2, 1]}\n"
        "objective: {property: kappa, goal: minimize}\nbudget: {oracle_calls: 2, batch: 1}\n"
    )
    words = ["launch", str(config), "--dry-run", "--json", "--home", str(tmp_path / "home")]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "flat"
    assert "point group" in done.stderr


def test_results_and_the_rest_go_apart(capfd: pytest.CaptureFixture[str]) -> None:
    with own_stdout():
        print("a library")
        results().write("a result\n")
    results().write("after\n")
    print("as before")
    captured = capfd.readouterr()
    assert captured.out == "a result\nafter\nas before\n"
    assert captured.err == "a library\n"


def test_standard_output_is_given_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="wrong"), own_stdout():
        raise ValueError("wrong")
    print("as before")
    assert capfd.readouterr().out == "as before\n"
    assert results() is sys.stdout
