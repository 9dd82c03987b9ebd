"""Writes Plotly figures as interactive pages and as pictures.

Plotly needs a browser to write pictures, which servers often lack; here matplotlib draws the same
traces. Only those features of Plotly are supported that other modules of this room use.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import plotly.io
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MultipleLocator, NullFormatter

from oracle.runtime.files import write_whole

_DPI = 100
_DASHES = {None: "-", "solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
_SYMBOLS = {
    None: "o",
    "circle": "o",
    "circle-open": "o",
    "diamond": "D",
    "square": "s",
    "star": "*",
    "triangle-down": "v",
    "triangle-left": "<",
    "triangle-right": ">",
    "triangle-up": "^",
    "x": "x",
}
_SMALLER = re.compile(r"<sup>(.*?)</sup>")
_LETTERS = 100  # characters in one row of a legend
_STEPS = {"hv": "steps-post", "vh": "steps-pre"}
_SHADE = 0.25  # opacity of filled areas
_ONE_DECADE = 40.0  # axes that span a smaller factor also get ticks between the powers of ten


def write_figures(
    figures: Mapping[str, go.Figure], folder: Path, page: str, heading: str = ""
) -> list[Path]:
    """Write one picture per figure, and one page with all of them that needs no network.

    Args:
        figures: by the name of the picture without its suffix.
        folder: folder of the files; created if missing.
        page: file name of the page, which contains Plotly's script (4.5 MB).
        heading: heading of the page; by default the names of the figures.

    Returns:
        Paths of the pictures, then of the page.
    """
    paths = [folder / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        write_whole(path, _picture(figure))
    write_whole(folder / page, _page(figures, heading))
    return [*paths, folder / page]


def _page(figures: Mapping[str, go.Figure], heading: str = "") -> bytes:
    parts = [
        plotly.io.to_html(
            figure,
            config={"displaylogo": False},
            full_html=False,
            include_plotlyjs=index == 0,
            div_id=name,
        )
        for index, (name, figure) in enumerate(figures.items())
    ]
    title = html.escape(heading or ", ".join(figures))
    head = f'<!DOCTYPE html><html><head><meta charset="utf-8"><title>{title}</title></head>'
    body = f'<body style="font-family: sans-serif; margin: 2em"><h1>{title}</h1>{"".join(parts)}'
    return f"{head}{body}</body></html>\n".encode()


def _picture(figure: go.Figure) -> bytes:
    """The figure as PNG."""
    layout = figure.layout
    width, height = layout.width or 720, layout.height or 480
    canvas = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    FigureCanvasAgg(canvas)
    margin = layout.margin
    left, bottom = (margin.l or 70) / width, (margin.b or 60) / height
    right, top = 1 - (margin.r or 20) / width, 1 - (margin.t or 50) / height
    panels: dict[tuple[str, str], Axes] = {}
    for trace in figure.data or (go.Scatter(x=[], y=[]),):
        x_name, y_name = trace.xaxis or "x", trace.yaxis or "y"
        if (x_name, y_name) not in panels:
            panels[x_name, y_name] = _panel(
                canvas, _axis(layout, x_name), _axis(layout, y_name), (left, bottom, right, top)
            )
        _draw(panels[x_name, y_name], trace)
    for shape in layout.shapes:
        _draw_shape(panels, shape)
    for (x_name, y_name), axes in panels.items():
        _finish(axes, _axis(layout, x_name), _axis(layout, y_name))
    _legend(canvas, list(panels.values()), left, top)
    _title(canvas, layout.title.text or "", left)
    stream = io.BytesIO()
    canvas.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _title(canvas: Figure, text: str, left: float) -> None:
    """Draw the title, and below it the note that Plotly sets in small type."""
    note = _SMALLER.search(text)
    title = _SMALLER.sub("", text).replace("<br>", "")
    lines = ((0.98, 12, title), (0.935, 9, note[1] if note else ""))
    for height, size, line in lines:
        plain = html.unescape(line).replace("$", r"\$")  # matplotlib takes $ for mathematics
        canvas.text(left, height, plain, ha="left", va="top", fontsize=size)


def _axis(layout: Any, name: str) -> Any:
    """The axis object named ``x``, ``y2``, ..."""
    return layout[f"{name[0]}axis{name[1:]}"]


def _panel(
    canvas: Figure, x_axis: Any, y_axis: Any, inside: tuple[float, float, float, float]
) -> Axes:
    """Matplotlib axes for the domains of two Plotly axes, within (left, bottom, right, top)."""
    left, bottom, right, top = inside
    (x0, x1), (y0, y1) = x_axis.domain or (0, 1), y_axis.domain or (0, 1)
    width, height = right - left, top - bottom
    axes = canvas.add_axes(
        (left + x0 * width, bottom + y0 * height, (x1 - x0) * width, (y1 - y0) * height)
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xscale(x_axis.type or "linear")
    axes.set_yscale(y_axis.type or "linear")
    return axes


def _draw(axes: Axes, trace: Any) -> None:
    """Draw one scatter trace."""
    mode = trace.mode or "lines"
    colour = trace.marker.color if "markers" in mode else trace.line.color
    style = {
        "linestyle": _DASHES[trace.line.dash] if "lines" in mode else "",
        "linewidth": trace.line.width or 1.5,
        "solid_capstyle": "butt",  # else lines end beyond their points
        "drawstyle": _STEPS.get(trace.line.shape, "default"),
        "marker": _SYMBOLS[trace.marker.symbol] if "markers" in mode else "",
        "markersize": (trace.marker.size or 6) * 0.75,
        "color": colour,
    }
    if str(trace.marker.symbol or "").endswith("-open"):
        style["markerfacecolor"] = "none"
    if trace.cliponaxis is False:
        style["clip_on"] = False
    label = trace.name if trace.showlegend is not False and trace.name else "_hidden"
    x, y = list(trace.x), list(trace.y)
    if trace.error_x.array is not None or trace.error_y.array is not None:
        axes.errorbar(
            x, y, xerr=_bars(trace.error_x), yerr=_bars(trace.error_y), label=label,
            elinewidth=1.0, **style,
        )  # fmt: skip
    else:
        axes.plot(x, y, label=label, **style)
    if trace.fill == "tozerox":
        axes.fill_betweenx(y, 0, x, color=colour, alpha=_SHADE, linewidth=0)
    elif trace.fill == "tozeroy":
        axes.fill_between(x, 0, y, color=colour, alpha=_SHADE, linewidth=0)


def _bars(error: Any) -> list[list[float]] | None:
    """Lower and upper lengths of error bars."""
    if error.array is None:
        return None
    upper = [float(value) for value in error.array]
    lower = upper if error.arrayminus is None else [float(value) for value in error.arrayminus]
    return [lower, upper]


def _draw_shape(panels: Mapping[tuple[str, str], Axes], shape: Any) -> None:
    """Draw a line across one panel, from Plotly's ``add_vline`` or ``add_hline``."""
    x_name = (shape.xref or "x").removesuffix(" domain")
    y_name = (shape.yref or "y").removesuffix(" domain")
    axes = panels[x_name, y_name]
    style = {
        "color": shape.line.color,
        "linewidth": shape.line.width or 1.0,
        "linestyle": _DASHES[shape.line.dash],
        "zorder": 0.5,
    }
    if shape.x0 == shape.x1:
        axes.axvline(shape.x0, **style)
    else:
        axes.axhline(shape.y0, **style)


def _finish(axes: Axes, x_axis: Any, y_axis: Any) -> None:
    """Set limits, ticks and titles; done last, since drawing changes them."""
    axes.set_xlabel(x_axis.title.text or "")
    axes.set_ylabel(y_axis.title.text or "")
    for source, drawn in ((x_axis, axes.xaxis), (y_axis, axes.yaxis)):
        if source.range is not None:
            low, high = (10**v if source.type == "log" else v for v in source.range)
            (axes.set_xlim if drawn is axes.xaxis else axes.set_ylim)(low, high)
        if source.tickvals is not None:
            drawn.set_ticks(list(source.tickvals), list(source.ticktext or ()) or None)
        elif source.type == "log":
            low, high = drawn.get_view_interval()
            drawn.set_major_formatter(FormatStrFormatter("%g"))
            drawn.set_minor_formatter(
                FormatStrFormatter("%g") if high / low < _ONE_DECADE else NullFormatter()
            )
        elif source.dtick is not None:
            drawn.set_major_locator(MultipleLocator(source.dtick))
        else:
            drawn.set_major_formatter(FormatStrFormatter("%g"))
    if y_axis.showticklabels is False:
        axes.tick_params(labelleft=False)


def _legend(canvas: Figure, panels: Sequence[Axes], left: float, top: float) -> None:
    handles, labels = [], []
    for axes in panels:
        own_handles, own_labels = axes.get_legend_handles_labels()
        handles += own_handles
        labels += own_labels
    if labels:
        longest = max(map(len, labels))
        canvas.legend(
            handles, [label.replace("$", r"\$") for label in labels],
            loc="lower left", bbox_to_anchor=(left, top),
            ncols=max(1, min(len(labels), _LETTERS // (longest + 8))),
            frameon=False, fontsize=9, borderaxespad=0.2,
        )  # fmt: skip
