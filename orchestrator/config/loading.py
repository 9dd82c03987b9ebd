"""Reading, checking and comparing configs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import (
    ValidationError,
)

from agents.spaces.pool_content import content_sha256
from agents.spaces.settings import OwnSpaceSettings
from oracle.runtime.errors import OracleError
from oracle.runtime.local_inputs import Known
from oracle.runtime.plain_yaml import parse_yaml
from oracle.runtime.sources import digest_of_import
from orchestrator.config.config import CampaignConfig, input_paths, read_yaml
from orchestrator.config.config_values import check_values
from orchestrator.config.errors import ConfigError
from orchestrator.config.messages import one_line

_NOTHING = Known()


def load_config(
    path: Path, overrides: Sequence[str] = (), name: str | None = None
) -> CampaignConfig:
    """Read and validate a config file; its paths become absolute.

    Args:
        path: YAML file.
        overrides: ``key.path=value`` texts, values in YAML.
        name: replaces the config's name.

    Raises:
        ConfigError: the file cannot be read, or something in it is not allowed.
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
    raw: dict[str, Any],
    source: str,
    base: Path | None = None,
    *,
    recorded: bool = False,
    remote: bool = False,
    known: Known = _NOTHING,
) -> CampaignConfig:
    """Validate a config; relative input paths are resolved against `base`.

    Args:
        raw: the config as read.
        source: its name in error messages.
        base: folder of relative input paths; None leaves them unchanged.
        recorded: whether a campaign has already begun with it; its objective and kinds are then
            not checked again.
        remote: whether it came over HTTP, where relative paths, import paths and commands are
            refused.
        known: paths, import paths and commands that are allowed nevertheless, because the campaign
            already has them.

    Raises:
        ConfigError: something is not allowed.
    """
    try:
        check_values(raw, {})
        context = {"recorded": recorded, "base": base, "remote": remote, "known": known}
        config = CampaignConfig.model_validate(raw, context=context)
        check_values(raw, config.model_dump())
    except ValidationError as error:
        raise ConfigError(one_line(error, CampaignConfig, source)) from error
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from error
    return config


def set_key(raw: dict[str, Any], override: str) -> None:
    """Apply one ``key.path=value`` to a raw config, in place; list items are addressed by index.

    Raises:
        ConfigError: the text has no ``=``, the value is not YAML, or the path does not exist.
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


def input_digests(
    config: CampaignConfig, recorded: Mapping[str, str] | None = None
) -> dict[str, str]:
    """SHA-256 of the content of every input: of a file, or of the structure files in a folder.

    The digest of a user's own space is that of its source files.

    Args:
        config: names the inputs.
        recorded: digests recorded when the campaign began. Earlier versions hashed every file of a
            folder; such a digest is returned again if none of the files has changed.

    Raises:
        ConfigError: an input is missing, with its key.
    """
    earlier = recorded or {}
    try:
        digests = {
            key: _content_digest(path, earlier.get(key)) for key, path in input_paths(config)
        }
        if isinstance(config.space, OwnSpaceSettings):
            digests["space.kind"] = digest_of_import(config.space.kind)
        return digests
    except OracleError as error:
        raise ConfigError(error.message) from error


def _content_digest(path: Path, recorded: str | None) -> str:
    digest = content_sha256(path)
    if path.is_dir() and recorded not in (None, digest) and _digest_of_all(path) == recorded:
        return str(recorded)
    return digest


def differences(before: Any, after: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Full keys at which two JSON-like values differ, with (before, after)."""
    if isinstance(before, dict) and isinstance(after, dict):
        changes: dict[str, tuple[Any, Any]] = {}
        for key in sorted(before.keys() | after.keys()):
            path = f"{prefix}.{key}" if prefix else str(key)
            changes |= differences(before.get(key), after.get(key), path)
        return changes
    return {} if before == after else {prefix: (before, after)}


def _digest_of_all(folder: Path) -> str:
    """Digest of all files below a folder, which earlier versions recorded."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(file.relative_to(folder)).encode() + b"\0")
        digest.update(file.read_bytes())
    return digest.hexdigest()
