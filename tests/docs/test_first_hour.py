"""What a person sees in a terminal of 80 columns in the first hour is what is written down."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ase.build import bulk
from ase.io import write

from benchmarks.first_hour import HOUR, Step, differences, play, read

SMALL = Path(__file__).with_name("first-hour-small.txt")
METALS = ("Ag", "Al", "Au", "Cu", "Ni", "Pd", "Pt")
CONFIG = {
    "name": "metals",
    "seed": 1,
    "space": {"kind": "pool", "path": "pool"},
    "objective": {"property": "kappa", "temperature": 300, "goal": "minimize"},
    "constraints": ["dynamically_stable"],
    "agents": [{"kind": "random"}],
    "surrogate": {"kind": "random-forest"},
    "oracle": {
        "kind": "phonon-bte",
        "calculator": "ase.calculators.emt:EMT",
        "fc2_supercell": [2, 2, 2],
        "fc3_supercell": [2, 2, 2],
        "mesh": [7, 7, 7],
    },
    "budget": {"batch": 2, "oracle_calls": 4},
    "confirmation": {"leaders": 1},
    "executor": {"kind": "serial"},
    "tracking": {"enabled": False},
}


def metals(folder: Path) -> None:
    """A pool of metals, a config, and the same config edited."""
    (folder / "pool").mkdir(parents=True)
    for symbol in METALS:
        write(folder / "pool" / f"{symbol}.vasp", bulk(symbol, cubic=True), sort=True)
    (folder / "metals.yaml").write_text(yaml.safe_dump(CONFIG))
    edited = CONFIG | {"objective": {"property": "kappa", "temperature": 300, "goal": "maximize"}}
    (folder / "edited.yaml").write_text(yaml.safe_dump(edited))


def _wrong(script: Path, folder: Path) -> list[str]:
    expected = read(script)
    seen = list(play([step.command for step in expected], folder))
    return [line for pair in zip(expected, seen, strict=True) for line in differences(*pair)]


@pytest.mark.timeout(600)
def test_an_hour_with_metals(tmp_path: Path) -> None:
    metals(tmp_path)
    assert not _wrong(SMALL, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_first_hour(tmp_path: Path) -> None:
    assert not _wrong(HOUR, tmp_path)


@pytest.mark.parametrize(
    ("seen", "alike"),
    [
        ("kappa 0.7365 ± 0.16 W/m/K (0:31, 12 s)", True),
        ("kappa 0.7401 ± 0.16 W/m/K (1:02:03, 2.5 min)", True),
        ("kappa 0.9365 ± 0.16 W/m/K (0:31, 12 s)", False),
        ("kappa 0.7365 ± 0.16 W/m/K", False),
        ("kappa 0.7365 ± 0.16 W/m/K (0:31, 12 W)", False),
    ],
)
def test_numbers_may_be_close_and_words_may_not(seen: str, alike: bool) -> None:
    expected = Step("x", ("kappa 0.7365 ± 0.16 W/m/K (0:30, 12 s)", ""))
    assert (differences(expected, Step("x", (seen,))) == []) is alike
