"""The table from `kind` to oracles. To add a kind, add a line here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.contract.protocol import Space
from agents.contract.settings import ObjectiveSettings
from agents.spaces.pool import PoolSpace
from oracle.contract.own_oracle import OwnOracle, OwnOracleSettings
from oracle.contract.protocol import Oracle
from oracle.green.oracle import GreenOracle
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import BornCharges, PhononSettings
from oracle.potentials.forces import check_elements
from oracle.potentials.table import weights_digest
from oracle.replay.oracle import ReplayOracle
from oracle.replay.settings import ReplaySettings
from oracle.replay.table import load_table
from oracle.runtime.errors import OracleError
from orchestrator.assembly.table_rows import check_rows, chosen_ids, unanswered
from orchestrator.config.budget_settings import ConfirmationSettings
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.oracle_settings import AnyOracleSettings

_ONLY_FIDELITY = "table"


@dataclass(frozen=True)
class Answers:
    """What a replay oracle needs to look up its answers.

    Args:
        ids: id of the row that answers for a material, by the material's digest.
        property: name of the property in the table.
    """

    ids: Mapping[str, str]
    property: str


@dataclass(frozen=True)
class OracleKind:
    """How the oracles of one kind are created; the first argument of each function is its settings.

    Args:
        fidelities: returns the fidelities that the settings ask for, cheapest first.
        build: creates the oracle of one fidelity.
        check: checks what matters in a campaign only, given the space as well; raises ConfigError
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
    from agents.spaces.interface_space import InterfaceSpace

    assert isinstance(space, InterfaceSpace)  # no other config is valid
    check_elements(settings.calculator, space.crystals)


def _interface(settings: Any, fidelity: str, answers: Answers | None) -> Oracle:
    # Half a second of SciPy, which no stored evaluation of a crystal should wait for.
    from oracle.interface.oracle import InterfaceOracle

    return InterfaceOracle(settings, "overlap" if fidelity == "overlap" else "mismatch")


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
        build=_interface,
        check=_check_interface,
    ),
    "replay": OracleKind(fidelities=_replay_fidelities, build=_replay),
}


def fidelities_of(settings: AnyOracleSettings) -> Sequence[str]:
    """Names of the fidelities that settings ask for, cheapest first.

    Raises:
        OracleError: an oracle of the user's own cannot be created.
    """
    if isinstance(settings, OwnOracleSettings):
        return (OwnOracle(settings).fidelity,)
    return ORACLES[settings.kind].fidelities(settings)


def build_oracles(config: CampaignConfig, space: Space) -> dict[str, Oracle]:
    """Create the oracles, by fidelity, cheapest first; the last one measures the objective.

    Raises:
        ConfigError: the potential is unknown, or the table does not fit the space.
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
    """Create the oracle of one fidelity.

    Args:
        settings: settings of the oracle.
        fidelity: one of its fidelities.
        ids: id in the replay table by material digest (replay only).
        objective: names the property in the table (replay), and the temperature at which the error
            has to be small (phonon-bte).

    Raises:
        OracleError: the potential is unknown, or the table cannot be read.
    """
    if isinstance(settings, OwnOracleSettings):
        return OwnOracle(settings)
    if isinstance(settings, PhononSettings) and objective is not None and objective.temperature:
        settings = settings.referring_to(objective.temperature)
    answers = None if objective is None else Answers(ids or {}, objective.property)
    return ORACLES[settings.kind].build(settings, fidelity, answers)


def confirming(oracle: Oracle, settings: ConfirmationSettings) -> tuple[Oracle, bool]:
    """The oracle whose tightened form confirms leaders, and whether it solves in full as well.

    Args:
        oracle: of the objective's fidelity.
        settings: of confirmations.
    """
    if settings.transport != "lbte" or not isinstance(oracle, PhononBTE):
        return oracle, False
    given = oracle.settings
    if oracle.fidelity == "harmonic" or given.transport == "lbte" or given.full_solution:
        return oracle, False
    return PhononBTE(given.model_copy(update={"full_solution": True})), True


def second_oracle(config: CampaignConfig) -> Oracle | None:
    """The oracle of the objective's fidelity with the potential that gives second opinions.

    Its settings are those of the campaign, not tightened. None where no second opinion is wanted.

    Raises:
        ConfigError: the second potential is unknown or not installed, or it is the first one under
            another name.
    """
    name = config.confirmation.second_opinion
    if name is None:
        return None
    assert isinstance(config.oracle, PhononSettings)  # no other config is valid
    key = "confirmation.second_opinion"
    try:
        settings = config.oracle.model_copy(update={"calculator": name})
        if weights_digest(settings.potential) == weights_digest(config.oracle.potential):
            raise ConfigError(
                f"{key}: {name} has the same weights as oracle.calculator, "
                f"{config.oracle.calculator}; expected another potential"
            )
        return build_oracle(settings, fidelities_of(settings)[-1], None, config.objective)
    except OracleError as error:
        raise ConfigError(f"{key}: {error.message}") from error


def answerable(config: CampaignConfig, space: Space) -> Space:
    """The space without what a replay table cannot answer for, which would cost evaluations.

    Raises:
        ConfigError: the table cannot be read, or has a value of no material of the space.
    """
    settings = config.oracle
    if not isinstance(settings, ReplaySettings) or not isinstance(space, PoolSpace):
        return space
    try:
        table = _table(Path(settings.table))[0]
    except OracleError as error:
        raise ConfigError(f"oracle: {error.message}") from error
    fidelities = [_column(settings, fidelity) for fidelity in _replay_fidelities(settings)]
    columns = fidelities[-1]
    missing = unanswered(space, table, fidelities)
    if not missing:
        return space
    if len(missing) == space.size:
        raise ConfigError(
            f"oracle: table {settings.table} has no number in column {columns['column']!r} for any "
            f"of the {space.size} materials of the space; expected rows whose ids are those of the "
            f"pool, such as {next(iter(space.ids.values()))!r}"
        )
    return space.without(missing)


def check_table(config: CampaignConfig, space: Space) -> list[str]:
    """Refuse a replay table with numbers that cannot be learned from; returns notes for the user.

    Raises:
        ConfigError: a row cannot be used; names it.
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
    """Rows by id, and SHA-256, of a table; read once per process unless the file changes."""
    try:
        file_status = path.stat()
    except OSError:
        return load_table(path)  # raises an error that says what is wrong
    return _cached_table(path, file_status.st_mtime_ns, file_status.st_size)


@functools.lru_cache(maxsize=4)
def _cached_table(path: Path, changed_ns: int, size: int) -> tuple[dict[str, dict[str, Any]], str]:
    return load_table(path)
