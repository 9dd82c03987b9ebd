"""What goes with which kind of material: one profile each, which configs are read by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agents.proposers.settings import (
    BayesianSettings,
    EvolutionSettings,
    NamedAgentSettings,
    RandomSettings,
    SubstitutionSettings,
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
    """What a campaign on one kind of material may be made of, by the names that configs use.

    Args:
        described: the materials, in the plural.
        oracles: that measure them.
        surrogates: that learn from them.
        agents: that propose them.
        default_agents: those of a config that names none.
        default_surrogate: that of a config that names none, by the settings of the oracle.
        from_potential: whether surrogates describe them by what a potential says of crystals.
        shares: of a batch for holes and for audits, where a config gives none.
        constraints: that mean something of them; None for all.
    """

    described: str
    oracles: tuple[str, ...]
    surrogates: tuple[str, ...]
    agents: tuple[str, ...]
    default_agents: tuple[NamedAgentSettings, ...]
    default_surrogate: Callable[[Any], NamedSurrogateSettings]
    from_potential: bool = True
    shares: tuple[float, float] = (0.25, 0.1)
    constraints: tuple[str, ...] | None = None


_DESCRIPTORS = ("gaussian-process", "multi-fidelity", "random-forest", "gradient-boosting")
"""Surrogates that learn from descriptors, which every kind has."""
_ANY_AGENT = ("bayesian", "random", "substitution", "evolution")


def _of_both_crystals(oracle: Any) -> NamedSurrogateSettings:
    """A process on what the oracle's own potential says of both crystals of a pair."""
    if isinstance(oracle, InterfaceSettings):
        return GaussianProcessSettings(features=oracle.calculator)
    return GaussianProcessSettings()


KINDS: dict[str, KindRules] = {
    "crystal": KindRules(
        described="crystals",
        oracles=("phonon-bte", "replay"),
        surrogates=("graph-ensemble", *_DESCRIPTORS),
        agents=(*_ANY_AGENT, "tree-search"),
        default_agents=(
            SubstitutionSettings(),
            EvolutionSettings(),
            BayesianSettings(),
            RandomSettings(),
        ),
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
        # What is improbable to be best among sequences need not be known.
        shares=(0.0, 0.05),
    ),
    # A pair has descriptors of both crystals, but no graph, and no sequence to be completed.
    "interface": KindRules(
        described="pairs of crystals",
        oracles=("interface",),
        surrogates=_DESCRIPTORS,
        agents=_ANY_AGENT,
        default_agents=(BayesianSettings(), RandomSettings()),
        default_surrogate=_of_both_crystals,
        constraints=("dynamically_stable", "non_metal", "max_atoms"),
    ),
}
"""By the `kind` of the material."""
OF_SPACE: Mapping[str, str] = {
    "prototypes": "crystal",
    "superlattice": "superlattice",
    "interface": "interface",
}
"""The kind that each kind of space holds; a pool holds what its files do."""


def check_kind(
    kind: str,
    *,
    source: str,
    oracle: str,
    surrogate: str | None,
    agents: Iterable[str],
    constraints: Iterable[str],
) -> None:
    """See that all parts of a campaign are made for its kind of material.

    Args:
        kind: of the materials.
        source: where they come from, as messages name it.
        oracle: its kind.
        surrogate: its kind, or None for the default.
        agents: their kinds.
        constraints: their names.

    Raises:
        ValueError: one is not, with those that are.
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
        return  # what is the user's own may be made for any kind
    if given not in allowed:
        raise ValueError(
            f"{key}: given {given!r}, but {source} holds {rules.described}; what {verb} them: "
            f"{', '.join(allowed)}"
        )
