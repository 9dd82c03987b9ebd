"""Small campaigns with a real potential seek what the property table offers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ase.build import bulk
from ase.io import write
from click.testing import CliRunner

from oracle.contract.property_table import spec_of
from orchestrator.app.cli import main

_CONFIG: dict[str, Any] = {
    "space": {"kind": "pool", "path": "pool"},
    "constraints": ["dynamically_stable"],
    "agents": [{"kind": "random"}],
    "surrogate": {"kind": "random-forest"},
    "oracle": {
        "kind": "phonon-bte",
        "calculator": "ase.calculators.emt:EMT",
        "fc2_supercell": [2, 2, 2],
        "fc3_supercell": [2, 2, 2],
        "mesh": [5, 5, 5],
        "pairs_start": 3,
        "pairs_max": 3,
        "bands": False,
    },
    "budget": {"batch": 2, "oracle_calls": 2},
    "confirmation": {"leaders": 0},
    "executor": {"kind": "serial"},
    "tracking": {"enabled": False},
}
STORED = {"max_frequency": "max_frequency_thz"}
"""Names in documents where they are not those of the objective."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two metals, and a home in which each is evaluated once."""
    made = tmp_path_factory.mktemp("metals")
    (made / "pool").mkdir()
    for symbol in ("Cu", "Ag"):
        write(made / "pool" / f"{symbol}.vasp", bulk(symbol, cubic=True))
    return made


def _run(folder: Path, *words: str) -> Any:
    done = CliRunner().invoke(main, [*words, "--json", "--home", str(folder / "home")])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("number", "objective", "first"),
    [
        # Copper is lighter and stiffer than silver, so that its phonons are faster.
        (1, {"property": "max_frequency", "goal": "maximize"}, "Cu"),
        (2, {"property": "heat_capacity", "goal": "minimize"}, "Cu"),
        (3, {"property": "bulk_modulus", "goal": "maximize"}, "Cu"),
        (4, {"property": "gruneisen_mean", "goal": "minimize"}, "Cu"),
        (5, {"property": "max_msd", "goal": "minimize"}, "Cu"),
        (6, {"property": "sound_velocity_longitudinal", "goal": "maximize"}, "Cu"),
        (7, {"property": "sound_velocity_transverse", "goal": "maximize"}, "Cu"),
        (8, {"property": "kappa", "direction": [0, 0, 1], "goal": "maximize"}, "Cu"),
        (9, {"property": "kappa", "direction": "min", "goal": "maximize"}, "Cu"),
        (10, {"property": "kappa", "direction": "max", "goal": "maximize"}, "Cu"),
    ],
)
def test_it_is_found_and_shown(number: int, objective: Any, first: str, folder: Path) -> None:
    name = f"metals-{number}"
    config = _CONFIG | {"name": name, "objective": objective}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    _run(folder, "launch", str(path))
    rows = _run(folder, "best", name)
    assert [row["formula"] for row in rows] == [first, "Ag"]
    assert rows[0]["unit"] == spec_of(objective["property"]).unit
    shown = _run(folder, "show", rows[0]["candidate"])
    value = shown[STORED.get(objective["property"], objective["property"])]
    if objective["property"] == "kappa":
        for axis in range(3):  # a cubic crystal conducts alike in all directions
            assert value[0][axis][axis] == pytest.approx(rows[0]["value"])
    else:
        assert rows[0]["value"] == pytest.approx(value[0] if isinstance(value, list) else value)
    assert (folder / "home" / "rounds" / name / "round-0001" / "best_so_far.png").is_file()
