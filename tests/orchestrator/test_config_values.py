"""Values that YAML can hold and no setting means are refused before anything is created."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from ase.io import write
from click.testing import CliRunner

from orchestrator.app.cli import main
from orchestrator.campaign.campaign import Campaign
from orchestrator.store.store import Store


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("budget.min_gain=.inf", ["budget.min_gain", "inf", "finite"]),
        ("confirmation.sigmas=.nan", ["confirmation.sigmas", "nan"]),
        ("budget.batch=true", ["budget.batch", "true", "number"]),
        ("budget.oracle_calls=1" + "0" * 25, ["budget.oracle_calls", "1e+18"]),
        ('name="a\\0b"', ["name"]),
        ("objective.temperature=0", ["objective.temperature"]),
    ],
)
def test_one_line_and_no_home(desk: Any, change: str, words: list[str]) -> None:
    config = desk.config()
    done = desk("launch", config, "--set", change, code=2)
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(word in done.stderr for word in words), done.stderr
    assert not desk.home.exists()


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_ids_that_nothing_can_hold_are_bad_records(desk: Any, name: str) -> None:
    config = desk.config(space={"kind": "pool", "path": "pool.jsonl", "on_error": "skip"})
    pool = desk.folder / "data" / "pool.jsonl"
    with pool.open("a") as stream:
        stream.write(json.dumps({"id": name, "sequence": "0101010101"}) + "\n")
    done = desk("launch", config)
    assert "1 records were left out" in done.stderr
    assert "is not a text" in done.stderr


@pytest.mark.parametrize("where", ["import", "factory", "call"])
def test_a_calculator_that_ends_the_program_does_not(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = {
        "import": "import sys\nsys.exit(3)\ndef factory(): ...\n",
        "factory": "import sys\ndef factory():\n    sys.exit(3)\n",
        "call": (
            "import sys\nfrom ase.calculators.emt import EMT\nclass Ending(EMT):\n"
            "    def calculate(self, *a, **k):\n        sys.exit(3)\n"
            "def factory():\n    return Ending()\n"
        ),
    }[where]
    (tmp_path / f"ending_{where}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path / "Cu.vasp", bulk("Cu", cubic=True))
    words = ["evaluate", str(tmp_path / "Cu.vasp"), "--home", str(tmp_path / "home")]
    done = CliRunner().invoke(main, [*words, "--set", f"calculator=ending_{where}:factory"])
    assert done.exit_code in (1, 2), done.output
    assert "SystemExit: 3" in done.output
    assert "Traceback" not in done.output


def test_settings_are_those_after_the_last_steering(desk: Any) -> None:
    desk("launch", desk.config())
    store = Store(desk.home)
    campaign = Campaign(store, "layers")
    assert campaign.config is campaign.config
    assert (campaign.config.budget.oracle_calls, campaign.objective.goal) == (8, "maximize")
    desk("resume", "layers", "--set", "budget.oracle_calls=12")
    assert campaign.config.budget.oracle_calls == 8  # nobody has looked since
    campaign.refresh()
    assert campaign.config.budget.oracle_calls == 12
