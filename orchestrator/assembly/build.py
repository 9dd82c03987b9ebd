"""The tables from `kind` to class, in one place. To add a kind, add a line here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agents.contract.own_proposer import OwnProposer
from agents.contract.protocol import Proposer, Space
from agents.generators.external import ExternalProposer
from agents.generators.wyckoff import WyckoffProposer
from agents.proposers.bayesian import BayesianProposer
from agents.proposers.defaults import agent_names
from agents.proposers.evolution import EvolutionProposer
from agents.proposers.random_agent import RandomProposer
from agents.proposers.settings import AgentSettings, OwnAgentSettings
from agents.proposers.substitution import SubstitutionProposer
from agents.proposers.tree_search import TreeSearchProposer
from agents.spaces.crystal_space import CrystalSpace
from agents.spaces.interface_space import interface_space
from agents.spaces.pool import PoolSpace
from agents.spaces.prototypes import PrototypeSpace
from agents.spaces.settings import OwnSpaceSettings
from agents.spaces.superlattice_space import superlattice_space
from oracle.materials.crystal import BaseMaterial
from oracle.materials.material import Material
from oracle.runtime.errors import RAISED_BY_LIBRARIES, OracleError, SetupError, in_words
from oracle.runtime.own_classes import made
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.kinds import KINDS, default_agents
from orchestrator.config.run_settings import ExecutorSettings
from orchestrator.executors.protocol import Executor
from orchestrator.executors.ray_executor import RayExecutor
from orchestrator.executors.serial_executor import SerialExecutor
from surrogate.contract.own_surrogate import own_surrogate
from surrogate.contract.protocol import Output, Surrogate
from surrogate.contract.settings import (
    OwnSurrogateSettings,
    SequenceProcessSettings,
    SurrogateSettings,
)
from surrogate.features.feature_store import FeatureStore
from surrogate.models.forests import GradientBoosting, RandomForest
from surrogate.models.gaussian_process import GaussianProcess
from surrogate.models.graph.graph_ensemble import GraphEnsemble
from surrogate.models.multi_fidelity import MultiFidelityProcess
from surrogate.models.sequence_process import SequenceProcess

SPACES: dict[str, Callable[[Any, Path | None], Space]] = {
    "prototypes": lambda settings, cache: PrototypeSpace(settings),
    "crystals": lambda settings, cache: CrystalSpace(settings),
    "pool": PoolSpace,
    "superlattice": lambda settings, cache: superlattice_space(settings),
    "interface": interface_space,
}
"""Spaces by kind, from settings and a folder for what takes long to read, if there is one."""
PROPOSERS: dict[str, Callable[..., Proposer]] = {
    "random": lambda settings, **common: RandomProposer(**common),
    "substitution": SubstitutionProposer,
    "evolution": EvolutionProposer,
    "bayesian": BayesianProposer,
    "tree-search": TreeSearchProposer,
    "external": ExternalProposer,
}
IN_A_SPACE: dict[str, Callable[..., Proposer]] = {"wyckoff": WyckoffProposer}
"""Proposers that are told the settings of the space beside their own."""
SURROGATES: dict[str, Callable[..., Surrogate]] = {
    "graph-ensemble": GraphEnsemble,
    "gaussian-process": GaussianProcess,
    "random-forest": RandomForest,
    "gradient-boosting": GradientBoosting,
    "multi-fidelity": MultiFidelityProcess,
    "sequence-process": SequenceProcess,
}
EXECUTORS: dict[str, Callable[[ExecutorSettings], Executor]] = {
    "ray": RayExecutor,
    "serial": SerialExecutor,
}


def build_space(settings: Any, cache: Path | None = None) -> Space:
    """Create the space that a config names.

    Args:
        settings: the `space` section of a config.
        cache: folder for the canonical forms of a pool's structures; None keeps nothing.

    Raises:
        ConfigError: the space cannot be read, or is empty.
    """
    try:
        if isinstance(settings, OwnSpaceSettings):
            own: Space = made(settings, Space)
            _check_members(own, settings.kind)
            return own
        return SPACES[settings.kind](settings, cache)
    except OracleError as error:
        raise ConfigError(f"space: {error.message}") from error
    except ValueError as error:
        raise ConfigError(f"space: {error}") from error


def kind_of(space: Space) -> str:
    """The kind of the materials of a space, which has some."""
    return _first_of(space)[0].kind


def _first_of(space: Space) -> list[Material]:
    """One material, or none; an unbounded space cannot be iterated over."""
    if space.size is None:
        return space.sample(1, np.random.default_rng(0))
    return list(itertools.islice(space, 1))


def _check_members(space: Space, name: str) -> None:
    """See that a space of the user's own says how many materials it has, and has some.

    Raises:
        OracleError: it does not.
    """
    try:
        size: object = space.size
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
            raise SetupError(f"{name!r}: size is {size!r}; expected a number, or None if unbounded")
        first: Sequence[object] = [] if size == 0 else _first_of(space)
    except RAISED_BY_LIBRARIES as error:
        if isinstance(error, OracleError):
            raise
        raise SetupError(f"{name!r}: its materials cannot be had ({in_words(error)})") from error
    if size != 0 and not first:
        raise SetupError(f"{name!r}: size is {size}, but it gives no material")
    if first and not isinstance(first[0], BaseMaterial):
        raise SetupError(
            f"{name!r} holds {type(first[0]).__name__}; expected materials of oracle.materials"
        )


def build_proposers(config: CampaignConfig, fidelity: str, kind: str) -> dict[str, Proposer]:
    """Create the proposers, by name, in the order of the config.

    Args:
        config: names them; without any, the default agents of the kind are used.
        fidelity: fidelity of the objective.
        kind: kind of the materials.

    Raises:
        ConfigError: a proposer of the user's own cannot be created, or does not have the interface
            of one.
    """
    agents = config.agents or default_agents(config.space.kind, kind)
    common: dict[str, Any] = {
        "fidelity": fidelity,
        "near_duplicates": config.selection.near_duplicates,
    }
    named = zip(agent_names(agents), agents, strict=True)
    return {name: _proposer(settings, name, config.space, common) for name, settings in named}


def _proposer(
    settings: AgentSettings, name: str, space: Any, common: Mapping[str, Any]
) -> Proposer:
    try:
        if settings.kind in IN_A_SPACE:
            return IN_A_SPACE[settings.kind](settings, space, name=name, **common)
        if not isinstance(settings, OwnAgentSettings):
            return PROPOSERS[settings.kind](settings, name=name, **common)
        own: Proposer = made(settings, Proposer, name=name, **common)
    except OracleError as error:
        raise ConfigError(f"agents: {error.message}") from error
    return OwnProposer(own, name, settings.kind)


def surrogate_settings(config: CampaignConfig, space: Space) -> SurrogateSettings:
    """The surrogate's settings; by default those in the profile of the kind of material.

    The end of the labels that is sought is added to the settings of a `sequence-process`, unless
    they name it.
    """
    chosen = config.surrogate or KINDS[kind_of(space)].default_surrogate(config.oracle)
    if isinstance(chosen, SequenceProcessSettings) and chosen.sought is None:
        goals = {one.goal for one in (config.objective, *config.further_objectives)}
        sought = SOUGHT.get(config.objective.goal) if len(goals) == 1 else None
        return chosen.model_copy(update={"sought": sought})
    return chosen


SOUGHT: dict[str, Literal["low", "high"]] = {"minimize": "low", "maximize": "high"}
"""Which end of the range of labels is sought, by goal."""


def build_surrogate(
    settings: SurrogateSettings,
    outputs: Sequence[Output],
    fidelity: str,
    seed: int,
    store: FeatureStore,
) -> Surrogate:
    """Create the surrogate that settings name, not fitted yet.

    Raises:
        ConfigError: a surrogate of the user's own cannot be created, or does not have the interface
            of one.
    """
    if isinstance(settings, OwnSurrogateSettings):
        keywords: dict[str, Any] = {"seed": seed, "store": store}
        try:
            own: Surrogate = made(settings, Surrogate, outputs, fidelity, **keywords)
        except OracleError as error:
            raise ConfigError(f"surrogate: {error.message}") from error
        return own_surrogate(own, settings.kind)
    return SURROGATES[settings.kind](outputs, fidelity, seed=seed, store=store, settings=settings)


def build_executor(settings: ExecutorSettings) -> Executor:
    """Create the executor that a config names."""
    return EXECUTORS[settings.kind](settings)
