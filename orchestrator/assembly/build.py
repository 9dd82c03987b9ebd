"""The tables from `kind` to class, in one place. To add a kind, add a line here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from agents.contract.protocol import Proposer, Space
from agents.contract.settings import ObjectiveSettings
from agents.proposers.bayesian import BayesianProposer
from agents.proposers.defaults import agent_names, default_agents
from agents.proposers.evolution import EvolutionProposer
from agents.proposers.random_agent import RandomProposer
from agents.proposers.substitution import SubstitutionProposer
from agents.proposers.tree_search import TreeSearchProposer
from agents.spaces.interface_space import InterfaceSpace, interface_space
from agents.spaces.pool import PoolSpace
from agents.spaces.prototypes import PrototypeSpace
from agents.spaces.superlattice_space import superlattice_space
from oracle.contract.protocol import Oracle
from oracle.green.oracle import GreenOracle
from oracle.green.settings import GreenSettings
from oracle.interface.oracle import InterfaceOracle
from oracle.interface.settings import InterfaceSettings
from oracle.materials.crystal import Crystal
from oracle.materials.superlattice import Superlattice
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import BornCharges, PhononSettings
from oracle.potentials.forces import check_elements
from oracle.replay.oracle import ReplayOracle
from oracle.replay.settings import ReplaySettings
from oracle.replay.table import load_table
from oracle.runtime.errors import OracleError
from orchestrator.assembly.table_rows import check_rows, chosen_ids
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
)
from surrogate.features.crystal_features import CrystalFeatures, is_cached
from surrogate.features.feature_store import FeatureStore, Mapper
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
    except (OracleError, ValueError) as error:
        message = getattr(error, "message", str(error))
        raise ConfigError(f"space: {message}") from error


def build_oracles(config: CampaignConfig, space: Space) -> dict[str, Oracle]:
    """Oracles by fidelity, cheapest first; the last measures the objective.

    Raises:
        ConfigError: unknown potential, or a table that does not fit.
    """
    try:
        if config.oracle.kind == "phonon-bte":
            if not isinstance(config.oracle.calculator, str):
                raise ConfigError(
                    f"oracle.calculator: got {config.oracle.calculator}; expected a potential, "
                    "whose features a campaign needs; DFT works with `phonoscout evaluate`"
                )
            if isinstance(config.oracle.born, BornCharges):
                raise ConfigError(
                    "oracle.born: charges belong to one crystal, a campaign has many; expected "
                    "settings of espresso, which computes them; `phonoscout evaluate` takes them"
                )
            return {name: build_oracle(config.oracle, name) for name in config.oracle.fidelities}
        if config.oracle.kind == "green":
            return {"green": build_oracle(config.oracle, "green")}
        if config.oracle.kind == "interface":
            assert isinstance(space, InterfaceSpace)  # no other config is valid
            check_elements(config.oracle.calculator, space.crystals)
            return {name: build_oracle(config.oracle, name) for name in config.oracle.fidelities}
        ids = chosen_ids(space, _table(Path(config.oracle.table))[0])
        names = _fidelities(config.oracle)
        return {name: build_oracle(config.oracle, name, ids, config.objective) for name in names}
    except OracleError as error:
        raise ConfigError(f"oracle: {error.message}") from error


_ONLY_FIDELITY = "table"


def _fidelities(settings: ReplaySettings) -> list[str]:
    return list(settings.fidelities or {}) or [_ONLY_FIDELITY]


def check_table(config: CampaignConfig, space: Space) -> list[str]:
    """Refuse a replay table whose numbers cannot be learned from; returns what is to be told.

    Raises:
        ConfigError: naming the row.
    """
    if config.oracle.kind != "replay":
        return []
    notes: list[str] = []
    try:
        table = _table(Path(config.oracle.table))[0]
        for fidelity in _fidelities(config.oracle):
            columns = _column(config.oracle, fidelity)
            notes += check_rows(space, table, columns, log=config.objective.in_log)
    except OracleError as error:
        raise ConfigError(f"oracle: {error.message}") from error
    return notes


def build_oracle(
    settings: PhononSettings | GreenSettings | InterfaceSettings | ReplaySettings,
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
        return PhononBTE(settings, "harmonic" if fidelity == "harmonic" else "bte")
    if settings.kind == "green":
        return GreenOracle(settings)
    if settings.kind == "interface":
        return InterfaceOracle(settings, "overlap" if fidelity == "overlap" else "mismatch")
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
        names = ("column", "stable_column", "std_column", "confirm_column")
        return {name: getattr(settings, name) for name in names}
    return dict(settings.fidelities[fidelity].model_dump())


def _table(path: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """Rows by id and SHA-256 of a table, read once per process unless it is changed."""
    try:
        found = path.stat()
    except OSError:
        return load_table(path)  # which says what is wrong
    return _table_as_it_was(path, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=4)
def _table_as_it_was(
    path: Path, changed_ns: int, size: int
) -> tuple[dict[str, dict[str, Any]], str]:
    return load_table(path)


def tightened(oracle: Oracle, level: int) -> Oracle | None:
    """The oracle at the settings that confirm, or None where it has none so tight.

    Level 0 is the oracle itself; a table has at most one more column to confirm with.
    """
    if level == 0:
        return oracle
    if isinstance(oracle, ReplayOracle):
        return oracle.tightened(level) if level == 1 else None
    assert isinstance(oracle, PhononBTE | GreenOracle | InterfaceOracle)
    for _ in range(level):
        oracle = oracle.tightened()
    return oracle


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


def surrogate_settings(config: CampaignConfig, space: Space) -> Any:
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


def _default_surrogate(config: CampaignConfig, space: Space) -> Any:
    if config.oracle.kind == "interface":
        return GaussianProcessSettings(features=config.oracle.calculator)
    return SequenceProcessSettings() if is_layered(space) else GraphEnsembleSettings()


def build_surrogate(
    settings: Any, outputs: Sequence[Output], fidelity: str, seed: int, store: FeatureStore
) -> Surrogate:
    """The surrogate that settings name, not fitted yet."""
    return SURROGATES[settings.kind](outputs, fidelity, seed=seed, store=store, settings=settings)


def build_features(settings: Any, cache: Path, executor: Executor) -> FeatureStore:
    """The features of crystals that a surrogate's settings ask for, computed on all workers."""
    potential, phonons = settings.features, getattr(settings, "phonons", False)
    mapper = parallel_features(executor, potential, cache, phonons=phonons)
    return FeatureStore(potential, cache, mapper, phonons=phonons)


_SHARD = 8
"""Crystals per feature call: a second or two of work, so that all workers end together."""


def parallel_features(
    executor: Executor, potential: str, cache: Path, *, phonons: bool = False
) -> Mapper:
    """A mapper that computes missing features on all workers, then reads them from the cache."""

    def mapped(
        function: Callable[[Crystal], CrystalFeatures], crystals: list[Crystal]
    ) -> Iterable[CrystalFeatures]:
        missing = [c for c in crystals if not is_cached(potential, c, cache, phonons=phonons)]
        payloads = [
            {
                "potential": potential,
                "crystals": [c.model_dump(mode="json") for c in missing[i : i + _SHARD]],
                "cache": str(cache),
                "phonons": phonons,
            }
            for i in range(0, len(missing), _SHARD)
        ]
        for _ in executor.map("orchestrator.calls.oracle_calls:features", payloads):
            pass
        return map(function, crystals)

    return mapped


def build_executor(settings: ExecutorSettings) -> Executor:
    """The executor a config names."""
    return EXECUTORS[settings.kind](settings)
