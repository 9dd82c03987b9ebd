"""Which agents a config has, and what they are called. Imports only pydantic."""

from __future__ import annotations

from agents.proposers.settings import (
    AgentSettings,
    BayesianSettings,
    EvolutionSettings,
    RandomSettings,
    SubstitutionSettings,
)


def default_agents(*, layers: bool, pairs: bool = False) -> tuple[AgentSettings, ...]:
    """The agents of a config that names none: for crystals, layer sequences or crystal pairs."""
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
        kind = agent.kind.rpartition(":")[2]  # of an import path, the name of the class
        count = seen[kind] = seen.get(kind, 0) + 1
        names.append(kind if count == 1 else f"{kind}-{count}")
    return tuple(names)
