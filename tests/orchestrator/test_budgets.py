"""Error budgets where users meet them, also in homes of earlier versions, which store none."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from click.testing import CliRunner, Result
from pymatgen.io.ase import AseAtomsAdaptor

from agents.spaces.prototype_table import named_prototypes
from oracle.contract.evaluation import Measured, Quantity, Unstable
from oracle.materials.crystal import Crystal
from oracle.potentials import accuracy
from oracle.potentials.calibration import NORMAL_90, Deviations, MeasuredTable
from oracle.potentials.error_budget import FUNCTIONAL
from orchestrator.app.cli import main
from orchestrator.app.details import print_evaluation
from orchestrator.assembly.budgets import budgets_of
from orchestrator.presentation.rendering import best_table, console

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SPREAD = Deviations(18, 0, 0.9, 0.3, 1.27, 1.6, 0.0)


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """7net-0 as measured on rock salts only."""
    table = MeasuredTable(SPREAD, {"rocksalt": SPREAD}, 1.8, None)
    monkeypatch.setattr(accuracy, "MEASURED", {"7net-0": table})


def _home(folder: Path, name: str = "quickstart") -> Path:
    home = folder / "home"
    home.mkdir()
    script = (GOLDEN / f"{name}.sql").read_text().replace("@FOLDER@", str(folder))
    with contextlib.closing(sqlite3.connect(home / "phonoscout.db")) as connection:
        connection.executescript(script)
    return home


def _run(home: Path, *words: str) -> Result:
    done = CliRunner().invoke(main, [*words, "--home", str(home)], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done


def _width(interval: list[float]) -> float:
    return math.log(interval[1] / interval[0]) / 2


def test_a_home_of_an_earlier_version_has_budgets(tmp_path: Path) -> None:
    home = _home(tmp_path)
    rows = json.loads(_run(home, "best", "quickstart", "--json").stdout)
    families = {"CsI": "rocksalt", "KBr": "rocksalt", "CuI": "zincblende", "InN": "zincblende"}
    for row in rows:
        budget = row["error_budget"]
        assert budget["numerics"]["relative"] == pytest.approx(row["std"] / row["value"])
        family = families.get(row["formula"])
        if family == "rocksalt":
            assert budget["potential"]["relative"] == pytest.approx(0.3)
            assert _width(budget["interval_90_dft"]) == pytest.approx(
                1.8 * math.hypot(0.3, row["std"] / row["value"])
            )
        if family == "zincblende":  # not measured here, but a bound is published
            assert "Matbench Discovery" in budget["potential"]["source"]
    shown = json.loads(_run(home, "show", rows[0]["candidate"], "--json").stdout)
    assert shown["error_budget"] == [rows[0]["error_budget"]]
    text = _run(home, "show", rows[0]["candidate"]).stdout
    assert f"90 % interval: {shown['error_budget'][0]['text']}" in text
    lines = _run(home, "best", "quickstart", "--csv").stdout.splitlines()
    table = list(csv.DictReader(lines))
    assert [float(row["interval_90_low"]) for row in table] == [
        row["error_budget"]["interval_90"][0] for row in rows
    ]
    assert "error_budget" not in table[0]
    shown_as = {column.header: column.cells for column in best_table(rows, "best").columns}
    assert all(" to " in cell for cell in shown_as["90 % interval"])


def test_an_answer_from_a_table_has_none(tmp_path: Path) -> None:
    home = _home(tmp_path, "replay")
    rows = json.loads(_run(home, "best", "layers", "--json").stdout)
    assert rows
    assert all(row["error_budget"] is None for row in rows)
    assert "interval" not in _run(home, "best", "layers").stdout
    shown = json.loads(_run(home, "show", rows[0]["candidate"], "--json").stdout)
    assert shown["error_budget"] is None


def _evaluation(**changes: Any) -> Measured:
    record: dict[str, Any] = {
        "material": named_prototypes()["rocksalt"].decorate(("Rb", "Br")),
        "fidelity": "bte",
        "method": "m",
        "cost_s": 1.0,
        "stage": "transport",
        "temperature": (200.0, 300.0, 900.0),
        "properties": {
            "kappa": Quantity(
                value=[[[k, 0, 0], [0, k, 0], [0, 0, k]] for k in (6.0, 4.0, 1.0)],
                unit="W/m/K",
                std=[0.6, 0.2, 0.02],
                per_temperature=True,
            )
        },
        "provenance": {"settings": {"kind": "phonon-bte", "calculator": "7net-0"}},
    }
    return Measured(**(record | changes))


def test_every_temperature_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    budgets = budgets_of(_evaluation())
    assert budgets is not None
    assert [b["numerics"]["relative"] for b in budgets] == pytest.approx([0.1, 0.05, 0.02])
    for kappa, budget in zip((6.0, 4.0, 1.0), budgets, strict=True):
        low, high = budget["interval_90"]
        assert math.sqrt(low * high) == pytest.approx(kappa)
    document = {
        "status": "measured",
        "formula": "RbBr",
        "temperature": [200.0, 300.0, 900.0],
        "kappa": [6.0, 4.0, 1.0],
        "error_budget": budgets,
    }
    print_evaluation(console(), document)
    assert f"90 % interval at 300 K: {budgets[1]['text']}" in capsys.readouterr().out


def test_what_changes_the_budget() -> None:
    def potential(**settings: Any) -> Any:
        given = {"kind": "phonon-bte", "calculator": "7net-0"} | settings
        budgets = budgets_of(_evaluation(provenance={"settings": given}))
        assert budgets is not None
        return budgets[0]["potential"]["relative"], budgets[0]["potential"]["by_analogy"]

    assert potential() == (pytest.approx(0.3), False)
    assert potential(dispersion="d3") == (pytest.approx(0.9), True)
    assert potential(calculator={"engine": "gpaw"}) == (0.0, False)
    assert potential(calculator="7net:/healed/weights.pth") == (None, False)
    silicon = Crystal.from_structure(AseAtomsAdaptor.get_structure(bulk("Si")))
    budgets = budgets_of(_evaluation(material=silicon))
    assert budgets is not None
    assert budgets[0]["potential"]["by_analogy"]
    assert _width(budgets[0]["interval_90"]) == pytest.approx(
        math.hypot(1.8 * math.hypot(0.9, 0.1), NORMAL_90 * FUNCTIONAL)
    )


def test_what_has_no_budget() -> None:
    assert budgets_of(_evaluation(fidelity="harmonic")) is None
    assert budgets_of(_evaluation(provenance={})) is None
    assert budgets_of(_evaluation(provenance={"settings": {"kind": "my_oracle:Mine"}})) is None
    assert budgets_of(_evaluation(properties={})) is None
    zero = Quantity(value=[0.0, 0.0, 0.0], unit="W/m/K", per_temperature=True)
    assert budgets_of(_evaluation(properties={"kappa": zero})) is None
    record = _evaluation().model_dump(include={"material", "fidelity", "method", "cost_s", "stage"})
    assert budgets_of(Unstable(**record)) is None
