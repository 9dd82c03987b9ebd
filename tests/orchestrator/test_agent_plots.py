"""The plot of what the agents found."""

from __future__ import annotations

from orchestrator.plots.agent_plots import BEST, AgentTrial, found_by_agent


def test_the_best_are_counted_by_agent() -> None:
    trials = [
        AgentTrial("bayesian", 3),
        AgentTrial("random"),
        AgentTrial("bayesian", BEST + 1),
        AgentTrial("random", 1),
        AgentTrial("bayesian", BEST),
    ]
    figure = found_by_agent(trials)
    found = {trace.name: list(trace.y) for trace in figure.data}
    assert found == {
        "bayesian, 3 trials": [0, 1, 1, 1, 1, 2],
        "random, 2 trials": [0, 0, 0, 0, 1, 1],
    }
    assert all(list(trace.x) == [0, 1, 2, 3, 4, 5] for trace in figure.data)


def test_more_agents_than_colours_differ() -> None:
    figure = found_by_agent([AgentTrial(f"agent {n}", n) for n in range(1, 9)])
    looks = {(trace.line.color, trace.line.dash) for trace in figure.data}
    assert len(looks) == 8
