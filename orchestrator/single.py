"""One structure file through the oracle, outside of any campaign."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from rich.console import Console

from oracle.born import read_born
from oracle.canonical import canonicalize
from oracle.evaluation import Failed
from oracle.phonon_bte import PhononBTE
from oracle.protocol import Context
from oracle.report import evaluation_json
from oracle.settings import PhononSettings
from oracle.structure_io import read_structure
from orchestrator.config import ConfigError, set_key
from orchestrator.config_errors import one_line


def evaluate_file(
    home: Path,
    structure: Path,
    oracle: Path | None,
    overrides: Sequence[str],
    console: Console,
) -> dict[str, Any]:
    """Evaluate a structure file; finished stages in `home` are reused.

    Args:
        home: where stages and artefacts are kept.
        structure: any file ASE or pymatgen reads; a file ``BORN`` of phonopy's beside it adds the
            non-analytic term.
        oracle: YAML file with the oracle's settings, without prefix.
        overrides: ``key=value`` texts over those.
        console: where progress is shown (stderr).

    Returns:
        The document of ``evaluate --json``; tensors are in the frame of the given file.

    Raises:
        ConfigError: settings that are not allowed.
        OracleError: stage ``read``; a file that cannot be evaluated.
    """
    settings = oracle_settings(oracle, overrides)
    given = read_structure(structure)
    crystal, rotation = canonicalize(given)
    born = structure.parent / "BORN"
    if born.is_file() and settings.born is None:
        console.print(f"charges and dielectric tensor from {born}", highlight=False)
        charges = read_born(born, given, crystal.conventional(), rotation)
        settings = settings.model_copy(update={"born": charges})
    engine = PhononBTE(settings, settings.fidelities[-1])
    with console.status(f"{crystal.formula}: relax") as status:
        context = Context(
            workdir=home / "artefacts",
            progress=lambda stage, share: status.update(f"{crystal.formula}: {stage} {share:.0%}"),
            keep_large=True,
            threads=os.cpu_count() or 1,
        )
        found = engine.evaluate(crystal, context=context)
    document = evaluation_json(found, rotation)
    document["artefacts"] = {
        name: str(home / "artefacts" / path) for name, path in found.artefacts.items()
    }
    if isinstance(found, Failed):
        console.print(f"{found.stage}: {found.message}", style="red", highlight=False)
    return document


def oracle_settings(path: Path | None, overrides: Sequence[str]) -> PhononSettings:
    """Settings of the phonon oracle from a file and ``key=value`` texts.

    Raises:
        ConfigError: unreadable file, unknown key or a value that is not allowed.
    """
    raw: Any = {}
    if path is not None:
        try:
            raw = yaml.safe_load(path.read_text()) or {}
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
        if isinstance(raw, dict) and set(raw) == {"oracle"}:
            raw = raw["oracle"]  # a whole config's section is understood as well
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: given {type(raw).__name__}; expected a mapping of keys")
    for override in overrides:
        set_key(raw, override)
    if raw.get("kind", "phonon-bte") != "phonon-bte":
        raise ConfigError(f"oracle.kind: given {raw['kind']!r}; evaluate needs phonon-bte")
    try:
        return PhononSettings.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(one_line(error, PhononSettings, str(path or "--set"))) from error
