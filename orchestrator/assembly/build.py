"""The tables from `kind` to class, in one place. To add a kind, add a line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from agents.contract.protocol import Proposer, Space
from agents.proposers.bayesian import BayesianProposer
from agents.proposers.defaults import agent_names, default_agents
from agents.proposers.evolution import EvolutionProposer
from agents.proposers.random_agent import RandomProposer
from agents.proposers.substitution import SubstitutionProposer
from agents.proposers.tree_search import TreeSearchProposer
from agents.spaces.interface_space import interface_space
from agents.spaces.pool import PoolSpace
from agents.spaces.prototypes import PrototypeSpace
from agents.spaces.superlattice_space import superlattice_space
from oracle.materials.superlattice import Superlattice
from oracle.runtime.errors import OracleError
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.run_settings import ExecutorSettings
from orchestrator.executors.protocol import Executor
from orchestrator.executors.ray_executor import RayExecutor
from orchestrator.executors.serial_executor import SerialExecutor
from surrogate.contract.protocol import Output, Surrogate
from surrogate.contract.settings import (
    GaussianProcessSettings,
    GraphEnsembleSettings,
    SequenceProcessSettings,
    SurrogateSettings,
)
from surrogate.features.feature_store import FeatureStore
from surrogate.models.forests import GradientBoosting, RandomForest
from surrogate.models.gaussian_process import GaussianProcess
from surrogate.models.graph.graph_ensemble import GraphEnsemble
from surrogate.models.multi_fidelity import MultiFidelityProcess
from surrogate.models.sequence_process import SequenceProcess

SPACES: dict[str, Callable[[Any], Space]] = {
    "prototypes": PrototypeSpace,
    "pool": PoolSpace,
    "superlattice": superlattice_space,
    "interface": interface_space,
}
PROPOSERS: dict[str, Callable[..., Proposer]] = {
    "random": lambda settings, **common: RandomProposer(**common),
    "substitution": SubstitutionProposer,
    "evolution": EvolutionProposer,
    "bayesian": BayesianProposer,
    "tree-search": TreeSearchProposer,
}
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


def build_space(settings: Any) -> Space:
    """The space a config names.

    Raises:
        ConfigError: it cannot be read, or has no members.
    """
    try:
        return SPACES[settings.kind](settings)
    except OracleError as error:
        raise ConfigError(f"space: {error.message}") from error
    except ValueError as error:
        raise ConfigError(f"space: {error}") from error


def is_layered(space: Space) -> bool:
    """Whether a space holds layer sequences rather than crystals."""
    return isinstance(next(iter(space)), Superlattice)


def build_proposers(
    config: CampaignConfig, fidelity: str, *, layers: bool = False
) -> dict[str, Proposer]:
    """Proposers by name, in the order of the config.

    Args:
        config: names them, or leaves them to what the materials are.
        fidelity: of the objective.
        layers: whether the materials are layer sequences.
    """
    pairs = config.space.kind == "interface"
    agents = config.agents or default_agents(layers=layers, pairs=pairs)
    common: dict[str, Any] = {
        "fidelity": fidelity,
        "near_duplicates": config.selection.near_duplicates,
    }
    return {
        name: PROPOSERS[settings.kind](settings, name=name, **common)
        for name, settings in zip(agent_names(agents), agents, strict=True)
    }


def surrogate_settings(config: CampaignConfig, space: Space) -> SurrogateSettings:
    """The surrogate's settings; by default a graph ensemble, for sequences a `sequence-process`.

    For pairs of crystals, a Gaussian process on what the oracle's own potential says of both. A
    `sequence-process` is told which end of the labels is sought, unless its settings say so.
    """
    chosen = config.surrogate or _default_surrogate(config, space)
    if isinstance(chosen, SequenceProcessSettings) and chosen.sought is None:
        return chosen.model_copy(update={"sought": SOUGHT.get(config.objective.goal)})
    return chosen


SOUGHT: dict[str, Literal["low", "high"]] = {"minimize": "low", "maximize": "high"}
"""The end of the labels that is sought, by goal."""


def _default_surrogate(config: CampaignConfig, space: Space) -> SurrogateSettings:
    if config.oracle.kind == "interface":
        return GaussianProcessSettings(features=config.oracle.calculator)
    return SequenceProcessSettings() if is_layered(space) else GraphEnsembleSettings()


def build_surrogate(
    settings: SurrogateSettings,
    outputs: Sequence[Output],
    fidelity: str,
    seed: int,
    store: FeatureStore,
) -> Surrogate:
    """The surrogate that settings name, not fitted yet."""
    return SURROGATES[settings.kind](outputs, fidelity, seed=seed, store=store, settings=settings)


def build_executor(settings: ExecutorSettings) -> Executor:
    """The executor a config names."""
    return EXECUTORS[settings.kind](settings)
