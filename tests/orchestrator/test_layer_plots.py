"""Layer sequences as coloured squares, and what they let through."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.image import imread

from orchestrator.plots.layer_plots import drawn_layers, transmission
from orchestrator.plots.plot_files import write_figures

DESIGNS = [("1.5", "SGGS"), ("2.5", "GSSS")]
NAMES = {"S": "Si", "G": "Ge"}


def trace(figure: go.Figure, name: str) -> Any:
    (match,) = [t for t in figure.data if t.name == name]
    return match


def test_each_layer_stands_at_its_place_the_best_design_on_top() -> None:
    figure = drawn_layers(DESIGNS, names=NAMES, leads=("S", "S"))
    germanium = trace(figure, "Ge")
    assert set(zip(germanium.x, germanium.y, strict=True)) == {(2, 1), (3, 1), (1, 0)}
    silicon = trace(figure, "Si")
    assert len(silicon.x) + len(germanium.x) == 8
    assert list(figure.layout.yaxis.ticktext) == ["1.5", "2.5"]
    assert list(figure.layout.yaxis.tickvals) == [1, 0]


def test_leads_lie_outside_the_layers_in_the_colour_of_their_material() -> None:
    figure = drawn_layers(DESIGNS, names=NAMES, leads=("S", "G"))
    left, right = [t for t in figure.data if t.showlegend is False]
    assert max(left.x) == 0
    assert min(right.x) == 5
    assert left.marker.color == trace(figure, "Si").marker.color
    assert right.marker.color == trace(figure, "Ge").marker.color


def test_sequences_without_a_stack_are_drawn_by_their_letters(tmp_path: Path) -> None:
    figure = drawn_layers([("1", "01" * 20)], names={})
    assert {t.name for t in figure.data} == {"0", "1"}
    png, _ = write_figures({"layers": figure}, tmp_path, "layers.html")
    picture = imread(io.BytesIO(png.read_bytes()))
    assert picture.shape[1] == figure.layout.width
    assert picture[..., :3].std() > 0.05  # something is drawn


def test_transmission_is_drawn_below_that_of_the_lead() -> None:
    frequency = np.linspace(0.0, 10.0, 11)
    figure = transmission(frequency, np.ones(11), 2 * np.ones(11), title="SG")
    np.testing.assert_array_equal(trace(figure, "design").y, np.ones(11))
    np.testing.assert_array_equal(trace(figure, "lead alone").y, 2 * np.ones(11))
    assert len(transmission(frequency, np.ones(11), None, title="SG").data) == 1
