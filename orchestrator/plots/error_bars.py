"""Error bars that end where their axis does, and axes that follow from points, not from bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

_ROOM = 0.06  # of the span of the points, left free on both sides
_REACH = 0.5  # of that span, or of the largest value, which bars may add on either side
_FACTOR = 2.0  # span of a logarithmic axis around a single value
_LONGEST = 3.0  # factor by which bars may always widen a logarithmic axis
CUT = "bar is longer"
"""Name of the arrow heads at the ends of bars that are longer than their axis."""


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
        """One standard error to both sides; without a bar where that is unknown or no number."""
        if std is None or math.isnan(std) or std <= 0:
            return cls(value)
        return cls(value, value - std, value + std)


@dataclass(frozen=True)
class Axis:
    """Limits of an axis in the values' unit, and whether it is logarithmic."""

    low: float
    high: float
    log: bool

    @property
    def range(self) -> list[float]:
        """As plotly wants it: exponents of ten on a logarithmic axis."""
        return [math.log10(self.low), math.log10(self.high)] if self.log else [self.low, self.high]

    def widened_below(self, share: float) -> tuple[float, Axis]:
        """A place below all that is drawn, and the axis that holds it.

        Args:
            share: of the span that is added.
        """
        low, high = self.range
        step = share * (high - low)
        place, end = low - 0.4 * step, low - step
        if self.log:
            return 10**place, Axis(10**end, self.high, self.log)
        return place, Axis(end, self.high, self.log)


def axis_of(points: Sequence[Point], *, log: bool) -> Axis:
    """The axis on which all points and as much of their bars as is sensible can be seen.

    Bars widen it by at most half the span of the points or half the largest of them (on a
    logarithmic axis, half the span of their logarithms or a factor of 3); what reaches further
    is cut.

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
    """Plotly's error bars of points, within the axis; empty where no point has one."""
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
    """Arrow heads at the edges where a bar goes on.

    Args:
        figure: they are added to.
        x: (n,) points.
        y: (n,) points.
        x_axis: None where x has no bars.
        y_axis: of y.
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
    """Edges at which the bar of a point is cut, and the way in which it would go on."""
    found = []
    if point.low is not None and point.low < axis.low:
        found.append((axis.low, low))
    if point.high is not None and point.high > axis.high:
        found.append((axis.high, high))
    return found


def _scaled(value: float, log: bool) -> float:
    if not log:
        return value
    return math.log10(value) if value > 0 else -math.inf
