"""The Pareto front of a campaign with several objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from orchestrator.plots.plots import BLUE, GREY, look
from orchestrator.plots.trial_plots import is_wide


@dataclass(frozen=True)
class FrontPoint:
    """A candidate with values of two objectives.

    Args:
        label: text shown under the mouse pointer.
        x: value of the first.
        y: value of the second.
        best: whether no other candidate dominates it.
    """

    label: str
    x: float
    y: float
    best: bool


def front(points: Sequence[FrontPoint], *, x: str, y: str, title: str = "") -> go.Figure:
    """All candidates by two objectives; those on the front are filled and joined by a line.

    With more than two objectives, the line joins candidates that a third one may have put there.

    Args:
        points: of the candidates.
        x: first quantity with its unit.
        y: second quantity with its unit.
        title: of the figure.
    """
    figure = go.Figure()
    best = sorted((p for p in points if p.best), key=lambda p: (p.x, p.y))
    others = [p for p in points if not p.best]
    if others:
        figure.add_scatter(
            x=[p.x for p in others],
            y=[p.y for p in others],
            text=[p.label for p in others],
            mode="markers",
            name="dominated",
            marker={"color": GREY, "size": 7, "symbol": "circle-open"},
        )
    if best:
        figure.add_scatter(
            x=[p.x for p in best],
            y=[p.y for p in best],
            text=[p.label for p in best],
            mode="lines+markers",
            name="Pareto front",
            line={"color": BLUE, "width": 1, "dash": "dot"},
            marker={"color": BLUE, "size": 9, "symbol": "circle"},
        )
    log_x, log_y = (is_wide(values) for values in ([p.x for p in points], [p.y for p in points]))
    look(figure, x, y, title=title, log_x=log_x, log_y=log_y)
    return figure
