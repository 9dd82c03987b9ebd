"""Plotly figures of phonon bands and cumulative kappa, and the style that all plots share.

pymatviz draws phonon bands as well, but sorts the segments of a path by their labels and merges
the two points where a path jumps, so bands are drawn here.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from oracle.contract.property_table import spec_of

Array = NDArray[np.float64]

BLUE, ORANGE, GREY, RED = "#1f5fa8", "#e07b00", "#8a8f98", "#c0392b"
_ALL = 0.995  # a curve that reaches this share of kappa is regarded as complete
_IMAGINARY = -0.05  # THz; bands that reach below are drawn as imaginary


@dataclass(frozen=True)
class Bands:
    """Phonon bands along a path, in phonopy's form.

    Args:
        distances: one array (n_q,) per segment.
        frequencies: one array (n_q, n_bands) per segment, THz; imaginary ones negative.
        labels: of the ends of segments; a segment and its continuation share one.
        connections: whether each segment continues in the next.
    """

    distances: Sequence[Array]
    frequencies: Sequence[Array]
    labels: Sequence[str]
    connections: Sequence[bool]


def bands_and_dos(bands: Bands, dos_frequency: Array, dos: Array, *, title: str) -> go.Figure:
    """Phonon bands along their path beside the density of states; imaginary modes are red.

    Args:
        bands: along the path.
        dos_frequency: (n,) THz.
        dos: (n,) density of states, arbitrary units.
        title: title of the figure, for instance the formula.
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
    look(figure, "", "", title=title)
    figure.update_layout(margin={"t": 60})
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
    frequency: Array,
    cumulative: Array,
    *,
    temperature: float,
    title: str,
    total: float | None = None,
    part: str = "particle-like part",
) -> go.Figure:
    """The part of kappa that is carried by modes below a frequency.

    Args:
        frequency: (n,) THz.
        cumulative: (n,) W/m/K, a third of the trace of the tensor.
        temperature: K.
        title: title of the figure, for instance the formula.
        total: total kappa, W/m/K; None: the end of the curve.
        part: the contribution to kappa that the curve shows, named if it ends below the total.
    """
    figure, kappa = go.Figure(), spec_of("kappa")
    end = float(np.asarray(cumulative)[-1])
    whole = end if total is None else total
    complete = end >= _ALL * whole
    figure.add_scatter(
        x=np.asarray(frequency).tolist(),
        y=np.asarray(cumulative).tolist(),
        mode="lines",
        name=f"all of {kappa.axis}" if complete else part,
        showlegend=not complete,
        line={"color": BLUE, "width": 2.5},
    )
    figure.add_hline(y=whole, line={"color": GREY, "width": 1, "dash": "dash"})
    half = float(np.interp(end / 2, cumulative, frequency))
    figure.add_scatter(
        x=[half],
        y=[end / 2],
        mode="markers",
        name=f"half of {end:.3g} {kappa.unit} below {half:.2f} THz",
        marker={"color": ORANGE, "size": 9, "symbol": "circle"},
    )
    note = "" if complete else f"{part} only, {end:.3g} of {whole:.3g} {kappa.unit}"
    quantity = f"cumulative {kappa.axis} at {temperature:g} K ({kappa.unit})"
    look(figure, "frequency (THz)", quantity, title=title, note=note)
    figure.update_xaxes(range=[0.0, float(np.max(frequency))])
    figure.update_yaxes(range=[0.0, 1.08 * max(whole, end)])
    return figure


def _ticks(bands: Bands) -> list[tuple[float, str]]:
    """Positions and labels of the high-symmetry points; both labels where the path jumps."""
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


def look(
    figure: go.Figure,
    x: str,
    y: str,
    *,
    title: str = "",
    note: str = "",
    log_x: bool = False,
    log_y: bool = False,
) -> None:
    """Apply the style that all plots share.

    Args:
        figure: changed in place.
        x: title of the x axis.
        y: title of the y axis.
        title: title of the figure; may contain any character, as names come from the user.
        note: a smaller line below the title.
        log_x: whether the x axis is logarithmic.
        log_y: whether the y axis is logarithmic.
    """
    text = html.escape(title, quote=False)
    if note:
        text += f"<br><sup>{html.escape(note, quote=False)}</sup>"
    figure.update_layout(
        template="simple_white",
        title={
            "text": text,
            "x": 0.0,
            "xref": "paper",
            "y": 0.93 if note else 0.97,
            "yanchor": "top",
        },
        modebar={"orientation": "v"},  # beside the plot, not over its title
        width=720,
        height=500,
        margin={"l": 95, "r": 20, "t": 110, "b": 60},
        legend={"orientation": "h", "x": 0.0, "y": 1.02, "yanchor": "bottom"},
    )
    # By default Plotly writes 1e9 as 1B.
    figure.update_xaxes(title=x, type="log" if log_x else "linear", exponentformat="e")
    figure.update_yaxes(title=y, type="log" if log_y else "linear", exponentformat="e")
