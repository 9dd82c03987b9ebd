"""Plots show what the data say, as a picture and as a page without network."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib.image import imread

from orchestrator.plot_files import write_figure, write_figures
from orchestrator.plots import (
    Bands,
    ParityPoint,
    TrialPoint,
    bands_and_dos,
    best_so_far,
    cumulative_kappa,
    parity,
)

QUANTITY = "kappa at 300 K (W/m/K)"
TRIALS = [
    TrialPoint("a", 30.0),
    TrialPoint("b", None),
    TrialPoint("c", 1.0, allowed=False),
    TrialPoint("d", 3.0),
    TrialPoint("e", 100.0),
]


def trace(figure: go.Figure, name: str) -> Any:
    (found,) = [t for t in figure.data if t.name == name]
    return found


def one_band(shift: float = 0.0) -> Bands:
    q = np.linspace(0, 1, 21)
    band = np.sin(np.pi * q / 2)[:, None] * np.array([3.0, 5.0]) + shift
    return Bands(
        distances=[q, 1 + q, 2 + q],
        frequencies=[band, band[::-1], band],
        labels=["$\\Gamma$", "$\\mathrm{X}$", "$\\mathrm{U_2}$", "K", "GAMMA"],
        connections=[True, False, False],
    )


def dos() -> tuple[Any, Any]:
    frequency = np.linspace(-1, 6, 50)
    return frequency, np.exp(-((frequency - 3) ** 2))


def figures() -> dict[str, go.Figure]:
    points = [
        ParityPoint("a", 3.0, 0.2, 4.0, 2.0, 8.0),
        ParityPoint("b", 40.0, None, 30, 9, 99, True),
    ]
    x = np.linspace(0, 8, 100)
    return {
        "best_so_far": best_so_far(TRIALS, goal="minimize", quantity=QUANTITY),
        "parity": parity(points, quantity=QUANTITY),
        "bands": bands_and_dos(one_band(), *dos(), title="NaCl"),
        "cumulative": cumulative_kappa(x, 7 * x / 8, temperature=300.0, title="NaCl"),
    }


@pytest.mark.parametrize(
    ("goal", "target", "steps"),
    [
        ("minimize", None, [(1, 30.0), (4, 3.0), (5, 3.0)]),
        ("maximize", None, [(1, 30.0), (5, 100.0), (5, 100.0)]),
        ("target", 2.0, [(1, 30.0), (4, 3.0), (5, 3.0)]),
    ],
)
def test_only_allowed_trials_lead(
    goal: str, target: float | None, steps: list[tuple[int, float]]
) -> None:
    figure = best_so_far(TRIALS, goal=goal, target=target, quantity=QUANTITY)
    line = trace(figure, "best so far")
    assert list(zip(line.x, line.y, strict=True)) == steps


def test_distance_from_a_target_is_that_of_the_objective() -> None:
    trials = [TrialPoint("a", 2.0), TrialPoint("b", 20.0), TrialPoint("c", -11.0)]

    def lead(log: bool) -> float:
        figure = best_so_far(trials, goal="target", target=10.0, log=log, quantity="q")
        return float(trace(figure, "best so far").y[-1])

    # 8 and 10 away from 10, but by factors of 5 and 2.
    assert lead(log=False) == 2.0
    assert lead(log=True) == 20.0
    with pytest.raises(ValueError, match="without a target"):
        best_so_far(trials, goal="target", quantity="q")


def test_unstable_trials_are_shown_below_all_values() -> None:
    figure = best_so_far(TRIALS, goal="minimize", quantity=QUANTITY)
    missing = trace(figure, "unstable or failed")
    assert list(missing.x) == [2]
    assert 0 < missing.y[0] < 1.0
    assert trace(figure, "outside constraints").text == ("c",)


def test_axes_are_logarithmic_for_decades_only() -> None:
    wide = best_so_far(TRIALS, goal="minimize", quantity=QUANTITY)
    narrow = best_so_far(
        [TrialPoint("a", 2.0), TrialPoint("b", 3.0)], goal="minimize", quantity="q"
    )
    signed = best_so_far(
        [TrialPoint("a", -2.0), TrialPoint("b", 90)], goal="minimize", quantity="q"
    )
    assert [f.layout.yaxis.type for f in (wide, narrow, signed)] == ["log", "linear", "linear"]


def test_parity_bars_reach_one_deviation_and_audits_stand_apart() -> None:
    figure = figures()["parity"]
    chosen, audit = trace(figure, "chosen"), trace(figure, "audit (random)")
    assert (chosen.error_y.array[0], chosen.error_y.arrayminus[0]) == (4.0, 2.0)
    assert (chosen.error_x.array[0], audit.error_x.array[0]) == (0.2, 0.0)
    assert list(audit.text) == ["b"]
    assert figure.layout.xaxis.range == figure.layout.yaxis.range


def test_ticks_stand_at_special_points_with_both_labels_at_jumps() -> None:
    axis = bands_and_dos(one_band(), *dos(), title="").layout.xaxis
    assert list(axis.ticktext) == ["Γ", "X", "U2|K", "Γ"]
    assert list(axis.tickvals) == [0.0, 1.0, 2.0, 3.0]


def test_imaginary_modes_are_told_apart() -> None:
    def colours(figure: go.Figure) -> set[str]:
        return {t.line.color for t in figure.data if t.fill is None}

    stable = bands_and_dos(one_band(), *dos(), title="")
    unstable = bands_and_dos(one_band(-1.0), *dos(), title="")
    assert len(colours(stable)) == 1
    assert len(colours(unstable) - colours(stable)) == 1
    assert stable.layout.yaxis.range[0] == 0.0
    assert unstable.layout.yaxis.range[0] < -1.0


def test_half_of_kappa_is_marked() -> None:
    (marked,) = [t for t in figures()["cumulative"].data if t.mode == "markers"]
    assert marked.x[0] == pytest.approx(4.0)
    assert marked.y[0] == pytest.approx(3.5)


@pytest.mark.parametrize("name", figures())
def test_pictures_have_the_size_and_colours_of_the_figure(tmp_path: Path, name: str) -> None:
    figure = figures()[name]
    png, page = write_figure(figure, tmp_path / name)
    image = imread(io.BytesIO(png.read_bytes()), format="png")
    assert image.shape[:2] == (figure.layout.height, figure.layout.width)
    colours = [t.line.color or t.marker.color for t in figure.data]
    for colour in set(colours):
        wanted = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        assert (np.abs(image[..., :3] - wanted).max(axis=2) < 0.1).sum() > 10
    assert page.name == f"{name}.html"
    again, _ = write_figure(figure, tmp_path / "again")
    assert again.read_bytes() == png.read_bytes()


def test_page_holds_all_figures_and_the_script_once(tmp_path: Path) -> None:
    paths = write_figures(figures(), tmp_path / "round", "plots.html")
    assert [p.name for p in paths] == [*(f"{name}.png" for name in figures()), "plots.html"]
    assert all(p.stat().st_size > 0 for p in paths)
    text = paths[-1].read_text(encoding="utf-8")
    assert text.count("* plotly.js v") == 1
    assert all(f'id="{name}"' in text for name in figures())
    assert "<script src=" not in text
    assert len(text) < 6_000_000


@pytest.mark.parametrize(
    "figure",
    [
        best_so_far([], goal="minimize", quantity="q"),
        best_so_far([TrialPoint("a", None)], goal="minimize", quantity="q"),
        best_so_far([TrialPoint("a", 2.0), TrialPoint("b", None)], goal="maximize", quantity="q"),
        parity([], quantity="q"),
        parity([ParityPoint("a", 1.0, None, 1.0, 1.0, 1.0)], quantity="q"),
    ],
)
def test_little_data_is_no_error(tmp_path: Path, figure: go.Figure) -> None:
    png, _ = write_figure(figure, tmp_path / "few")
    assert imread(png).shape[0] == figure.layout.height
