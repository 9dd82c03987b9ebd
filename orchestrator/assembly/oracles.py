"""The table from `kind` to oracles. To add a kind, add a line here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.contract.protocol import Space
from agents.contract.settings import ObjectiveSettings
from agents.spaces.interface_space import InterfaceSpace
from oracle.contract.own_oracle import OwnOracle, OwnOracleSettings
from oracle.contract.protocol import Oracle
from oracle.green.oracle import GreenOracle
from oracle.interface.oracle import InterfaceOracle
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import BornCharges
from oracle.potentials.forces import check_elements
from oracle.replay.oracle import ReplayOracle
from oracle.replay.settings import ReplaySettings
from oracle.replay.table import load_table
from oracle.runtime.errors import OracleError
from orchestrator.assembly.table_rows import check_rows, chosen_ids
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.oracle_settings import AnyOracleSettings

_ONLY_FIDELITY = "table"


@dataclass(frozen=True)
class Answers:
    """What an oracle is told that looks its answers up.

    Args:
        ids: digest of a material to the id of the row that answers.
        property: that the table holds.
    """

    ids: Mapping[str, str]
    property: str


@dataclass(frozen=True)
class OracleKind:
    """How the oracles of one kind are made; all functions are given the settings of the kind.

    Args:
        fidelities: those that settings ask for, cheapest first.
        build: the oracle of one fidelity.
        check: what only a campaign has to observe, given its config and space; raises ConfigError
            or OracleError.
    """

    fidelities: Callable[[Any], Sequence[str]]
    build: Callable[[Any, str, Answers | None], Oracle]
    check: Callable[[Any, Space], None] = lambda settings, space: None


def _check_phonons(settings: Any, space: Space) -> None:
    if not isinstance(settings.calculator, str):
        raise ConfigError(
            f"oracle.calculator: got {settings.calculator}; expected a potential, "
            "whose features a campaign needs; DFT works with `phonoscout evaluate`"
        )
    if isinstance(settings.born, BornCharges):
        raise ConfigError(
            "oracle.born: charges belong to one crystal, a campaign has many; expected "
            "settings of espresso, which computes them; `phonoscout evaluate` takes them"
        )


def _check_interface(settings: Any, space: Space) -> None:
    assert isinstance(space, InterfaceSpace)  # no other config is valid
    check_elements(settings.calculator, space.crystals)


def _replay_fidelities(settings: ReplaySettings) -> list[str]:
    return list(settings.fidelities or {}) or [_ONLY_FIDELITY]


def _replay(settings: ReplaySettings, fidelity: str, answers: Answers | None) -> Oracle:
    assert answers is not None
    table, digest = _table(Path(settings.table))
    rows = {key: table[name] for key, name in answers.ids.items() if name in table}
    return ReplayOracle(
        rows,
        fidelity=fidelity,
        property=answers.property,
        table_sha256=digest,
        **_column(settings, fidelity),
    )


ORACLES: Mapping[str, OracleKind] = {
    "phonon-bte": OracleKind(
        fidelities=lambda settings: settings.fidelities,
        build=lambda settings, fidelity, answers: PhononBTE(
            settings, "harmonic" if fidelity == "harmonic" else "bte"
        ),
        check=_check_phonons,
    ),
    "green": OracleKind(
        fidelities=lambda settings: ("green",),
        build=lambda settings, fidelity, answers: GreenOracle(settings),
    ),
    "interface": OracleKind(
        fidelities=lambda settings: settings.fidelities,
        build=lambda settings, fidelity, answers: InterfaceOracle(
            settings, "overlap" if fidelity == "overlap" else "mismatch"
        ),
        check=_check_interface,
    ),
    "replay": OracleKind(fidelities=_replay_fidelities, build=_replay),
}


def fidelities_of(settings: AnyOracleSettings) -> Sequence[str]:
    """Names of the fidelities that settings ask for, cheapest first.

    Raises:
        OracleError: an oracle of the user's own cannot be made.
    """
    if isinstance(settings, OwnOracleSettings):
        return (OwnOracle(settings).fidelity,)
    return ORACLES[settings.kind].fidelities(settings)


def build_oracles(config: CampaignConfig, space: Space) -> dict[str, Oracle]:
    """Oracles by fidelity, cheapest first; the last measures the objective.

    Raises:
        ConfigError: unknown potential, or a table that does not fit.
    """
    settings = config.oracle
    try:
        if not isinstance(settings, OwnOracleSettings):
            ORACLES[settings.kind].check(settings, space)
        ids: Mapping[str, str] = {}
        if isinstance(settings, ReplaySettings):
            ids = chosen_ids(space, _table(Path(settings.table))[0])
        return {
            name: build_oracle(settings, name, ids, config.objective)
            for name in fidelities_of(settings)
        }
    except OracleError as error:
        raise ConfigError(f"oracle: {error.message}") from error


def build_oracle(
    settings: AnyOracleSettings,
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
    if isinstance(settings, OwnOracleSettings):
        return OwnOracle(settings)
    answers = None if objective is None else Answers(ids or {}, objective.property)
    return ORACLES[settings.kind].build(settings, fidelity, answers)


def check_table(config: CampaignConfig, space: Space) -> list[str]:
    """Refuse a replay table whose numbers cannot be learned from; returns what is to be told.

    Raises:
        ConfigError: naming the row.
    """
    if not isinstance(config.oracle, ReplaySettings):
        return []
    notes: list[str] = []
    try:
        table = _table(Path(config.oracle.table))[0]
        for fidelity in _replay_fidelities(config.oracle):
            columns = _column(config.oracle, fidelity)
            notes += check_rows(
                space,
                table,
                columns,
                log=config.objective.in_log,
                direction=config.objective.direction,
            )
    except OracleError as error:
        raise ConfigError(f"oracle: {error.message}") from error
    return notes


def _column(settings: ReplaySettings, fidelity: str) -> dict[str, Any]:
    if settings.fidelities is None:
        names = ("column", "stable_column", "std_column", "confirm_column", "unit")
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
