"""One structure, design of layers or pair of crystals through the oracle, outside any campaign."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.console import Console

from oracle.born import read_born
from oracle.canonical import canonicalize
from oracle.interface_settings import InterfaceSettings
from oracle.material import Interface, Material, Superlattice
from oracle.protocol import Context
from oracle.report import evaluation_json
from oracle.settings import GreenSettings, PhononSettings
from oracle.structure_io import read_structure
from oracle.suggestions import did_you_mean
from orchestrator.build import build_oracle
from orchestrator.config import ConfigError, set_key
from orchestrator.config_errors import one_line
from orchestrator.progress_frame import Ticking
from orchestrator.rendering import say

Computing = PhononSettings | GreenSettings | InterfaceSettings
_SETTINGS: dict[str, type[PhononSettings] | type[GreenSettings] | type[InterfaceSettings]] = {
    "phonon-bte": PhononSettings,
    "green": GreenSettings,
    "interface": InterfaceSettings,
}


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
            non-analytic term. Or a design of layers or a pair of crystals as JSON, as `best` names
            them under ``file``.
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
    material, rotation, settings = _material(structure, settings, console)
    engine = build_oracle(settings, getattr(settings, "fidelities", ("green",))[-1])
    at = Ticking(material.formula)
    with console.status(at):
        context = Context(
            workdir=home / "artefacts",
            progress=at.note,
            keep_large=True,
            threads=os.cpu_count() or 1,
        )
        found = engine.evaluate(material, context=context)
    document = evaluation_json(found, rotation)
    document["artefacts"] = {
        name: str(home / "artefacts" / path) for name, path in found.artefacts.items()
    }
    return document


def _material(
    structure: Path, settings: Computing, console: Console
) -> tuple[Material, NDArray[np.float64] | None, Computing]:
    """What a file holds, how it was turned (3, 3), and the settings with the charges beside it.

    Raises:
        ConfigError: the oracle does not measure such a material.
        OracleError: stage ``read``; neither a structure nor a design.
    """
    design = _design(structure)
    if isinstance(design, Interface):
        if not isinstance(settings, InterfaceSettings):
            raise ConfigError(
                f"{structure}: holds an interface, and oracle.kind is {settings.kind!r}; expected "
                "--set kind=interface"
            )
        return design, None, settings
    if design is not None:
        # The Boltzmann equation is for crystals: there the layers repeat without end.
        layers = design.crystal() if isinstance(settings, PhononSettings) else design
        return layers, None, settings
    given = read_structure(structure)
    material, rotation = canonicalize(given)
    born = structure.parent / "BORN"
    if born.is_file() and isinstance(settings, PhononSettings) and settings.born is None:
        say(console, f"charges and dielectric tensor from {born}")
        charges = read_born(born, given, material.conventional(), rotation)
        settings = settings.model_copy(update={"born": charges})
    return material, rotation, settings


def _design(path: Path) -> Superlattice | Interface | None:
    """The design or pair that a JSON file holds; None where it is none of ours.

    Raises:
        ConfigError: it says that it is one, but is not.
    """
    if path.suffix != ".json":
        return None
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError):
        return None  # reading it as a structure will say what is wrong
    models: dict[str, type[Superlattice] | type[Interface]] = {
        "superlattice": Superlattice,
        "interface": Interface,
    }
    model = models.get(str(raw.get("kind"))) if isinstance(raw, dict) else None
    if model is None:
        return None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(one_line(error, model, str(path))) from error


def oracle_settings(path: Path | None, overrides: Sequence[str]) -> Computing:
    """Settings of a computing oracle from a file and ``key=value`` texts.

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
    kind = raw.get("kind", "phonon-bte")
    if kind not in _SETTINGS:
        near = did_you_mean(kind, _SETTINGS)
        raise ConfigError(
            f"oracle.kind: given {kind!r}; {near}evaluate needs {' or '.join(_SETTINGS)}"
        )
    model = _SETTINGS[kind]
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(one_line(error, model, str(path or "--set"))) from error
