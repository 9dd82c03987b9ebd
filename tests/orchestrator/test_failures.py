"""Failures of the machine are not stored; those of a material can be removed on request."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ase import Atoms
from ase.io import write
from click.testing import CliRunner
from rich.console import Console

from oracle.potentials.table import calculator, weights_digest
from oracle.runtime.sources import digest_of_import
from orchestrator.app.cli import main
from orchestrator.assembly.prepared import prepare
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.state import CampaignState
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import load_config
from orchestrator.queries import queries
from orchestrator.running.runner import create, run_campaign, start_executor
from orchestrator.store.store import Store

CALCULATOR = """
import pathlib
from ase.calculators.emt import EMT

SWITCH = pathlib.Path({switch!r})

class Moody(EMT):
    def calculate(self, *args, **more):
        super().calculate(*args, **more)
        kind = SWITCH.read_text() if SWITCH.exists() else ""
        if len(self.atoms) == 1:  # the cell on which it is tried at launch
            return
        if kind == "once":
            SWITCH.unlink()
        if kind in ("once", "always"):
            raise IndexError("list index out of range")
        if kind == "disk":
            raise OSError(28, "No space left on device")
        if kind:
            raise RuntimeError(kind)

def factory():
    return Moody()
"""
METALS = {"Ag": 4.09, "Al": 4.05, "Cu": 3.61, "Ni": 3.52, "Pd": 3.89}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A campaign over five metals with a calculator that fails as the file `switch` says."""
    monkeypatch.delenv("PHONOSCOUT_DATABASE", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mymoody.py").write_text(CALCULATOR.format(switch=str(tmp_path / "switch")))
    (tmp_path / "pool").mkdir()
    for symbol, a in METALS.items():
        cell = [(0, a / 2, a / 2), (a / 2, 0, a / 2), (a / 2, a / 2, 0)]
        write(tmp_path / "pool" / f"{symbol}.vasp", Atoms(symbol, cell=cell, pbc=True))
    config: dict[str, Any] = {
        "name": "metals",
        "space": {"kind": "pool", "path": "pool"},
        "objective": {"property": "kappa", "temperature": 300, "goal": "minimize"},
        "constraints": ["dynamically_stable"],
        "agents": [{"kind": "random"}],
        "surrogate": {"kind": "random-forest"},
        "oracle": {
            "kind": "phonon-bte",
            "calculator": "mymoody:factory",
            "fidelities": ["harmonic"],
            "fc2_supercell": [2, 2, 2],
            "bands": False,
        },
        "budget": {"batch": 2, "oracle_calls": 4},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
        "confirmation": {"leaders": 0},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    yield tmp_path
    sys.modules.pop("mymoody", None)
    for cached in (digest_of_import, weights_digest, calculator):
        cached.cache_clear()


def _switch(folder: Path, kind: str | None) -> None:
    if kind is None:
        (folder / "switch").unlink(missing_ok=True)
    else:
        (folder / "switch").write_text(kind)


def _launch(folder: Path, name: str = "metals", *overrides: str) -> tuple[CampaignState, str]:
    store = Store(folder / "home")
    create(store, prepare(load_config(folder / "config.yaml", overrides, name)))
    return _resume(folder, name)


def _resume(folder: Path, name: str = "metals", **options: Any) -> tuple[CampaignState, str]:
    store = Store(folder / "home")
    stopped = run_campaign(store, name, console=Console(file=io.StringIO()), **options)
    return Campaign(store, name).state, f"{stopped.state}: {stopped.reason}"


def _statuses(state: CampaignState) -> list[str]:
    return [trial.status for trial in state.trials.values()]


def _stored(folder: Path) -> list[str]:
    store = Store(folder / "home")
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT status FROM evaluations")
        return [status for (status,) in rows]


@pytest.mark.parametrize("kind", ["disk", "CUDA out of memory"])
@pytest.mark.parametrize("calls", [2, 4])
def test_the_machines_failures_are_not_stored_and_resume_goes_on(
    kind: str, calls: int, folder: Path
) -> None:
    _switch(folder, kind)
    state, end = _launch(folder, "metals", f"budget.oracle_calls={calls}")
    assert end.startswith(f"failed: {calls} of {calls} oracle calls failed; the last: ")
    assert "No space left on device" in end or "CUDA out of memory" in end
    assert "\n" not in end
    assert _statuses(state) == ["FAILED"] * calls
    assert _stored(folder) == []
    _switch(folder, None)
    state, end = _resume(folder)
    assert end.startswith("finished")
    assert _statuses(state) == ["DONE"] * calls
    assert len(state.labels) == calls
    assert _stored(folder) == ["measured"] * calls
    assert queries.status(Store(folder / "home"), "metals")["oracle_calls"] == calls


def test_an_accident_is_tried_again(folder: Path) -> None:
    _switch(folder, "once")
    state, _ = _launch(folder)
    assert _statuses(state) == ["DONE"] * 4
    assert sum(trial.failures for trial in state.trials.values()) == 1


def test_an_accident_with_a_single_attempt_is_not_stored(folder: Path) -> None:
    _switch(folder, "once")
    state, _ = _launch(folder, "metals", "executor.attempts=1")
    assert sorted(_statuses(state)) == ["DONE", "DONE", "DONE", "FAILED"]
    assert _stored(folder) == ["measured"] * 3


def test_what_a_fresh_attempt_repeats_is_stored_until_it_is_forgotten(folder: Path) -> None:
    _switch(folder, "always")
    state, end = _launch(folder)
    assert "IndexError" in end
    assert all(trial.failures == 1 for trial in state.trials.values())
    assert _stored(folder) == ["failed"] * 4
    spent = state.cost_s()
    _switch(folder, None)
    other, _ = _launch(folder, "other")  # takes what is stored for granted
    assert set(_statuses(other)) == {"FAILED"}
    state, _ = _resume(folder)
    assert set(_statuses(state)) == {"FAILED"}
    state, end = _resume(folder, retry_failed=True)
    assert end.startswith("finished")
    assert _statuses(state) == ["DONE"] * 4
    assert _stored(folder) == ["measured"] * 4
    assert state.cost_s() > spent > 0
    again = Campaign(Store(folder / "home"), "metals").state
    assert again.labels.keys() == state.labels.keys()
    assert [r.metrics is None for r in again.rounds] == [False, False]
    other, _ = _resume(folder, "other", retry_failed=True)
    assert [(t.status, t.reused) for t in other.trials.values()] == [("DONE", True)] * 4


def test_gc_forgets_failures_and_keeps_the_rest(folder: Path) -> None:
    _launch(folder, "first", "budget.oracle_calls=2")
    _switch(folder, "always")
    _launch(folder, "second", "budget.oracle_calls=4", "seed=3")
    failed = _stored(folder).count("failed")
    assert failed > 0
    arguments = ["gc", "--failures", "--home", str(folder / "home"), "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["evaluations"] == failed
    assert set(_stored(folder)) == {"measured"}
    assert json.loads(CliRunner().invoke(main, arguments).stdout)["evaluations"] == 0
    # The history of the campaign can still be read.
    assert queries.status(Store(folder / "home"), "second")["failures"] == failed


def test_gc_wants_to_be_told_what(folder: Path) -> None:
    result = CliRunner().invoke(main, ["gc", "--home", str(folder / "home")])
    assert result.exit_code == 2
    assert "--failures" in result.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import mymissing\ndef factory(): ...\n", "No module named 'mymissing'"),
        ("def factory():\n    raise OSError('no licence server')\n", "no licence server"),
        ("def factory():\n    return None\n", "returned NoneType"),
        (
            "from ase.calculators.emt import EMT\nimport numpy as np\n"
            "class Broken(EMT):\n"
            "    def calculate(self, *a, **k):\n"
            "        super().calculate(*a, **k)\n"
            "        self.results['forces'] = self.results['forces'] * np.nan\n"
            "factory = Broken\n",
            "not finite",
        ),
        (None, "there is no module 'mymoody'"),
    ],
)
def test_a_broken_calculator_is_one_line_before_anything_is_written(
    text: str | None, words: str, folder: Path
) -> None:
    if text is None:
        (folder / "mymoody.py").unlink()
    else:
        (folder / "mymoody.py").write_text(text)
    home = folder / "home"
    config = str(folder / "config.yaml")
    result = CliRunner().invoke(main, ["launch", config, "--home", str(home)])
    assert result.exit_code == 2, result.output
    (line,) = result.output.strip().splitlines()
    assert words in line
    assert not home.exists()


def test_it_is_tried_before_a_resume_as_well(folder: Path) -> None:
    _launch(folder)
    events = len(Store(folder / "home").events("metals"))
    (folder / "mymoody.py").write_text("import mymissing\ndef factory(): ...\n")
    digest_of_import.cache_clear()
    weights_digest.cache_clear()
    with pytest.raises(ConfigError, match="source of mymoody:factory was edited"):
        _resume(folder)
    assert len(Store(folder / "home").events("metals")) == events


def test_a_dry_run_tells_what_a_launch_would(folder: Path) -> None:
    """It times the potential, and therefore notices that it cannot be loaded."""
    (folder / "mymoody.py").write_text("raise RuntimeError('loaded')\n")
    words = ["launch", str(folder / "config.yaml"), "--home", str(folder / "home")]
    result = CliRunner().invoke(main, [*words, "--dry-run", "--json"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "loaded" in result.stderr
    assert not (folder / "home").exists()


def test_an_element_the_potential_does_not_know_is_no_broken_potential(folder: Path) -> None:
    """Iron comes first among equally small crystals, and EMT has no parameters for it."""
    cell = [(0, 1.8, 1.8), (1.8, 0, 1.8), (1.8, 1.8, 0)]
    write(folder / "pool" / "A.vasp", Atoms("Fe", cell=cell, pbc=True))
    start_executor(prepare(load_config(folder / "config.yaml"))).shutdown()
    for symbol in METALS:
        (folder / "pool" / f"{symbol}.vasp").unlink()
    with pytest.raises(ConfigError, match="does not know Fe"):
        start_executor(prepare(load_config(folder / "config.yaml")))
