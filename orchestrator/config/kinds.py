"""What goes with which kind of material: oracles, surrogates, agents and constraints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from oracle.runtime.local_inputs import names_code


@dataclass(frozen=True)
class KindRules:
    """What a campaign on one kind of material may be made of, by the names that configs use.

    Args:
        described: the materials, in the plural.
        oracles: that measure them.
        surrogates: that learn from them.
        agents: that propose them.
        constraints: that mean something of them; None for all.
    """

    described: str
    oracles: tuple[str, ...]
    surrogates: tuple[str, ...]
    agents: tuple[str, ...]
    constraints: tuple[str, ...] | None = None


_DESCRIPTORS = ("gaussian-process", "multi-fidelity", "random-forest", "gradient-boosting")
"""Surrogates that learn from descriptors, which every kind has."""
_ANY_AGENT = ("bayesian", "random", "substitution", "evolution")

KINDS: Mapping[str, KindRules] = {
    "crystal": KindRules(
        described="crystals",
        oracles=("phonon-bte", "replay"),
        surrogates=("graph-ensemble", *_DESCRIPTORS),
        agents=(*_ANY_AGENT, "tree-search"),
    ),
    "superlattice": KindRules(
        described="layer sequences",
        oracles=("green", "replay"),
        surrogates=("sequence-process", "graph-ensemble", *_DESCRIPTORS),
        agents=(*_ANY_AGENT, "tree-search"),
    ),
    # A pair has descriptors of both crystals, but no graph, and no sequence to be completed.
    "interface": KindRules(
        described="pairs of crystals",
        oracles=("interface",),
        surrogates=_DESCRIPTORS,
        agents=_ANY_AGENT,
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
