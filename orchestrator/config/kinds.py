"""One profile per kind of material: which oracles, surrogates and agents can handle it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agents.contract.constraints import ON_MEASUREMENTS
from agents.contract.settings import ELEMENT_CONSTRAINTS, SUPPLY_CONSTRAINTS
from agents.proposers.settings import (
    BayesianSettings,
    EvolutionSettings,
    NamedAgentSettings,
    RandomSettings,
    WyckoffSettings,
)
from oracle.interface.settings import InterfaceSettings
from oracle.runtime.local_inputs import names_code
from surrogate.contract.settings import (
    GaussianProcessSettings,
    GraphEnsembleSettings,
    NamedSurrogateSettings,
    SequenceProcessSettings,
)


@dataclass(frozen=True)
class KindRules:
    """The parts that a campaign on one kind of material may have, by their names in configs.

    Args:
        described: the materials, in the plural.
        oracles: kinds of oracles that measure them.
        surrogates: kinds of surrogates that learn from them.
        agents: kinds of agents that propose them.
        default_agents: agents if the config names none.
        default_surrogate: surrogate if the config names none, from the settings of the oracle.
        from_potential: whether their features are computed with a potential.
        shares: default shares of a batch for exploration trials and for audit trials.
        constraints: names of the constraints that apply to them; None for all.
    """

    described: str
    oracles: tuple[str, ...]
    surrogates: tuple[str, ...]
    agents: tuple[str, ...]
    default_agents: tuple[NamedAgentSettings, ...]
    default_surrogate: Callable[[Any], NamedSurrogateSettings]
    from_potential: bool = True
    shares: tuple[float, float] = (0.0, 0.05)
    constraints: tuple[str, ...] | None = None


_DESCRIPTORS = ("gaussian-process", "multi-fidelity", "random-forest", "gradient-boosting")
"""Surrogates that learn from descriptors, which every kind has."""
_WITH_FEATURES = ("7net", "chgnet")
"""How the names of potentials begin whose layers `surrogate.features.node_features` reads."""
_ANY_AGENT = ("bayesian", "random", "substitution", "evolution")


def _of_both_crystals(oracle: Any) -> NamedSurrogateSettings:
    """A Gaussian process on features of both crystals.

    They are computed with the oracle's potential where it has features of atoms.
    """
    if isinstance(oracle, InterfaceSettings) and oracle.calculator.startswith(_WITH_FEATURES):
        return GaussianProcessSettings(features=oracle.calculator)
    return GaussianProcessSettings()


KINDS: dict[str, KindRules] = {
    "crystal": KindRules(
        described="crystals",
        oracles=("phonon-bte", "replay"),
        surrogates=("graph-ensemble", *_DESCRIPTORS),
        agents=(*_ANY_AGENT, "tree-search", "external", "wyckoff"),
        default_agents=(BayesianSettings(),),
        default_surrogate=lambda oracle: GraphEnsembleSettings(),
    ),
    "superlattice": KindRules(
        described="layer sequences",
        oracles=("green", "replay"),
        surrogates=("sequence-process", "graph-ensemble", *_DESCRIPTORS),
        agents=(*_ANY_AGENT, "tree-search"),
        default_agents=(BayesianSettings(),),
        default_surrogate=lambda oracle: SequenceProcessSettings(),
        from_potential=False,
        constraints=("dynamically_stable", *ON_MEASUREMENTS),  # layers have no composition
    ),
    # A pair has descriptors of both crystals, but no graph for a graph network and no sequence for
    # a tree search.
    "interface": KindRules(
        described="pairs of crystals",
        oracles=("interface",),
        surrogates=_DESCRIPTORS,
        agents=_ANY_AGENT,
        default_agents=(BayesianSettings(), RandomSettings()),
        default_surrogate=_of_both_crystals,
        shares=(0.25, 0.1),  # not measured for pairs
        constraints=(
            "dynamically_stable",
            "non_metal",
            "max_atoms",
            *SUPPLY_CONSTRAINTS,
            *ELEMENT_CONSTRAINTS,
        ),
    ),
    # Only a table knows values of a composition, whatever its structure.
    "composition": KindRules(
        described="compositions",
        oracles=("replay",),
        surrogates=_DESCRIPTORS,
        agents=_ANY_AGENT,
        default_agents=(BayesianSettings(),),
        default_surrogate=lambda oracle: GaussianProcessSettings(features="none"),
        from_potential=False,
        constraints=(
            "dynamically_stable",
            "non_metal",
            *SUPPLY_CONSTRAINTS,
            *ELEMENT_CONSTRAINTS,
            *ON_MEASUREMENTS,
        ),
    ),
}
"""Profiles by the `kind` of the material."""
OF_SPACE: Mapping[str, str] = {
    "prototypes": "crystal",
    "crystals": "crystal",
    "superlattice": "superlattice",
    "interface": "interface",
}
"""Kind of material by kind of space; that of a pool depends on its files."""


OF_OPEN_SPACES: Mapping[str, tuple[NamedAgentSettings, ...]] = {
    "crystals": (BayesianSettings(), WyckoffSettings(), EvolutionSettings())
}
"""Default agents by kind of space, where they differ from those of the kind of material: of random
crystals, which the Bayesian agent chooses from there, one in a hundred is stable and low in energy
(benchmarks/README.md)."""
IN_SPACES: Mapping[str, str] = {"wyckoff": "crystals"}
"""The only kind of space in which an agent can propose, by kind of agent; others have no such."""


def default_agents(space: str, kind: str) -> tuple[NamedAgentSettings, ...]:
    """The agents of a campaign whose config names none.

    Args:
        space: kind of the space.
        kind: kind of the materials.
    """
    return OF_OPEN_SPACES.get(space, KINDS[kind].default_agents)


def check_agents_of(space: str, agents: Iterable[str]) -> None:
    """Check that agents can propose in a kind of space.

    Raises:
        ValueError: one cannot.
    """
    for agent in agents:
        if IN_SPACES.get(agent, space) != space:
            raise ValueError(
                f"agents: given {agent!r} with space.kind {space!r}; expected space.kind: "
                f"{IN_SPACES[agent]}, where structures that nobody has listed are members"
            )


def check_kind(
    kind: str,
    *,
    source: str,
    oracle: str,
    surrogate: str | None,
    agents: Iterable[str],
    constraints: Iterable[str],
) -> None:
    """Check that all parts of a campaign can handle its kind of material.

    Args:
        kind: kind of the materials.
        source: where they come from, for messages.
        oracle: kind of the oracle.
        surrogate: kind of the surrogate, or None for the default.
        agents: kinds of the agents.
        constraints: names of the constraints.

    Raises:
        ValueError: one of them cannot; lists those that can.
    """
    if kind not in KINDS:
        raise ValueError(
            f"{source} holds materials of kind {kind!r}, which has no profile; expected one of "
            f"{', '.join(KINDS)}"
        )
    rules = KINDS[kind]
    _check("oracle.kind", oracle, rules.oracles, "measures", rules, source)
    if surrogate is not None:
        _check("surrogate.kind", surrogate, rules.surrogates, "learns from", rules, source)
    for agent in agents:
        _check("agents", agent, rules.agents, "proposes", rules, source)
    for name in constraints:
        if rules.constraints is not None:
            _check("constraints", name, rules.constraints, "says something of", rules, source)


def _check(
    key: str, given: str, allowed: tuple[str, ...], verb: str, rules: KindRules, source: str
) -> None:
    if names_code(given):
        return  # an import path: a user's own class may handle any kind
    if given not in allowed:
        raise ValueError(
            f"{key}: given {given!r}, but {source} holds {rules.described}; what {verb} them: "
            f"{', '.join(allowed)}"
        )
