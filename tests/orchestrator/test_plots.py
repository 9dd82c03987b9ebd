"""Plots show what the data say, as a picture and as a page without network."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib.image import imread

from orchestrator.plots.error_bars import CUT, Point, axis_of, bars
from orchestrator.plots.plot_files import write_figures
from orchestrator.plots.plots import Bands, bands_and_dos, cumulative_kappa
from orchestrator.plots.trial_plots import (
    INTERVAL,
    ParityPoint,
    TrialPoint,
    best_so_far,
    parity,
)

QUANTITY = "kappa at 300 K (W/m/K)"
TRIALS = [
    TrialPoint("a", 30.0, 2.0, "measured", 4),
    TrialPoint("b", None),
    TrialPoint("c", 1.0, 0.1, "outside", 5),
    TrialPoint("d", 3.0, 0.2, "confirmed", 1, (2.1, 4.4)),
    TrialPoint("e", 100.0, None, "confirmed", 2, (60.0, 170.0)),
    TrialPoint("f", 0.4, 0.2, "measured", 3),
]


def trace(figure: go.Figure, name: str) -> Any:
    (match,) = [t for t in figure.data if t.name == name]
    return match


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
        "best_so_far": best_so_far(TRIALS, quantity=QUANTITY, title="all & <some> of $x$"),
        "parity": parity(points, quantity=QUANTITY),
        "bands": bands_and_dos(one_band(), *dos(), title="NaCl"),
        "cumulative": cumulative_kappa(x, 7 * x / 8, temperature=300.0, title="NaCl"),
    }


def test_intervals_stand_behind_the_values() -> None:
    figure = best_so_far(TRIALS, quantity=QUANTITY)
    assert figure.data[0].name == INTERVAL
    assert list(zip(figure.data[0].x, figure.data[0].y, strict=True)) == [
        *[(4, 2.1), (4, 4.4), (None, None)],
        *[(5, 60.0), (5, 170.0), (None, None)],
    ]
    without = best_so_far([TrialPoint("a", 2.0, 0.1), TrialPoint("b", 3.0)], quantity=QUANTITY)
    assert INTERVAL not in [t.name for t in without.data]


def test_an_interval_ends_with_the_axis() -> None:
    trials = [TrialPoint("a", 2.0, 0.1, interval=(1e-3, 1e4)), TrialPoint("b", 30.0)]
    figure = best_so_far(trials, quantity=QUANTITY)
    low, high = (10**end for end in figure.layout.yaxis.range)
    assert figure.data[0].y[:2] == pytest.approx((low, high))


def test_the_line_ends_at_rank_1_whatever_the_values() -> None:
    figure = best_so_far(TRIALS, quantity=QUANTITY, title="t")
    line, star = trace(figure, "best so far"), trace(figure, "rank 1")
    assert list(zip(line.x, line.y, strict=True)) == [(1, 30.0), (4, 3.0), (6, 3.0)]
    assert (star.x, star.y, star.text) == ((4,), (3.0,), ("d",))
    assert "rank 1: d, 3 ± 0.2" in figure.layout.title.text


def test_standings_are_told_apart() -> None:
    figure = best_so_far([*TRIALS, TrialPoint("g", 7.0, None, "stale", 6)], quantity=QUANTITY)
    names = ("confirmed", "measured", "outside constraints", "earlier weights")
    texts = [trace(figure, name).text for name in names]
    assert texts == [("d", "e"), ("a", "f"), ("c",), ("g",)]
    styles = {(t.marker.color, t.marker.symbol) for t in (trace(figure, name) for name in names)}
    assert len(styles) == 4


def test_trials_without_a_rank_lead_nothing() -> None:
    figure = best_so_far([TrialPoint("a", 2.0), TrialPoint("b", 20.0)], quantity="q")
    assert [t.name for t in figure.data] == ["measured"]


def test_unstable_trials_are_shown_below_all_values() -> None:
    figure = best_so_far(TRIALS, quantity=QUANTITY)
    missing = trace(figure, "unstable or failed")
    assert list(missing.x) == [2]
    low, high = figure.layout.yaxis.range
    assert low < np.log10(missing.y[0]) < np.log10(0.4) < high


def test_all_unstable_is_said() -> None:
    figure = best_so_far([TrialPoint("a", None), TrialPoint("b", None)], quantity=QUANTITY)
    assert "no value yet" in figure.layout.title.text
    assert list(trace(figure, "unstable or failed").x) == [1, 2]
    assert list(figure.layout.yaxis.tickvals) == []


@pytest.mark.parametrize(("count", "step"), [(1, 1), (15, 1), (16, 2), (40, 5), (151, 20)])
def test_ticks_are_whole_trials(count: int, step: int) -> None:
    trials = [TrialPoint("a", 2.0)] * count
    assert best_so_far(trials, quantity="q").layout.xaxis.dtick == step


def test_axes_are_logarithmic_for_decades_only() -> None:
    def axis(*values: float) -> str:
        figure = best_so_far([TrialPoint("a", v) for v in values], quantity="q")
        return str(figure.layout.yaxis.type)

    assert [axis(30, 1, 100), axis(2, 3), axis(-2, 90)] == ["log", "linear", "linear"]


def _decades(figure: go.Figure) -> float:
    low, high = figure.layout.yaxis.range
    return float(high - low)


@pytest.mark.parametrize("std", [1e9, float("inf")])
def test_a_huge_error_does_not_stretch_the_axis(std: float) -> None:
    small = [TrialPoint("a", 0.4, 0.1), TrialPoint("b", 140.0, 14.0)]
    huge = [TrialPoint("a", 0.4, std), TrialPoint("b", 140.0, 14.0)]
    figure = best_so_far(huge, quantity=QUANTITY)
    assert _decades(figure) < _decades(best_so_far(small, quantity=QUANTITY)) + 3
    points = trace(figure, "measured")
    bottom, top = (10**end for end in figure.layout.yaxis.range)
    upper = np.array(points.y) + np.array(points.error_y.array)
    lower = np.array(points.y) - np.array(points.error_y.arrayminus)
    assert bottom * 0.999 <= lower.min() < upper.max() <= top * 1.001
    marks = [t for t in figure.data if t.name == CUT]
    assert {t.marker.symbol for t in marks} == {"triangle-up", "triangle-down"}
    assert [t.showlegend for t in marks].count(True) == 1


def test_bars_that_fit_are_whole_and_not_marked() -> None:
    figure = best_so_far([TrialPoint("a", 3.0, 1.0), TrialPoint("b", 4.0, 0.5)], quantity="q")
    points = trace(figure, "measured")
    assert tuple(points.error_y.array) == pytest.approx((1.0, 0.5))
    assert tuple(points.error_y.arrayminus) == pytest.approx((1.0, 0.5))
    assert CUT not in {t.name for t in figure.data}


def test_low_ends_at_or_below_zero_are_cut_on_a_logarithmic_axis() -> None:
    points = [Point.symmetric(1.0, 1.0), Point.symmetric(5.0, 9.0), Point.symmetric(100.0, 1.0)]
    axis = axis_of(points, log=True)
    assert 0 < axis.low < 1.0
    drawn = bars(points, axis, "#000000")
    assert min(p.value - low for p, low in zip(points, drawn["arrayminus"], strict=True)) > 0


@pytest.mark.parametrize("std", [None, float("nan"), 0.0])
def test_unknown_errors_have_no_bars(std: float | None) -> None:
    point = Point.symmetric(3.0, std)
    assert (point.low, point.high) == (None, None)
    assert bars([point], axis_of([point], log=False), "#000000") == {}


def test_parity_bars_reach_one_deviation_and_audits_stand_apart() -> None:
    figure = figures()["parity"]
    chosen, audit = trace(figure, "chosen"), trace(figure, "audit (random)")
    ends = (chosen.error_y.array[0], chosen.error_y.arrayminus[0], chosen.error_x.array[0])
    assert ends == pytest.approx((4.0, 2.0, 0.2))
    assert audit.error_x.array is None
    assert list(audit.text) == ["b"]
    assert figure.layout.xaxis.range == figure.layout.yaxis.range


def test_parity_axes_follow_from_the_points() -> None:
    points = [
        ParityPoint("a", 0.37, 0.19, 0.5, 1e-9, 1e9),
        ParityPoint("b", 138.9, 14.0, 80.0, 20.0, 300.0),
    ]
    figure = parity(points, quantity=QUANTITY)
    assert _decades(figure) < 6
    assert figure.layout.xaxis.range == figure.layout.yaxis.range
    assert CUT in {t.name for t in figure.data}


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


def test_what_is_left_out_of_kappa_is_said() -> None:
    x = np.linspace(0, 8, 100)

    def drawn(total: float | None) -> go.Figure:
        return cumulative_kappa(x, 7 * x / 8, temperature=500.0, title="CsI, 500 K", total=total)

    part = drawn(9.1)
    assert "particle-like part only, 7 of 9.1 W/m/K" in part.layout.title.text
    assert "500 K" in part.layout.yaxis.title.text
    assert part.layout.shapes[0].y0 == 9.1
    assert part.layout.yaxis.range[1] > 9.1
    for whole in (drawn(None), drawn(7.01)):
        assert "only" not in whole.layout.title.text


@pytest.mark.parametrize("name", figures())
def test_pictures_have_the_size_and_colours_of_the_figure(tmp_path: Path, name: str) -> None:
    figure = figures()[name]
    png, page = write_figures({name: figure}, tmp_path, f"{name}.html")
    image = imread(io.BytesIO(png.read_bytes()), format="png")
    assert image.shape[:2] == (figure.layout.height, figure.layout.width)
    colours = [t.line.color or t.marker.color for t in figure.data if t.name != CUT]
    for colour in set(colours):
        wanted = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        assert (np.abs(image[..., :3] - wanted).max(axis=2) < 0.1).sum() > 10
    assert page.name == f"{name}.html"
    again, _ = write_figures({"again": figure}, tmp_path, "again.html")
    assert again.read_bytes() == png.read_bytes()


def test_page_holds_all_figures_and_the_script_once(tmp_path: Path) -> None:
    paths = write_figures(figures(), tmp_path / "round", "plots.html", "a < b, round 2")
    assert [p.name for p in paths] == [*(f"{name}.png" for name in figures()), "plots.html"]
    assert all(p.stat().st_size > 0 for p in paths)
    text = paths[-1].read_text(encoding="utf-8")
    assert text.count("* plotly.js v") == 1
    assert all(f'id="{name}"' in text for name in figures())
    assert "<script src=" not in text
    assert "<h1>a &lt; b, round 2</h1>" in text
    assert len(text) < 6_000_000


@pytest.mark.parametrize(
    "figure",
    [
        best_so_far([], quantity="q"),
        best_so_far([TrialPoint("a", None)], quantity="q"),
        best_so_far([TrialPoint("a", 2.0, 90.0, rank=1)], quantity="q"),
        best_so_far([TrialPoint("a", 0.0), TrialPoint("b", None)], quantity="q"),
        parity([], quantity="q"),
        parity([ParityPoint("a", 1.0, None, 1.0, 1.0, 1.0)], quantity="q"),
    ],
)
def test_little_data_is_no_error(tmp_path: Path, figure: go.Figure) -> None:
    png, _ = write_figures({"few": figure}, tmp_path, "few.html")
    assert imread(png).shape[0] == figure.layout.height
