"""The tables from `kind` to class, in one place. To add a kind, add a line here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.bayesian import BayesianProposer
from agents.evolution import EvolutionProposer
from agents.objective import Objective
from agents.pool import PoolSpace
from agents.prototypes import PrototypeSpace
from agents.protocol import Proposer, Space
from agents.random_agent import RandomProposer
from agents.settings import ObjectiveSettings, agent_names
from agents.substitution import SubstitutionProposer
from oracle.errors import OracleError
from oracle.material import Superlattice
from oracle.phonon_bte import PhononBTE
from oracle.protocol import Oracle
from oracle.replay import ReplayOracle, load_table
from oracle.settings import PhononSettings, ReplaySettings
from orchestrator.config import CampaignConfig, ConfigError
from orchestrator.executor import Executor
from orchestrator.ray_executor import RayExecutor
from orchestrator.serial_executor import SerialExecutor
from orchestrator.settings import ExecutorSettings
from surrogate.gaussian_process import GaussianProcess
from surrogate.graph_ensemble import GraphEnsemble
from surrogate.protocol import Surrogate
from surrogate.settings import GaussianProcessSettings, GraphEnsembleSettings

SPACES: dict[str, Callable[[Any], Space]] = {
    "prototypes": PrototypeSpace,
    "pool": PoolSpace,
}
PROPOSERS: dict[str, Callable[..., Proposer]] = {
    "random": lambda settings, **common: RandomProposer(**common),
    "substitution": SubstitutionProposer,
    "evolution": EvolutionProposer,
    "bayesian": BayesianProposer,
}
SURROGATES: dict[str, Callable[..., Surrogate]] = {
    "graph-ensemble": GraphEnsemble,
    "gaussian-process": GaussianProcess,
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
    except (OracleError, ValueError) as error:
        message = getattr(error, "message", str(error))
        raise ConfigError(f"space: {message}") from error


def build_objective(settings: ObjectiveSettings) -> Objective:
    """The objective a config names."""
    return Objective(
        property=settings.property,
        temperature=settings.temperature,
        goal=settings.goal,
        target=settings.target,
        log=settings.in_log,
    )


def build_oracles(config: CampaignConfig, space: Space) -> dict[str, Oracle]:
    """Oracles by fidelity, cheapest first; the last measures the objective.

    Raises:
        ConfigError: unknown potential, or a table that does not fit.
    """
    try:
        if config.oracle.kind == "phonon-bte":
            oracle = build_oracle(config.oracle, "bte")
            return {oracle.fidelity: oracle}
        ids = getattr(space, "ids", {})
        names = list(config.oracle.fidelities or {}) or [_ONLY_FIDELITY]
        return {name: build_oracle(config.oracle, name, ids, config.objective) for name in names}
    except OracleError as error:
        raise ConfigError(f"oracle: {error.message}") from error


_ONLY_FIDELITY = "table"


def build_oracle(
    settings: PhononSettings | ReplaySettings,
    fidelity: str,
    ids: Mapping[str, str] | None = None,
    objective: ObjectiveSettings | None = None,
) -> Oracle:
    """One oracle.

    Args:
        settings: of the config.
        fidelity: which of them.
        ids: material digest to the id in the replay table (replay only).
        objective: names the property that the table holds (replay only).

    Raises:
        OracleError: unknown potential, or a table that does not fit.
    """
    if settings.kind == "phonon-bte":
        return PhononBTE(settings)
    assert objective is not None
    column = _column(settings, fidelity)
    table, digest = _table(Path(settings.table))
    rows = {key: table[name] for key, name in (ids or {}).items() if name in table}
    return ReplayOracle(
        rows,
        fidelity=fidelity,
        property=objective.property,
        table_sha256=digest,
        **column,
    )


def _column(settings: ReplaySettings, fidelity: str) -> dict[str, Any]:
    if settings.fidelities is None:
        return {"column": settings.column, "stable_column": settings.stable_column, "cost_s": 0.0}
    return dict(settings.fidelities[fidelity].model_dump())


@functools.lru_cache(maxsize=4)
def _table(path: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """Rows by id and SHA-256 of a table, read once per process."""
    return load_table(path)


def tightened(oracle: Oracle, level: int) -> Oracle | None:
    """The oracle at the settings that confirm; None when its answers need no confirmation."""
    if level == 0:
        return oracle
    tighten = getattr(oracle, "tightened", None)
    return None if tighten is None else tighten(level)


def build_proposers(config: CampaignConfig, fidelity: str) -> dict[str, Proposer]:
    """Proposers by name, in the order of the config."""
    return {
        name: PROPOSERS[settings.kind](
            settings,
            name=name,
            fidelity=fidelity,
            near_duplicates=config.selection.near_duplicates,
        )
        for name, settings in zip(agent_names(config.agents), config.agents, strict=True)
    }


def build_surrogate(
    config: CampaignConfig,
    space: Space,
    objective: Objective,
    *,
    fidelity: str,
    seed: int,
    cache: Path,
    executor: Executor,
) -> Surrogate:
    """The surrogate a config names; by default a graph ensemble, for sequences a Gaussian process.

    Args:
        config: settings in force.
        space: decides the default.
        objective: its output is predicted.
        fidelity: at which it is predicted.
        seed: of all the surrogate's randomness.
        cache: folder of features.
        executor: computes missing features side by side.
    """
    settings: Any = config.surrogate
    if settings is None:
        first = next(iter(space))
        layers = isinstance(first, Superlattice)
        settings = GaussianProcessSettings() if layers else GraphEnsembleSettings()
    return SURROGATES[settings.kind](
        settings,
        outputs=(objective.output,),
        fidelity=fidelity,
        seed=seed,
        cache=cache / "features",
        mapper=functools.partial(_mapped, executor),
    )


_SHARD = 8
"""Structures per feature call: a second or two of work, so that all workers end together."""


def _mapped(executor: Executor, potential: str, materials: Sequence[Any], cache: Path) -> None:
    """Compute missing features in shards, on all workers."""
    shards: Iterable[Sequence[Any]] = (
        materials[i : i + _SHARD] for i in range(0, len(materials), _SHARD)
    )
    payloads = [
        {
            "potential": potential,
            "materials": [material.model_dump(mode="json") for material in shard],
            "cache": str(cache),
        }
        for shard in shards
    ]
    for _ in executor.map("orchestrator.calls:features", payloads):
        pass


def build_executor(settings: ExecutorSettings) -> Executor:
    """The executor a config names."""
    return EXECUTORS[settings.kind](settings)
