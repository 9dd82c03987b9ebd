"""Error bars cut at the ends of their axis, and axes chosen by the points rather than the bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

_ROOM = 0.06  # free space on both sides, relative to the span of the points
_REACH = 0.5  # how far bars may widen an axis, relative to that span or to the largest value
_FACTOR = 2.0  # factor spanned by a logarithmic axis around a single value
_LONGEST = 3.0  # factor by which bars may always widen a logarithmic axis
CUT = "bar is longer"
"""Legend entry of the arrow heads where bars are cut at the end of the axis."""


@dataclass(frozen=True)
class Point:
    """A value with the ends of its error bar.

    Args:
        value: finite.
        low: lower end, or None without a bar.
        high: upper end, or None without a bar.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def symmetric(cls, value: float, std: float | None) -> Point:
        """A bar of one standard error to both sides; none if that is unknown or not positive."""
        if std is None or math.isnan(std) or std <= 0:
            return cls(value)
        return cls(value, value - std, value + std)


@dataclass(frozen=True)
class Axis:
    """Limits of an axis, in the unit of the values, and whether it is logarithmic."""

    low: float
    high: float
    log: bool

    @property
    def range(self) -> list[float]:
        """The limits as Plotly expects them: exponents of ten on a logarithmic axis."""
        return [math.log10(self.low), math.log10(self.high)] if self.log else [self.low, self.high]

    def widened_below(self, share: float) -> tuple[float, Axis]:
        """A position below everything drawn, and an axis that includes it.

        Args:
            share: length added to the axis, relative to its span.
        """
        low, high = self.range
        step = share * (high - low)
        position, end = low - 0.4 * step, low - step
        if self.log:
            return 10**position, Axis(10**end, self.high, self.log)
        return position, Axis(end, self.high, self.log)


def axis_of(points: Sequence[Point], *, log: bool) -> Axis:
    """An axis that shows all points, and their bars as far as is sensible.

    Bars widen it by at most half the span of the points or half the largest value (on a
    logarithmic axis, half the span of the logarithms or a factor of 3); longer bars are cut.

    Args:
        points: at least one; on a logarithmic axis all positive.
        log: whether the axis is logarithmic.
    """
    values = [_scaled(p.value, log) for p in points]
    low, high = min(values), max(values)
    least = math.log10(_FACTOR) if log else 0.2 * max(abs(low), abs(high)) or 1.0
    span = max(high - low, least)
    middle = (low + high) / 2
    low, high = min(low, middle - span / 2), max(high, middle + span / 2)
    ends = [_scaled(end, log) for p in points for end in (p.low, p.high) if end is not None]
    always = math.log10(_LONGEST) if log else _REACH * max(abs(low), abs(high))
    reach = max(_REACH * span, always)
    bottom = max(min([low, *ends]), low - reach) - _ROOM * span
    top = min(max([high, *ends]), high + reach) + _ROOM * span
    return Axis(10**bottom, 10**top, log) if log else Axis(bottom, top, log)


def bars(points: Sequence[Point], axis: Axis, colour: str) -> dict[str, Any]:
    """Plotly's error bars of the points, cut at the axis; empty if no point has one."""
    if all(p.low is None for p in points):
        return {}
    upper = [0.0 if p.high is None else min(p.high, axis.high) - p.value for p in points]
    lower = [0.0 if p.low is None else p.value - max(p.low, axis.low) for p in points]
    return {
        "array": [max(u, 0.0) for u in upper],
        "arrayminus": [max(low, 0.0) for low in lower],
        "symmetric": False,
        "color": colour,
        "thickness": 1,
        "width": 3,
    }


def mark_cuts(
    figure: go.Figure, x: Sequence[Point], y: Sequence[Point], x_axis: Axis | None, y_axis: Axis
) -> None:
    """Draw arrow heads at the edges of the plot where bars are cut.

    Args:
        figure: changed in place.
        x: (n,) points.
        y: (n,) points.
        x_axis: axis of x; None if x has no bars.
        y_axis: axis of y.
    """
    heads: list[tuple[float, float, str]] = []
    for px, py in zip(x, y, strict=True):
        heads += [
            (px.value, edge, f"triangle-{way}") for edge, way in _cut(py, y_axis, "down", "up")
        ]
        if x_axis is not None:
            heads += [
                (edge, py.value, f"triangle-{way}")
                for edge, way in _cut(px, x_axis, "left", "right")
            ]
    for number, symbol in enumerate(sorted({symbol for _, _, symbol in heads})):
        chosen = [head for head in heads if head[2] == symbol]
        figure.add_scatter(
            x=[head[0] for head in chosen],
            y=[head[1] for head in chosen],
            mode="markers",
            name=CUT,
            legendgroup=CUT,
            showlegend=number == 0,
            hoverinfo="skip",
            marker={"color": "#8a8f98", "size": 7, "symbol": symbol},
            cliponaxis=False,
        )


def _cut(point: Point, axis: Axis, low: str, high: str) -> list[tuple[float, str]]:
    """Edges at which the bar of a point is cut, and the direction in which it would continue."""
    edges = []
    if point.low is not None and point.low < axis.low:
        edges.append((axis.low, low))
    if point.high is not None and point.high > axis.high:
        edges.append((axis.high, high))
    return edges


def _scaled(value: float, log: bool) -> float:
    if not log:
        return value
    return math.log10(value) if value > 0 else -math.inf
