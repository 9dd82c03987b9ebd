"""Names of the agents of a config. Imports only pydantic."""

from __future__ import annotations

from agents.proposers.settings import AgentSettings


def agent_names(agents: tuple[AgentSettings, ...]) -> tuple[str, ...]:
    """One name per agent: its kind, numbered from the second of a kind on (``bayesian-2``)."""
    seen: dict[str, int] = {}
    names = []
    for agent in agents:
        kind = agent.kind.rpartition(":")[2]  # of an import path, the name of the class
        count = seen[kind] = seen.get(kind, 0) + 1
        names.append(kind if count == 1 else f"{kind}-{count}")
    return tuple(names)
