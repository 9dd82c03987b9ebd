"""Which agent found what: the best candidates of a campaign by the agent that proposed them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from orchestrator.plots.plots import BLUE, GREY, ORANGE, RED, look

BEST = 10
"""Number of best candidates that are counted."""
_COLOURS = (BLUE, ORANGE, RED, "#2a8c5a", "#7a4fa3", GREY)
_DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class AgentTrial:
    """One trial in the order of the campaign.

    Args:
        agent: that proposed its candidate.
        rank: place of the candidate in the table of the best, from 1; None if it is not in it.
    """

    agent: str
    rank: int | None = None


def found_by_agent(trials: Sequence[AgentTrial], *, title: str = "") -> go.Figure:
    """How many of the best candidates each agent had found by each trial, and its trials.

    Args:
        trials: in the order of the campaign.
        title: title of the figure.
    """
    figure = go.Figure()
    agents = list(dict.fromkeys(trial.agent for trial in trials))
    styles = itertools.product(_DASHES, _COLOURS)  # the colours again, with other lines
    for agent, (dash, colour) in zip(agents, styles, strict=False):
        found = [t.agent == agent and t.rank is not None and t.rank <= BEST for t in trials]
        own = sum(trial.agent == agent for trial in trials)
        figure.add_scatter(
            x=list(range(len(trials) + 1)),
            y=list(itertools.accumulate(found, initial=0)),
            mode="lines",
            name=f"{agent}, {own} trial{'' if own == 1 else 's'}",
            line={"color": colour, "dash": dash, "shape": "hv", "width": 2},
        )
    look(figure, "trial", f"of the {BEST} best candidates, found", title=title)
    figure.update_yaxes(range=[-0.3, BEST + 0.3], dtick=2)
    figure.update_xaxes(range=[0, max(len(trials), 1)])
    return figure
