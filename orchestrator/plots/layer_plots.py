"""Plots of layer sequences: their layers and their phonon transmission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from orchestrator.plots.plots import BLUE, GREY, ORANGE

Array = NDArray[np.float64]
_COLOURS = (BLUE, ORANGE, "#2e8b57", "#8e44ad", "#c0392b", "#c8a415")
_LEAD_LAYERS = 2  # layers drawn of each lead
_WIDTH, _MARGIN = 720, 150  # pixels
_COUNTED = 20  # layers up to which every layer has a tick


def drawn_layers(
    designs: Sequence[tuple[str, str]],
    *,
    names: Mapping[str, str],
    leads: tuple[str, str] | None = None,
    quantity: str = "",
) -> go.Figure:
    """Designs as rows of coloured layers, the best on top.

    Args:
        designs: axis label and sequence of each design.
        names: name by letter; letters without a name are shown themselves.
        leads: letters of the two leads, drawn half as large on either side.
        quantity: name and unit of the values in the axis labels.
    """
    figure = go.Figure()
    length = max(len(sequence) for _, sequence in designs)
    letters = sorted({*"".join(sequence for _, sequence in designs), *(leads or ())})
    colours = {letter: _COLOURS[k % len(_COLOURS)] for k, letter in enumerate(letters)}
    cells = length + 2 * _LEAD_LAYERS + 1
    size = min(28.0, (_WIDTH - _MARGIN) / cells)
    rows = list(range(len(designs)))[::-1]
    for letter in letters:
        places = [
            (layer, row)
            for row, (_, sequence) in zip(rows, designs, strict=True)
            for layer, each in enumerate(sequence, start=1)
            if each == letter
        ]
        figure.add_scatter(
            x=[x for x, _ in places],
            y=[y for _, y in places],
            mode="markers",
            name=names.get(letter, letter),
            marker={"color": colours[letter], "size": size, "symbol": "square"},
        )
    if leads is not None:
        _add_leads(figure, designs, rows, leads, colours, size)
    figure.update_layout(
        title={"text": f"best designs by {quantity}" if quantity else "best designs"},
        template="plotly_white",
        width=_WIDTH,
        height=int(120 + (size + 10) * len(designs)),
        margin={"l": _MARGIN - 30, "r": 20, "t": 60, "b": 50},
    )
    figure.update_xaxes(
        title={"text": "layer"},
        range=[-_LEAD_LAYERS, length + _LEAD_LAYERS + 1],
        showgrid=False,
        tickvals=list(range(1, length + 1, 1 if length <= _COUNTED else 5)),
    )
    figure.update_yaxes(
        range=[-0.7, len(designs) - 0.3],
        tickvals=rows,
        ticktext=[label for label, _ in designs],
        showgrid=False,
    )
    return figure


def _add_leads(
    figure: go.Figure,
    designs: Sequence[tuple[str, str]],
    rows: Sequence[int],
    leads: tuple[str, str],
    colours: Mapping[str, str],
    size: float,
) -> None:
    for side, letter in enumerate(leads):
        places = [
            (-k if side == 0 else len(sequence) + 1 + k, row)
            for row, (_, sequence) in zip(rows, designs, strict=True)
            for k in range(_LEAD_LAYERS)
        ]
        figure.add_scatter(
            x=[x for x, _ in places],
            y=[y for _, y in places],
            mode="markers",
            showlegend=False,
            marker={"color": colours[letter], "size": size / 2, "symbol": "square"},
        )


def transmission(frequency: Array, design: Array, lead: Array | None, *, title: str) -> go.Figure:
    """Transmission of one design, drawn over that of its left lead if that is known.

    Args:
        frequency: (n,), THz.
        design: (n,), transmission per cell of the interface, averaged over transverse wave vectors.
        lead: (n,), that of the lead alone, which is its upper bound; None: not drawn.
        title: title of the figure.
    """
    figure = go.Figure()
    if lead is not None:
        figure.add_scatter(
            x=frequency, y=lead, mode="lines", name="lead alone", line={"color": GREY}
        )
    figure.add_scatter(
        x=frequency, y=design, mode="lines", name="design", fill="tozeroy", line={"color": BLUE}
    )
    figure.update_layout(
        title={"text": title},
        template="plotly_white",
        width=_WIDTH,
        height=420,
        margin={"l": 70, "r": 20, "t": 60, "b": 60},
    )
    figure.update_xaxes(title={"text": "frequency (THz)"}, rangemode="tozero")
    figure.update_yaxes(title={"text": "transmission (modes per cell)"}, rangemode="tozero")
    return figure
