"""The whole of a campaign's settings: composed of what each layer declares, validated at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from agents.pool_content import content_sha256
from agents.settings import (
    AgentSettings,
    ConstraintSettings,
    ObjectiveSettings,
    SelectionSettings,
    SpaceSettings,
)
from oracle.errors import OracleError
from oracle.interface_settings import InterfaceSettings
from oracle.plain_yaml import parse_yaml
from oracle.settings import GreenSettings, PhononSettings, ReplaySettings
from oracle.text_files import read_text
from orchestrator.config_errors import one_line
from orchestrator.config_values import check_values
from orchestrator.healing_settings import DftSettings
from orchestrator.interface_rules import check_interfaces
from orchestrator.objective_rules import check_objective
from orchestrator.settings import Duration, ExecutorSettings, TrackingSettings
from surrogate.settings import SurrogateSettings

REFUSED = ("space", "objective", "oracle", "seed")
"""Keys that make the science: they cannot change on resume."""
STEERED = ("agents", "surrogate", "constraints", "budget", "dft", "selection", "confirmation")
"""Keys that may change on resume, by an event."""
FREE = ("executor", "tracking")
"""Keys that say where to run; they may change at any time."""
TRAINABLE = ("7net", "chgnet")
"""Potentials whose holes can be healed, by the beginning of their names."""
INPUTS = ("space.path", "oracle.table")
"""Keys that hold paths: relative to the config file, and pinned by the SHA-256 of the content."""


class ConfigError(Exception):
    """The input was wrong: one line that names the key, what was given and what is allowed."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ConfirmationSettings(_Settings):
    """Evaluation of the leaders at tighter settings before they are called best."""

    leaders: int = Field(default=5, ge=0)
    """How many of the best must be confirmed when the campaign ends; 0 turns it off."""
    max_calls: int = Field(default=15, ge=0)
    """Calls at tighter settings, which do not count as `oracle_calls`; each time the budget is
    raised on resume, there are as many again."""
    each_round: bool = True
    """Whether a new leader is confirmed in the round after it was found."""
    sigmas: float = Field(default=2.0, gt=0)
    """How many combined standard errors a leader may move and still be confirmed."""
    max_error: float = Field(default=0.25, gt=0)
    """Largest relative standard error of the tighter evaluation; a vaguer one confirms nothing."""
    default_error: float = Field(default=0.1, gt=0)
    """Relative standard error taken for an evaluation that states none."""


class BudgetSettings(_Settings):
    """When the campaign ends; whatever is reached first."""

    rounds: int | None = Field(default=None, ge=1)
    batch: int = Field(default=4, ge=1)
    oracle_calls: int = Field(default=20, ge=1)
    """Trials at the objective's fidelity."""
    cost_h: float | None = Field(default=None, gt=0)
    """Recorded cost of all oracle calls, hours."""
    wall_time: Duration | None = None
    """Seconds, or a text such as ``30min``."""
    cheap_share: float = Field(default=0.1, ge=0, le=1)
    """Recorded cost that cheaper fidelities may add, as a share of the objective's."""
    min_gain: float | None = Field(default=None, gt=0)
    """Stop when the posterior expects less than this gain on the modelled scale (log10)."""


OracleSettings = Annotated[
    PhononSettings | GreenSettings | InterfaceSettings | ReplaySettings,
    Field(discriminator="kind"),
]


class CampaignConfig(_Settings):
    """A validated campaign: `name`, `space`, `objective` and `oracle` have no default."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    seed: int = Field(default=0, ge=0)
    space: SpaceSettings
    objective: ObjectiveSettings
    constraints: tuple[ConstraintSettings, ...] | None = None
    """None: stable, and for real potentials neither phantom polymorphs nor above the elements."""
    agents: tuple[AgentSettings, ...] | None = Field(default=None, min_length=1)
    """None: what `agents.defaults.default_agents` says of such materials."""
    selection: SelectionSettings = SelectionSettings()
    surrogate: SurrogateSettings | None = None
    """None: a graph ensemble for crystals, a `sequence-process` for layer sequences, a Gaussian
    process for pairs of crystals."""
    oracle: OracleSettings
    dft: DftSettings = DftSettings()
    confirmation: ConfirmationSettings = ConfirmationSettings()
    budget: BudgetSettings = BudgetSettings()
    executor: ExecutorSettings = ExecutorSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _possible(self, info: ValidationInfo) -> CampaignConfig:
        if self.oracle.kind == "replay" and self.space.kind != "pool":
            raise ValueError(
                "oracle.kind: replay looks answers up by the ids of a pool, but space.kind is "
                f"{self.space.kind!r}; expected space.kind: pool"
            )
        if self.dft.heals:
            self._check_healing()
        if (self.oracle.kind == "interface") != (self.space.kind == "interface"):
            raise ValueError(
                f"oracle.kind: given {self.oracle.kind!r} with space.kind {self.space.kind!r}; "
                "expected interface for both or for neither"
            )
        if self.oracle.kind == "interface":
            check_interfaces(self)
        if not (info.context or {}).get("recorded"):
            check_objective(self)
        return self

    def _check_healing(self) -> None:
        """Only potentials that can be fine-tuned have their holes healed."""
        if self.oracle.kind != "phonon-bte":
            raise ValueError(
                f"dft.engine: given with oracle.kind: {self.oracle.kind}, which has no potential; "
                "expected oracle.kind: phonon-bte"
            )
        potential = self.oracle.calculator
        family = potential if isinstance(potential, str) else potential.engine
        if not family.startswith(TRAINABLE):
            raise ValueError(
                f"dft.engine: oracle.calculator {family!r} cannot be fine-tuned; expected one that "
                f"begins with {' or '.join(TRAINABLE)}"
            )
        if self.dft.engine == potential or potential in self.dft.committee:
            raise ValueError(
                f"dft: oracle.calculator {potential!r} is named as engine or in committee too; "
                "expected others, which can contradict it"
            )


def read_yaml(path: Path) -> Any:
    """The value of a YAML file, in any encoding of Unicode.

    Raises:
        ConfigError: unreadable file, or no YAML of plain values.
    """
    try:
        return parse_yaml(read_text(path))
    except OracleError as error:
        raise ConfigError(error.message) from error
    except ValueError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error


def load_config(
    path: Path, overrides: Sequence[str] = (), name: str | None = None
) -> CampaignConfig:
    """Read and validate a config file; its paths become absolute.

    Args:
        path: YAML file.
        overrides: ``key.path=value`` texts, values in YAML.
        name: replaces the config's name.

    Raises:
        ConfigError: unreadable file, or anything in it that is not allowed.
    """
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: given {type(raw).__name__}; expected a mapping of keys")
    for override in overrides:
        set_key(raw, override)
    if name is not None:
        raw["name"] = name
    config = validate(raw, str(path), base=path.resolve().parent)
    for key, input_path in input_paths(config):
        if not input_path.exists():
            raise ConfigError(f"{path}: {key}: {input_path} does not exist")
    return config


def validate(
    raw: dict[str, Any], source: str, base: Path | None = None, *, recorded: bool = False
) -> CampaignConfig:
    """The validated config; relative input paths are taken from `base`.

    Args:
        raw: as read.
        source: names it in errors.
        base: folder of relative input paths; None leaves them as they are.
        recorded: whether a campaign has begun with it, so that it is too late to refuse what it
            seeks.

    Raises:
        ConfigError: anything that is not allowed.
    """
    try:
        check_values(raw, {})
        if base is not None:
            raw = _absolute_inputs(raw, base)
        config = CampaignConfig.model_validate(raw, context={"recorded": recorded})
        check_values(raw, config.model_dump())
    except ValidationError as error:
        raise ConfigError(one_line(error, CampaignConfig, source)) from error
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from error
    return config


def _absolute_inputs(raw: dict[str, Any], base: Path) -> dict[str, Any]:
    result = dict(raw)
    for key in INPUTS:
        section, _, field = key.partition(".")
        values = result.get(section)
        if isinstance(values, dict) and isinstance(values.get(field), str):
            result[section] = {**values, field: str((base / values[field]).resolve())}
    space = result.get("space")
    if isinstance(space, dict) and isinstance(space.get("alphabet"), dict):
        named = space["alphabet"].items()
        layers = {k: str((base / v).resolve()) if _is_file(v) else v for k, v in named}
        result["space"] = {**space, "alphabet": layers}
    return result


def _is_file(material: Any) -> bool:
    """Whether a layer's material is a path rather than a formula."""
    return isinstance(material, str) and ("/" in material or Path(material).suffix != "")


def set_key(raw: dict[str, Any], override: str) -> None:
    """Apply one ``key.path=value`` to a raw config, in place; list items go by index.

    Raises:
        ConfigError: the text has no ``=``, the value is no YAML, or the path leads nowhere.
    """
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"--set {override}: expected key.path=value")
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"--set {path}: {text!r} is not valid YAML") from error
    *parents, last = path.strip().split(".")
    holder: Any = raw
    for part in parents:
        holder = _descend(holder, part, path)
    if isinstance(holder, list):
        _descend(holder, last, path)
        holder[int(last)] = value
    elif isinstance(holder, dict):
        holder[last] = value
    else:
        raise ConfigError(f"--set {path}: {parents[-1]!r} is a plain value; it has no keys")


def _descend(holder: Any, part: str, path: str) -> Any:
    if isinstance(holder, list):
        if not part.isdigit() or int(part) >= len(holder):
            raise ConfigError(
                f"--set {path}: given {part!r}; expected an index from 0 to {len(holder) - 1}"
            )
        return holder[int(part)]
    if isinstance(holder, dict):
        if holder.get(part) is None:
            holder[part] = {}
        return holder[part]
    raise ConfigError(f"--set {path}: {part!r} lies below a plain value")


def input_paths(config: CampaignConfig) -> Iterator[tuple[str, Path]]:
    """Full keys that hold paths, with the paths."""
    if config.space.kind in ("pool", "interface"):
        yield "space.path", Path(config.space.path)
    if config.space.kind == "superlattice":
        for letter, material in sorted(config.space.alphabet.items()):
            if _is_file(material):
                yield f"space.alphabet.{letter}", Path(material)
    if config.oracle.kind == "replay":
        yield "oracle.table", Path(config.oracle.table)


def input_digests(
    config: CampaignConfig, recorded: Mapping[str, str] | None = None
) -> dict[str, str]:
    """SHA-256 of the content of every input: of a file, or of a folder's structure files.

    Args:
        config: names them.
        recorded: what a campaign began with. Earlier versions took every file of a folder; such a
            digest is given again where all of them are as they were.

    Raises:
        ConfigError: an input is missing, with its key.
    """
    known = recorded or {}
    try:
        return {key: _content_digest(path, known.get(key)) for key, path in input_paths(config)}
    except OracleError as error:
        raise ConfigError(error.message) from error


def _content_digest(path: Path, recorded: str | None) -> str:
    digest = content_sha256(path)
    if path.is_dir() and recorded not in (None, digest) and _digest_of_all(path) == recorded:
        return str(recorded)
    return digest


def _digest_of_all(folder: Path) -> str:
    """The digest that earlier versions recorded of a folder: of all files below it."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(file.relative_to(folder)).encode() + b"\0")
        digest.update(file.read_bytes())
    return digest.hexdigest()


def differences(before: Any, after: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Full keys at which two JSON-like values differ, with (before, after)."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in sorted(before.keys() | after.keys()):
            path = f"{prefix}.{key}" if prefix else str(key)
            found |= differences(before.get(key), after.get(key), path)
        return found
    return {} if before == after else {prefix: (before, after)}
