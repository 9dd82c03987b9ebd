"""The plots of a round, from plain data to plotly figures.

pymatviz draws phonon bands as well, but sorts the segments of a path by their labels and merges
the two points where a path jumps, so bands are drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

Array = NDArray[np.float64]

BLUE, ORANGE, GREY, RED = "#1f5fa8", "#e07b00", "#8a8f98", "#c0392b"
_LOG_SPAN = 8.0  # ratio of largest to smallest value from which an axis is logarithmic
_COUNTED = 15  # trials up to which each has its own tick
_IMAGINARY = -0.05  # THz; what lies below is drawn as imaginary


@dataclass(frozen=True)
class TrialPoint:
    """One trial in the order of the campaign.

    Args:
        label: shown when pointed at.
        value: the objective's property, or None when the trial was unstable or failed.
        allowed: whether it satisfies the constraints and so can be the best.
    """

    label: str
    value: float | None
    allowed: bool = True


@dataclass(frozen=True)
class ParityPoint:
    """A prediction made before its trial, and what the trial gave.

    Args:
        label: shown when pointed at.
        computed: value of the oracle.
        computed_std: its standard error, or None.
        predicted: median of the prediction.
        low: one standard deviation below, in the scale of the model.
        high: one standard deviation above.
        audit: whether the trial was drawn at random; only those measure calibration.
    """

    label: str
    computed: float
    computed_std: float | None
    predicted: float
    low: float
    high: float
    audit: bool = False


@dataclass(frozen=True)
class Bands:
    """Phonon bands along a path, as phonopy gives them.

    Args:
        distances: one array (n_q,) per segment.
        frequencies: one array (n_q, n_bands) per segment, THz; imaginary ones negative.
        labels: of the segments' ends; a segment that continues in the next has no end of its own.
        connections: whether each segment continues in the next.
    """

    distances: Sequence[Array]
    frequencies: Sequence[Array]
    labels: Sequence[str]
    connections: Sequence[bool]


def best_so_far(
    trials: Sequence[TrialPoint],
    *,
    goal: str,
    target: float | None = None,
    log: bool = False,
    quantity: str,
) -> go.Figure:
    """Every trial, and the best of those so far.

    Args:
        trials: in order.
        goal: ``minimize``, ``maximize`` or ``target``.
        target: with goal ``target``.
        log: whether the objective is modelled on a logarithmic scale: distances from the target
            are then ratios, and values that are not positive cannot lead.
        quantity: name and unit for the axis, for instance ``kappa (W/m/K)``.
    """
    figure = go.Figure()
    number = list(range(1, len(trials) + 1))
    values = [t.value for t in trials]
    known = [v for v in values if v is not None]
    for allowed, name, colour in ((True, "measured", BLUE), (False, "outside constraints", GREY)):
        chosen = [i for i, t in enumerate(trials) if t.value is not None and t.allowed is allowed]
        if chosen:
            figure.add_scatter(
                x=[number[i] for i in chosen],
                y=[values[i] for i in chosen],
                text=[trials[i].label for i in chosen],
                mode="markers",
                name=name,
                marker={"color": colour, "size": 8, "symbol": "circle"},
            )
    leaders = _leaders(trials, goal, target, log=log)
    if leaders:
        figure.add_scatter(
            x=[i + 1 for i, _ in leaders] + [len(trials)],
            y=[v for _, v in leaders] + [leaders[-1][1]],
            mode="lines",
            name="best so far",
            line={"color": ORANGE, "width": 2.5, "shape": "hv"},
        )
    _mark_missing(figure, trials, known)
    if target is not None:
        figure.add_hline(y=target, line={"color": GREY, "width": 1, "dash": "dash"})
    _axes(figure, "trial", quantity, log_y=_wide(known))
    figure.update_xaxes(range=[0.5, max(len(trials), 1) + 0.5])
    if len(trials) <= _COUNTED:
        figure.update_xaxes(dtick=1)
    return figure


def _mark_missing(figure: go.Figure, trials: Sequence[TrialPoint], known: list[float]) -> None:
    """Crosses below all values for the trials without one."""
    missing = [i for i, t in enumerate(trials) if t.value is None]
    if not missing or not known:
        return
    low, high = min(known), max(known)
    below = low / 1.6 if _wide(known) else low - 0.1 * ((high - low) or abs(low))
    figure.add_scatter(
        x=[i + 1 for i in missing],
        y=[below] * len(missing),
        text=[trials[i].label for i in missing],
        mode="markers",
        name="unstable or failed",
        marker={"color": RED, "size": 8, "symbol": "x"},
    )


def parity(points: Sequence[ParityPoint], *, quantity: str) -> go.Figure:
    """Predicted against computed values, with the errors of both.

    Args:
        points: one per trial with a prediction.
        quantity: name and unit for both axes.
    """
    figure = go.Figure()
    everything = [v for p in points for v in (p.computed, p.predicted, p.low, p.high)]
    log = _wide([v for p in points for v in (p.computed, p.predicted)])
    if everything:
        low, high = _margins([v for v in everything if v > 0] if log else everything, log=log)
        figure.add_scatter(
            x=[low, high],
            y=[low, high],
            mode="lines",
            name="equal",
            showlegend=False,
            line={"color": GREY, "width": 1, "dash": "dash"},
        )
        limits = [math.log10(low), math.log10(high)] if log else [low, high]
        figure.update_xaxes(range=limits)
        figure.update_yaxes(range=limits)
    for audit, name, colour in ((False, "chosen", BLUE), (True, "audit (random)", ORANGE)):
        chosen = [p for p in points if p.audit is audit]
        if chosen:
            figure.add_scatter(
                x=[p.computed for p in chosen],
                y=[p.predicted for p in chosen],
                text=[p.label for p in chosen],
                mode="markers",
                name=name,
                marker={"color": colour, "size": 8, "symbol": "circle"},
                error_x={"array": [p.computed_std or 0.0 for p in chosen], "color": colour},
                error_y={
                    "array": [p.high - p.predicted for p in chosen],
                    "arrayminus": [p.predicted - p.low for p in chosen],
                    "symmetric": False,
                    "color": colour,
                },
            )
    _axes(figure, f"computed {quantity}", f"predicted {quantity}", log_x=log, log_y=log)
    figure.update_layout(width=600, height=620)
    return figure


def bands_and_dos(bands: Bands, dos_frequency: Array, dos: Array, *, title: str) -> go.Figure:
    """Phonon bands along their path beside the density of states; imaginary modes are red.

    Args:
        bands: along the path.
        dos_frequency: (n,) THz.
        dos: (n,) density of states, arbitrary units.
        title: for instance the formula.
    """
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes=True, column_widths=[0.78, 0.22], horizontal_spacing=0.03
    )
    for distance, frequencies in zip(bands.distances, bands.frequencies, strict=True):
        for branch in np.asarray(frequencies).T:
            imaginary = branch.min() < _IMAGINARY
            figure.add_scatter(
                x=np.asarray(distance).tolist(),
                y=branch.tolist(),
                mode="lines",
                showlegend=False,
                line={"color": RED if imaginary else BLUE, "width": 1.5},
                row=1,
                col=1,
            )
    figure.add_scatter(
        x=np.asarray(dos).tolist(),
        y=np.asarray(dos_frequency).tolist(),
        mode="lines",
        showlegend=False,
        line={"color": BLUE, "width": 1.5},
        fill="tozerox",
        row=1,
        col=2,
    )
    ticks = _ticks(bands)
    for position, _ in ticks:
        figure.add_vline(x=position, line={"color": GREY, "width": 0.8}, row=1, col=1)
    lowest = min(float(np.min(f)) for f in bands.frequencies)
    highest = max(float(np.max(f)) for f in bands.frequencies)
    if lowest < _IMAGINARY:
        figure.add_hline(y=0, line={"color": GREY, "width": 0.8}, row=1, col=1)
    _axes(figure, "", "")
    figure.update_layout(title=title)
    bottom = 1.05 * lowest if lowest < _IMAGINARY else 0.0
    figure.update_yaxes(range=[bottom, 1.05 * highest])
    figure.update_yaxes(title="frequency (THz)", col=1)
    figure.update_xaxes(
        tickvals=[p for p, _ in ticks],
        ticktext=[label for _, label in ticks],
        range=[ticks[0][0], ticks[-1][0]],
        col=1,
    )
    inside = np.asarray(dos)[np.asarray(dos_frequency) >= bottom]
    figure.update_xaxes(
        title="DOS", tickvals=[], range=[0.0, 1.05 * float(np.max(inside, initial=1e-12))], col=2
    )
    return figure


def cumulative_kappa(
    frequency: Array, cumulative: Array, *, temperature: float, title: str
) -> go.Figure:
    """How much of kappa is carried by modes below a frequency.

    Args:
        frequency: (n,) THz.
        cumulative: (n,) W/m/K, a third of the trace.
        temperature: K.
        title: for instance the formula.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=np.asarray(frequency).tolist(),
        y=np.asarray(cumulative).tolist(),
        mode="lines",
        name="cumulative",
        showlegend=False,
        line={"color": BLUE, "width": 2.5},
    )
    total = float(np.asarray(cumulative)[-1])
    figure.add_hline(y=total, line={"color": GREY, "width": 1, "dash": "dash"})
    half = float(np.interp(total / 2, cumulative, frequency))
    figure.add_scatter(
        x=[half],
        y=[total / 2],
        mode="markers",
        name=f"half of {total:.3g} W/m/K below {half:.2f} THz",
        marker={"color": ORANGE, "size": 9, "symbol": "circle"},
    )
    _axes(figure, "frequency (THz)", f"cumulative kappa at {temperature:g} K (W/m/K)")
    figure.update_layout(title=title)
    figure.update_xaxes(range=[0.0, float(np.max(frequency))])
    figure.update_yaxes(range=[0.0, 1.08 * total])
    return figure


def _leaders(
    trials: Sequence[TrialPoint], goal: str, target: float | None, *, log: bool
) -> list[tuple[int, float]]:
    """(index, value) of each trial that was the best when it came."""

    def merit(value: float) -> float:
        if goal in ("minimize", "maximize"):
            return value if goal == "minimize" else -value
        if target is None:
            raise ValueError(f"goal: given {goal!r} without a target; expected one")
        return abs(math.log(value / target)) if log else abs(value - target)

    found: list[tuple[int, float]] = []
    best = math.inf
    for index, trial in enumerate(trials):
        if trial.value is None or not trial.allowed or (log and trial.value <= 0):
            continue
        if merit(trial.value) < best:
            best = merit(trial.value)
            found.append((index, trial.value))
    return found


def _ticks(bands: Bands) -> list[tuple[float, str]]:
    """Positions and labels of the path's special points; where it jumps, both labels."""
    labels = iter(bands.labels)
    ticks: list[tuple[float, str]] = []
    connected = False
    for distance, connection in zip(bands.distances, bands.connections, strict=True):
        if not connected:
            start, label = float(distance[0]), _pretty(next(labels))
            if ticks and math.isclose(ticks[-1][0], start, abs_tol=1e-8):
                ticks[-1] = (start, f"{ticks[-1][1]}|{label}")
            else:
                ticks.append((start, label))
        ticks.append((float(distance[-1]), _pretty(next(labels))))
        connected = connection
    return ticks


def _pretty(label: str) -> str:
    name = label.replace("$", "").replace("\\Gamma", "Γ").replace("\\mathrm", "").strip("{}")
    return "Γ" if name.upper() in ("GAMMA", "G") else name.replace("_{", "").replace("_", "")


def _wide(values: Sequence[float]) -> bool:
    return bool(values) and min(values) > 0 and max(values) / min(values) > _LOG_SPAN


def _margins(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    """Limits with a little room around the values."""
    low, high = min(values), max(values)
    if log:
        room = (high / low) ** 0.05
        return low / room, high * room
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def _axes(figure: go.Figure, x: str, y: str, *, log_x: bool = False, log_y: bool = False) -> None:
    """The look that all plots share."""
    figure.update_layout(
        template="simple_white",
        width=720,
        height=480,
        margin={"l": 70, "r": 20, "t": 50, "b": 60},
        legend={"orientation": "h", "x": 0.0, "y": 1.02, "yanchor": "bottom"},
    )
    figure.update_xaxes(title=x, type="log" if log_x else "linear")
    figure.update_yaxes(title=y, type="log" if log_y else "linear")
