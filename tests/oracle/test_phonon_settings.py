"""Settings of the oracles, and the messages about wrong ones."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from oracle.phonons.settings import PhononSettings
from oracle.replay.settings import ReplaySettings


def test_three_integers_are_the_diagonal_of_a_supercell() -> None:
    short = PhononSettings.model_validate({"fc3_supercell": [2, 2, 3]})
    full = PhononSettings.model_validate({"fc3_supercell": [[2, 0, 0], [0, 2, 0], [0, 0, 3]]})
    assert short == full


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fc3_supercell": [2, 2]}, "3 integers"),
        ({"fc3_supercell": [2, 0, 2]}, "at least 1"),
        ({"fc2_supercell": [[1, 0, 0], [1, 0, 0], [0, 0, 1]]}, "determinant"),
        ({"fc2_supercell": [[0, 1, 0], [1, 0, 0], [0, 0, 1]]}, "determinant"),
        ({"mesh": [9, 9]}, "mesh"),
        ({"mesh": [9, 9, 0]}, "mesh"),
        ({"temperatures": [300, 200]}, "ascending"),
        ({"temperatures": []}, "temperatures"),
        ({"pairs_start": 30, "pairs_max": 10}, "pairs_max"),
        ({"transport": "exact"}, "transport"),
        ({"displacment": 0.03}, "displacment"),
    ],
)
def test_wrong_values_are_refused_by_name(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PhononSettings.model_validate(changes)


def test_settings_survive_json() -> None:
    settings = PhononSettings.model_validate(
        {"fc3_supercell": [2, 2, 3], "mesh": [9, 9, 9], "boundary_um": 1.0}
    )
    assert PhononSettings.model_validate_json(settings.model_dump_json()) == settings


def test_confirmation_is_tighter_in_every_respect() -> None:
    loose = PhononSettings(mesh=(9, 9, 9))
    tight = loose.tightened()
    assert tight.snapshot_seed != loose.snapshot_seed
    assert tight.pairs_start > loose.pairs_start
    assert tight.oversampling > loose.oversampling
    assert tight.tolerance < loose.tolerance
    for name in ("fc2_length", "fc3_length", "fc2_atoms", "fc3_atoms"):
        assert getattr(tight, name) > getattr(loose, name)
    assert tight.mesh is not None
    assert min(tight.mesh) > 9
    assert PhononSettings.model_validate(tight.model_dump()) == tight


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "neither"),
        ({"column": "kappa", "fidelities": {"dft": {"column": "kappa"}}}, "both"),
        ({"fidelities": {}}, "at least one"),
        ({"fidelities": {"dft": {"column": "k"}}, "stable_column": "s"}, "inside each"),
    ],
)
def test_a_replay_has_exactly_one_source(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ReplaySettings.model_validate({"table": "table.jsonl", **changes})


def test_settings_import_nothing_heavy() -> None:
    code = (
        "import sys, oracle.phonons.settings, oracle.green.settings, oracle.interface.settings; "
        "print([m for m in ('numpy', 'torch', 'ase', 'phonopy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_dispersion_correction_is_named_once() -> None:
    with pytest.raises(ValidationError, match="expected a potential, and dispersion: d3"):
        PhononSettings.model_validate({"calculator": "7net-0+d3"})
