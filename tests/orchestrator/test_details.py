"""What `evaluate` and `show` print: the outcome first, then the main properties."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from click.testing import CliRunner

from oracle.contract.evaluation import Failed, Measured, Quantity, Unstable
from oracle.contract.property_table import PROPERTY_TABLE, spec_of
from oracle.contract.report import evaluation_json
from oracle.materials.crystal import Crystal
from orchestrator.app.cli import main
from orchestrator.app.details import outcome_lines, print_evaluation
from orchestrator.presentation.rendering import console

Run = Callable[..., subprocess.CompletedProcess[str]]
SETTINGS = (
    "calculator=ase.calculators.emt:EMT",
    "fc2_supercell=[2, 2, 2]",
    "fc3_supercell=[2, 2, 2]",
    "mesh=[5, 5, 5]",
    "bands=false",
    "pairs_start=6",
    "pairs_max=8",
)
BRACKETS = "[bold]odd [nequix]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("details")
    write(path / "Al.cif", bulk("Al", "fcc", 4.05, cubic=True))
    write(path / "Si.cif", bulk("Si", "diamond", 5.43, cubic=True))  # EMT does not know it
    (path / BRACKETS).mkdir()
    write(path / BRACKETS / "Al.cif", bulk("Al", "fcc", 4.05, cubic=True))
    (path / "bad.cif").write_text("no crystal\n")
    return path


@pytest.fixture
def run(folder: Path) -> Run:
    """evaluate with a quick potential, in one home, so that Al is computed once."""

    def call(*files: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        words = ["evaluate", *(str(folder / name) for name in files), *options]
        for change in SETTINGS:
            words += ["--set", change]
        words += ["--home", str(folder / "home")]
        done = CliRunner().invoke(main, words, catch_exceptions=False)
        return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)

    return call


def test_the_first_line_is_kappa_and_a_screen_holds_the_rest(run: Run) -> None:
    done = run("Al.cif")
    lines = done.stdout.splitlines()
    document = json.loads(run("Al.cif", options=("--json",)).stdout)
    kappa, std = np.trace(document["kappa"][0]) / 3, document["std"][0]
    assert lines[0] == f"kappa(300 K) = {kappa:.1f} ± {std:.1f} W/m/K"
    assert len(lines) <= 16
    for word in (
        "Fm-3m (225)",
        "THz",
        "k_B/atom",
        "Grüneisen",
        "Debye",
        "GPa",
        "Å³",
        "force calls",
    ):
        assert word in done.stdout
    files = [name.strip() for name in lines[-1].split(",")]
    home = Path(lines[-2].removeprefix("  files in ").removesuffix(":"))
    assert all((home / name).is_file() for name in files)


def test_everything_is_there_where_it_is_asked_for(run: Run) -> None:
    done = run("Al.cif", options=("-v",))
    assert done.stdout.startswith(run("Al.cif").stdout)
    for word in ("elastic tensor, GPa", "relax_fmax", "phonopy", "sound velocity"):
        assert word in done.stdout


def test_every_property_has_its_unit(run: Run) -> None:
    document = json.loads(run("Al.cif", options=("--json",)).stdout)
    names = {name for name in document if name in PROPERTY_TABLE}
    assert {"kappa", "bulk_modulus", "debye_temperature", "phase_space", "kappa_slack"} <= names
    strange = {
        name
        for name, value in document.items()
        if isinstance(value, float) and name not in (*PROPERTY_TABLE, "seconds")
    }
    assert strange == set()


def test_zeros_of_a_tensor_are_zeros(run: Run) -> None:
    document = json.loads(run("Al.cif", options=("--json",)).stdout)
    kappa = np.array(document["kappa"][0])
    assert (kappa[~np.eye(3, dtype=bool)] == 0).all()
    assert (np.diag(kappa) > 1).all()


def test_one_of_several_that_is_bad_does_not_stop_the_others(run: Run, folder: Path) -> None:
    done = run("bad.cif", "Al.cif", "Si.cif")
    assert done.returncode == 1
    assert "bad.cif" in done.stderr
    assert "Traceback" not in done.stderr
    assert f"{folder / 'Al.cif'}:\nkappa(300 K) = " in done.stdout
    assert f"{folder / 'Si.cif'}:\nfailed at " in done.stdout
    listed = json.loads(run("bad.cif", "Al.cif", "Si.cif", options=("--json",)).stdout)
    assert [entry["status"] for entry in listed] == ["refused", "measured", "failed"]
    assert [Path(entry["file"]).name for entry in listed] == ["bad.cif", "Al.cif", "Si.cif"]
    assert "bad.cif" in listed[0]["message"]


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (("bad.cif",), 2),
        (("bad.cif", "gone.cif"), 2),
        (("Al.cif", "bad.cif"), 1),
        (("Si.cif",), 1),
        (("Al.cif", "Al.cif"), 0),
    ],
)
def test_exit_codes(run: Run, files: tuple[str, ...], code: int) -> None:
    assert run(*files).returncode == code


def test_wrong_settings_are_said_once(run: Run) -> None:
    done = run("Al.cif", "Al.cif", options=("--set", "meshh=3"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "did you mean 'mesh'" in done.stderr


def test_brackets_in_paths_are_brackets(run: Run) -> None:
    assert f"{BRACKETS}/Al.cif:" in run("Al.cif", f"{BRACKETS}/Al.cif").stdout


def _record(**changes: Any) -> dict[str, Any]:
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure

    crystal = Crystal.from_structure(Structure(Lattice.cubic(4.0), ["Po"], [[0, 0, 0]]))
    common = {"fidelity": "bte", "method": "m", "cost_s": 1.0, "stage": "bte"}
    return {"material": crystal, **common, **changes}


def _kappa(*diagonals: tuple[float, float, float], std: list[float]) -> Quantity:
    value = [np.diag(diagonal).tolist() for diagonal in diagonals]
    return Quantity(value=value, unit="W/m/K", std=std, per_temperature=True)


class TestFirstLine:
    def test_directions_are_told_where_they_differ(self) -> None:
        kappa = _kappa((10.0, 10.0, 22.0), std=[1.4])
        outcome = Measured(**_record(temperature=(300.0,), properties={"kappa": kappa}))
        assert outcome_lines(evaluation_json(outcome)) == [
            "kappa(300 K) = 14.0 ± 1.4 W/m/K (10 to 22 over directions)"
        ]

    def test_each_temperature_has_its_own_error(self) -> None:
        kappa = _kappa((20.0,) * 3, (10.0,) * 3, std=[2.0, 0.5])
        outcome = Measured(**_record(temperature=(200.0, 300.0), properties={"kappa": kappa}))
        assert outcome_lines(evaluation_json(outcome)) == [
            "kappa(200 K) = 20.0 ± 2.0 W/m/K",
            "kappa(300 K) = 10.00 ± 0.50 W/m/K",
        ]

    def test_many_temperatures_are_cut_short(self) -> None:
        grid = tuple(float(t) for t in range(100, 1100, 100))
        kappa = _kappa(*[(1e4 / t,) * 3 for t in grid], std=[1.0] * 10)
        document = evaluation_json(
            Measured(**_record(temperature=grid, properties={"kappa": kappa}))
        )
        lines = outcome_lines(document)
        assert len(lines) == 5
        assert lines[-1] == "... and 6 more temperatures (-v shows them)"
        assert len(outcome_lines(document, verbose=True)) == 10

    def test_an_instability_says_how_deep_and_where(self) -> None:
        outcome = Unstable(**_record(min_frequency=-2.314, q_point=(0.5, 0.5, 0.0)))
        assert outcome_lines(evaluation_json(outcome)) == [
            "unstable: imaginary phonon modes; lowest frequency -2.31 THz at q = (0.5, 0.5, 0)"
        ]

    def test_a_failure_says_its_stage_and_reason(self) -> None:
        outcome = Failed(**_record(stage="relax", message=BRACKETS, permanent=True))
        assert outcome_lines(evaluation_json(outcome)) == [f"failed at relax: {BRACKETS}"]

    def test_a_conductance_has_its_unit_and_error(self) -> None:
        quantity = Quantity(value=[2.5e8], std=[1e7], unit="W/m²/K", per_temperature=True)
        outcome = Measured(**_record(temperature=(300.0,), properties={"conductance": quantity}))
        assert outcome_lines(evaluation_json(outcome)) == [
            "conductance(300 K) = (2.50 ± 0.10)×10⁸ W/m²/K"
        ]


def test_a_caution_is_told_whole(capsys: pytest.CaptureFixture[str]) -> None:
    kappa = _kappa((1.0,) * 3, std=[0.6])
    doubt = f"numerical error of 60%; {BRACKETS}"
    outcome = Measured(
        **_record(temperature=(300.0,), properties={"kappa": kappa}, low_confidence=doubt)
    )
    print_evaluation(console(), evaluation_json(outcome))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["kappa(300 K) = 1.00 ± 0.60 W/m/K", f"caution: {doubt}"]


def test_a_property_that_is_not_in_the_table_keeps_its_name() -> None:
    assert spec_of("band_gap").label == "band gap"
