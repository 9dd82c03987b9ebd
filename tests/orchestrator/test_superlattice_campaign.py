"""A campaign over layer sequences from the command line to its files, with real transmission."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from oracle.materials.superlattice import Superlattice
from orchestrator.app.cli import main
from orchestrator.assembly.build import build_space, surrogate_settings
from orchestrator.config.loading import load_config
from surrogate.contract.settings import SequenceProcessSettings

pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = {
    "name": "stack",
    "seed": 3,
    "space": {
        "kind": "superlattice",
        "alphabet": {"S": "Si", "G": "Ge"},
        "leads": ["S", "S"],
        "length": 4,
    },
    "objective": {"property": "conductance", "temperature": 300, "goal": "minimize"},
    "oracle": {"kind": "green", "calculator": "tersoff", "frequencies": 8, "q_mesh": [2, 2]},
    "confirmation": {"leaders": 0},
    "budget": {"batch": 2, "oracle_calls": 4},
    "executor": {"kind": "serial"},
}


def _run(*words: str, home: Path) -> str:
    done = CliRunner().invoke(main, [*words, "--home", str(home)], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack")
    (folder / "stack.yaml").write_text(yaml.safe_dump(CONFIG))
    _run("launch", str(folder / "stack.yaml"), home=folder / "home")
    return folder / "home"


@pytest.fixture(scope="module")
def best(home: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(_run("best", "stack", "-k", "9", "--json", home=home))
    return rows


def test_all_calls_went_to_different_designs(home: Path, best: list[dict[str, Any]]) -> None:
    designs = [Superlattice.model_validate_json(Path(row["file"]).read_text()) for row in best]
    assert len({design.digest for design in designs}) == len(best) == 4
    assert [row["structure"] for row in best] == [design.sequence for design in designs]
    assert best[0]["unit"] == "W/m²/K"
    assert best[0]["value"] == min(row["value"] for row in best)


def test_the_best_is_computed_again_from_its_files(home: Path, best: list[dict[str, Any]]) -> None:
    words = ["evaluate", best[0]["file"], "--oracle", best[0]["oracle"], "--json"]
    again = json.loads(_run(*words, home=home.parent / "elsewhere"))
    assert again["formula"] == best[0]["formula"]
    assert again["conductance"][0] == pytest.approx(best[0]["value"], rel=1e-6)


def test_layers_and_transmission_are_drawn(home: Path, best: list[dict[str, Any]]) -> None:
    names = {path.name for path in home.rglob("*.png")}
    assert {"layers.png", "transmission.png", "best_so_far.png"} <= names
    # No wall lets more through than the lead alone does.
    for path in (home / "artefacts").rglob("transmission.json"):
        document = json.loads(path.read_text())
        pairs = zip(document["modes_per_cell"], document["lead_modes_per_cell"], strict=True)
        assert all(-1e-9 <= through <= alone + 1e-6 for through, alone in pairs)


def test_the_surrogate_is_told_which_end_is_sought() -> None:
    path = ROOT / "configs" / "superlattice.yaml"
    for overrides, sought in (
        ([], "low"),
        (["objective.goal=maximize"], "high"),
        (["surrogate={kind: sequence-process, sought: high}"], "high"),
    ):
        config = load_config(path, overrides)
        settings = surrogate_settings(config, build_space(config.space))
        assert isinstance(settings, SequenceProcessSettings)
        assert settings.sought == sought
