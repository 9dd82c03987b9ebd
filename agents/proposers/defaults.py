"""Default agents of a config, and the names of agents. Imports only pydantic."""

from __future__ import annotations

from agents.proposers.settings import (
    AgentSettings,
    BayesianSettings,
    EvolutionSettings,
    RandomSettings,
    SubstitutionSettings,
)


def default_agents(*, layers: bool, pairs: bool = False) -> tuple[AgentSettings, ...]:
    """The default agents for crystals, for layer sequences or for pairs of crystals."""
    if layers:
        return (BayesianSettings(),)
    if pairs:
        return (BayesianSettings(), RandomSettings())
    return (SubstitutionSettings(), EvolutionSettings(), BayesianSettings(), RandomSettings())


def agent_names(agents: tuple[AgentSettings, ...]) -> tuple[str, ...]:
    """One name per agent: its kind, numbered from the second of a kind on (``bayesian-2``)."""
    seen: dict[str, int] = {}
    names = []
    for agent in agents:
        seen[agent.kind] = seen.get(agent.kind, 0) + 1
        count = seen[agent.kind]
        names.append(agent.kind if count == 1 else f"{agent.kind}-{count}")
    return tuple(names)
