"""Plots of a campaign's trials: the best so far, and predicted against computed values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

from orchestrator.plots.error_bars import Axis, Point, axis_of, bars, mark_cuts
from orchestrator.plots.plots import BLUE, GREY, ORANGE, RED, look

Standing = Literal["confirmed", "measured", "outside", "stale"]
_LOG_SPAN = 8.0  # ratio of largest to smallest value from which an axis is logarithmic
_COUNTED = 15  # maximum number of ticks
_BELOW = 0.12  # axis added for the marks of trials without a value, relative to its span
_PALE = "#d5d9e0"
INTERVAL = "90 % interval"
"""Legend entry of the intervals, which hold the errors of potential and functional."""
_DRAWN: dict[Standing, tuple[str, str, str]] = {
    "confirmed": ("confirmed", BLUE, "circle"),
    "measured": ("measured", BLUE, "circle-open"),
    "outside": ("outside constraints", GREY, "circle"),
    "stale": ("earlier weights", GREY, "circle-open"),
}
"""Name, colour and symbol by standing."""


@dataclass(frozen=True)
class TrialPoint:
    """One trial in the order of the campaign.

    Args:
        label: text shown under the mouse pointer.
        value: present value of the objective's property, or None if the trial was unstable or
            failed.
        std: its standard error, or None.
        standing: whether the value is confirmed, only measured, outside the constraints, or from
            earlier weights of the potential.
        rank: place in the table of the best, from 1; None if it is not in the table.
        interval: ends of the 90 % interval with the errors of potential and functional, or None.
    """

    label: str
    value: float | None
    std: float | None = None
    standing: Standing = "measured"
    rank: int | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class ParityPoint:
    """A prediction made before its trial, and the result of the trial.

    Args:
        label: text shown under the mouse pointer.
        computed: value from the oracle.
        computed_std: its standard error, or None.
        predicted: median of the prediction.
        low: one standard deviation below the median, on the modelled scale.
        high: one standard deviation above the median.
        audit: whether the candidate was drawn at random; only such trials measure calibration.
    """

    label: str
    computed: float
    computed_std: float | None
    predicted: float
    low: float
    high: float
    audit: bool = False


def best_so_far(
    trials: Sequence[TrialPoint], *, quantity: str, title: str = "", target: float | None = None
) -> go.Figure:
    """All trials in order, and the best candidate up to each by its present rank.

    Args:
        trials: in the order of the campaign.
        quantity: name and unit for the axis, for instance ``kappa at 300 K (W/m/K)``.
        title: title of the figure.
        target: target value, drawn as a line, or None.
    """
    figure = go.Figure()
    with_value = [
        (n, trial, Point.symmetric(trial.value, trial.std))
        for n, trial in enumerate(trials, start=1)
        if trial.value is not None
    ]
    points = [p for _, _, p in with_value] + ([] if target is None else [Point(target)])
    log = is_wide([p.value for p in points])
    intervals = [Point(t.value, *t.interval) for t in trials if t.value and t.interval]
    axis = axis_of([*points, *intervals], log=log) if with_value else None
    below = 0.0
    if axis is not None and len(with_value) < len(trials):
        below, axis = axis.widened_below(_BELOW)
    if axis is not None:
        _draw_intervals(figure, trials, axis)
    for standing, (name, colour, symbol) in _DRAWN.items():
        chosen = [(n, t, p) for n, t, p in with_value if t.standing == standing]
        if chosen and axis is not None:
            figure.add_scatter(
                x=[n for n, _, _ in chosen],
                y=[p.value for _, _, p in chosen],
                text=[t.label for _, t, _ in chosen],
                mode="markers",
                name=name,
                marker={"color": colour, "size": 8, "symbol": symbol},
                error_y=bars([p for _, _, p in chosen], axis, colour),
            )
    note = _draw_leaders(figure, trials)
    if trials and not with_value:
        note = "no value yet: all trials are unstable or failed"
    look(figure, "trial", quantity, title=title, note=note, log_y=log)
    _mark_missing(figure, trials, below)
    if axis is not None:
        numbers = [Point(n) for n, _, _ in with_value]
        mark_cuts(figure, numbers, [p for _, _, p in with_value], None, axis)
        figure.update_yaxes(range=axis.range)
    elif trials:  # nothing to put on the axis
        figure.update_yaxes(range=[-1, 1], tickvals=[])
    if target is not None and axis is not None:
        figure.add_hline(y=target, line={"color": GREY, "width": 1, "dash": "dash"})
    figure.update_xaxes(range=[0.5, max(len(trials), 1) + 0.5])
    figure.update_xaxes(dtick=_step(len(trials)))
    return figure


def _draw_intervals(figure: go.Figure, trials: Sequence[TrialPoint], axis: Axis) -> None:
    """Draw the 90 % intervals behind all else, up to the ends of the axis."""
    x: list[float | None] = []
    y: list[float | None] = []
    for n, trial in enumerate(trials, start=1):
        if trial.interval is not None:
            low, high = trial.interval
            x += [n, n, None]
            y += [max(low, axis.low), min(high, axis.high), None]
    if x:
        line = {"color": _PALE, "width": 6}
        figure.add_scatter(x=x, y=y, mode="lines", name=INTERVAL, line=line, hoverinfo="skip")


def _step(trials: int) -> int:
    """Trials from one tick to the next: 1, 2 or 5 times a power of ten."""
    steps = (factor * 10**power for power in range(6) for factor in (1, 2, 5))
    return next((step for step in steps if trials <= _COUNTED * step), trials)


def _draw_leaders(figure: go.Figure, trials: Sequence[TrialPoint]) -> str:
    """Draw the line of the best so far and a star at rank 1; returns the latter in words."""
    steps: list[tuple[int, TrialPoint]] = []
    for n, trial in enumerate(trials, start=1):
        rank = math.inf if not steps else (steps[-1][1].rank or math.inf)
        if trial.rank is not None and trial.value is not None and trial.rank < rank:
            steps.append((n, trial))
    if not steps:
        return ""
    best_number, best = steps[-1]
    assert best.value is not None  # only trials with a value are steps
    figure.add_scatter(
        x=[n for n, _ in steps] + [len(trials)],
        y=[t.value for _, t in steps] + [best.value],
        mode="lines",
        name="best so far",
        line={"color": ORANGE, "width": 2.5, "shape": "hv"},
    )
    figure.add_scatter(
        x=[best_number],
        y=[best.value],
        text=[best.label],
        mode="markers",
        name=f"rank {best.rank}",
        marker={"color": ORANGE, "size": 14, "symbol": "star"},
    )
    error = "" if best.std is None else f" ± {best.std:.2g}"
    return f"rank {best.rank}: {best.label}, {best.value:.4g}{error}"


def _mark_missing(figure: go.Figure, trials: Sequence[TrialPoint], below: float) -> None:
    """Draw crosses below all values for the trials without a value."""
    missing = [(n, t) for n, t in enumerate(trials, start=1) if t.value is None]
    if missing:
        figure.add_scatter(
            x=[n for n, _ in missing],
            y=[below] * len(missing),
            text=[t.label for _, t in missing],
            mode="markers",
            name="unstable or failed",
            marker={"color": RED, "size": 8, "symbol": "x"},
        )


def parity(points: Sequence[ParityPoint], *, quantity: str, title: str = "") -> go.Figure:
    """Predicted against computed values, with the errors of both.

    Args:
        points: one per trial with a prediction.
        quantity: name and unit for both axes.
        title: title of the figure.
    """
    figure = go.Figure()
    log = is_wide([v for p in points for v in (p.computed, p.predicted)])
    computed = [Point.symmetric(p.computed, p.computed_std) for p in points]
    predicted = [Point(p.predicted, p.low, p.high) for p in points]
    if points:
        axis = axis_of([*computed, *predicted], log=log)
        figure.add_scatter(
            x=[axis.low, axis.high],
            y=[axis.low, axis.high],
            mode="lines",
            name="equal",
            showlegend=False,
            line={"color": GREY, "width": 1, "dash": "dash"},
        )
        figure.update_xaxes(range=axis.range)
        figure.update_yaxes(range=axis.range)
        for audit, name, colour in ((False, "chosen", BLUE), (True, "audit (random)", ORANGE)):
            chosen = [i for i, p in enumerate(points) if p.audit is audit]
            if chosen:
                figure.add_scatter(
                    x=[computed[i].value for i in chosen],
                    y=[predicted[i].value for i in chosen],
                    text=[points[i].label for i in chosen],
                    mode="markers",
                    name=name,
                    marker={"color": colour, "size": 8, "symbol": "circle"},
                    error_x=bars([computed[i] for i in chosen], axis, colour),
                    error_y=bars([predicted[i] for i in chosen], axis, colour),
                )
        mark_cuts(figure, computed, predicted, axis, axis)
    look(figure, f"computed {quantity}", f"predicted {quantity}", title=title, log_x=log, log_y=log)
    figure.update_layout(width=620, height=660)
    return figure


def is_wide(values: Sequence[float]) -> bool:
    """Whether values are positive and span a factor that calls for a logarithmic axis."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > _LOG_SPAN
