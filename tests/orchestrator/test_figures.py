"""The plots of campaigns: at the right temperature, named, and with the table's rank 1."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor
from rich.console import Console

from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.crystal import Crystal
from orchestrator.assembly.prepared import prepare
from orchestrator.config.loading import load_config
from orchestrator.plots.figures import cumulative_of, latest_page, named
from orchestrator.queries import queries
from orchestrator.running.runner import create, run_campaign
from orchestrator.store.store import Store

# The first leader moves when it is confirmed.
ROWS: list[dict[str, Any]] = [
    {"id": "00000000", "value": 0.2, "tight": 5.0, "std": 0.05, "stable": True},
    {"id": "00000001", "value": 0.7, "tight": 0.71, "std": 0.05, "stable": True},
    {"id": "00000011", "value": 0.9, "tight": 0.92, "std": 0.05, "stable": True},
    {"id": "00000111", "value": 140.0, "tight": 139.0, "std": 1e9, "stable": True},
    {"id": "00001111", "value": None, "tight": None, "std": None, "stable": False},
]


def _run(folder: Path, rows: list[dict[str, Any]]) -> Store:
    pool = [json.dumps({"id": row["id"], "sequence": row["id"]}) for row in rows]
    (folder / "pool.jsonl").write_text("\n".join(pool))
    (folder / "table.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    raw: dict[str, Any] = {
        "name": "plots",
        "space": {"kind": "pool", "path": "pool.jsonl"},
        "objective": {"property": "kappa", "temperature": 500, "goal": "minimize"},
        "oracle": {
            "kind": "replay",
            "table": "table.jsonl",
            "column": "value",
            "std_column": "std",
            "stable_column": "stable",
            "confirm_column": "tight",
        },
        "agents": [{"kind": "random"}],
        "budget": {"batch": 5, "oracle_calls": 5},
        "confirmation": {"leaders": 2},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(raw))
    prepared = prepare(load_config(path))
    store = Store(folder / "home")
    create(store, prepared)
    run_campaign(store, "plots", prepared=prepared, console=Console(stderr=True))
    return store


def _figures(page: Path) -> list[dict[str, Any]]:
    """Data and layout of the figures on a page."""
    figures = []
    decoder = json.JSONDecoder()
    text = page.read_text()
    for match in re.finditer(r'Plotly\.newPlot\(\s*"[\w]+",\s*', text):
        data, end = decoder.raw_decode(text, match.end())
        layout, _ = decoder.raw_decode(text, re.compile(r",\s*").match(text, end).end())  # type: ignore[union-attr]
        figures.append({"data": data, "layout": layout})
    return figures


def test_the_page_of_a_campaign_shows_the_rank_1_of_the_table(tmp_path: Path) -> None:
    store = _run(tmp_path, ROWS)
    page = latest_page(store.home, "plots")
    assert page is not None
    assert "plots, round" in page.read_text()
    best = queries.best(store, "plots", 1)[0]
    assert best["value"] == 0.71  # not 0.2, which was retracted
    figure = _figures(page)[0]
    (star,) = [t for t in figure["data"] if t["name"] == "rank 1"]
    assert star["y"] == [best["value"]]
    assert "lowest κ at 500 K" in figure["layout"]["title"]["text"]
    assert figure["layout"]["yaxis"]["title"]["text"] == "κ at 500 K (W/m/K)"
    low, high = figure["layout"]["yaxis"]["range"]
    assert high - low < 6  # decades, with an error of 1e9 among the values


def test_a_campaign_without_any_value_has_a_page(tmp_path: Path) -> None:
    rows = [{**row, "value": None, "tight": None, "stable": False} for row in ROWS]
    rows[0] = {**rows[0], "value": 1.0, "tight": 1.0, "stable": False}
    store = _run(tmp_path, rows)
    page = latest_page(store.home, "plots")
    assert page is not None
    assert "no value yet" in _figures(page)[0]["layout"]["title"]["text"]


def test_no_campaign_no_page(tmp_path: Path) -> None:
    assert latest_page(tmp_path, "nothing") is None


def _measured() -> Measured:
    structure = AseAtomsAdaptor.get_structure(bulk("CsI", "cesiumchloride", 4.6))
    quantity = Quantity(value=[9.0, 3.0, 1.5], unit="W/m/K", per_temperature=True)
    return Measured(
        material=Crystal.from_structure(structure),
        fidelity="bte",
        method="m",
        cost_s=1.0,
        stage="bte",
        temperature=(100.0, 300.0, 600.0),
        properties={"kappa": quantity},
    )


def _curve(end: float, **keys: Any) -> dict[str, Any]:
    return {"frequency": [0.0, 1.0, 2.0], "kappa": [0.0, end / 2, end], **keys}


@pytest.mark.parametrize(
    ("wanted", "drawn"), [(300.0, 300), (600.0, 600), (450.1, 600), (None, 100)]
)
def test_cumulative_kappa_is_that_of_the_objective(wanted: float | None, drawn: int) -> None:
    ends = {100: 8.0, 300: 2.0, 600: 1.0}
    each = [_curve(end, temperature=float(t), part="particle") for t, end in ends.items()]
    figure = cumulative_of({**each[0], "each": each}, _measured(), "CsI cscl", wanted)
    assert figure.data[0].y[-1] == ends[drawn]
    assert f"at {drawn} K" in figure.layout.yaxis.title.text
    total = {100: 9, 300: 3, 600: 1.5}[drawn]
    title = figure.layout.title.text
    assert title.startswith(f"CsI cscl, {drawn} K")
    assert f"particle-like part only, {ends[drawn]:g} of {total:g} W/m/K" in title


def test_a_curve_of_an_earlier_version_is_of_the_first_temperature() -> None:
    figure = cumulative_of(_curve(9.0), _measured(), "CsI", 300.0)
    assert "at 100 K" in figure.layout.yaxis.title.text
    assert "only" not in figure.layout.title.text


@pytest.mark.parametrize(
    ("formula", "label", "name"),
    [
        ("CsI", "rocksalt", "CsI rocksalt"),
        ("CsI", None, "CsI"),
        ("SGSG", "SGSG", "SGSG"),
        ("CsI", "x" * 90, f"CsI {'x' * 31}…"),
    ],
)
def test_names_fit_into_titles(formula: str, label: str | None, name: str) -> None:
    assert named(formula, label) == name
