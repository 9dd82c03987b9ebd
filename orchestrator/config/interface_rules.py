"""What of a config cannot go with pairs of crystals."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.config.config import CampaignConfig

CONSTRAINTS = ("dynamically_stable", "non_metal", "max_atoms")
"""Constraints that mean something of both crystals."""
SURROGATES = ("gaussian-process", "multi-fidelity", "random-forest", "gradient-boosting")
"""Surrogates that learn from descriptors, which pairs have; they have no graph and no sequence."""


def check_interfaces(config: CampaignConfig) -> None:
    """Agents, constraints and surrogate of a campaign on interfaces.

    Raises:
        ValueError: one that has no meaning there.
    """
    if any(agent.kind == "tree-search" for agent in config.agents or ()):
        raise ValueError(
            "agents: tree-search completes sequences of layers, and space.kind is 'interface'; "
            "expected bayesian, random, substitution or evolution"
        )
    for constraint in config.constraints or ():
        if constraint.name not in CONSTRAINTS:
            raise ValueError(
                f"constraints: given {constraint.name}, which interfaces do not have; allowed: "
                f"{', '.join(CONSTRAINTS)}"
            )
    if config.surrogate is not None and config.surrogate.kind not in SURROGATES:
        raise ValueError(
            f"surrogate.kind: given {config.surrogate.kind!r}, which cannot learn from pairs of "
            f"crystals; allowed: {', '.join(SURROGATES)}"
        )
