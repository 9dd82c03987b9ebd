"""Evaluates one structure, superlattice or interface outside of any campaign."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from oracle.contract.own_oracle import OwnOracleSettings
from oracle.contract.report import evaluation_json
from oracle.green.settings import GreenSettings
from oracle.interface.settings import InterfaceSettings
from oracle.materials.crystal import canonicalize
from oracle.materials.interface import Interface
from oracle.materials.material import Material
from oracle.materials.superlattice import Superlattice
from oracle.phonons.axes import Axes, axes_of
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError
from oracle.runtime.local_inputs import names_code
from oracle.runtime.plain_json import parse_json
from oracle.runtime.suggestions import did_you_mean
from oracle.runtime.text_files import read_text
from oracle.structure_files.structure_io import read_file
from orchestrator.assembly.budgets import budgets_of
from orchestrator.assembly.charges import ChargesChoice, take_choice, with_charges
from orchestrator.assembly.given_structures import with_scaling
from orchestrator.assembly.oracles import build_oracle, fidelities_of
from orchestrator.config.config import read_yaml
from orchestrator.config.config_values import check_values
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import set_key
from orchestrator.config.messages import one_line
from orchestrator.executors.worker import nothing_printed
from orchestrator.presentation.progress_frame import Ticking
from orchestrator.presentation.rendering import say

Computing = PhononSettings | GreenSettings | InterfaceSettings | OwnOracleSettings
_SETTINGS: dict[str, type[Computing]] = {
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
        home: where stages and artefacts are stored.
        structure: any file that ASE or pymatgen can read; charges in phonopy's format beside it add
            the non-analytic term (`oracle.structure_files.born_files.charges_beside`). Or a
            superlattice or an interface as JSON, a file that `best` names under ``file``.
        oracle: YAML file with the oracle's settings, without prefix.
        overrides: ``key=value`` texts, which take precedence over the file.
        console: where progress is shown (stderr).

    Returns:
        The document of ``evaluate --json``; tensors refer to the axes of the file.

    Raises:
        ConfigError: settings that are not allowed.
        OracleError: the file cannot be evaluated; stage ``read``.
    """
    settings, charges = oracle_settings(oracle, overrides)
    material, axes, settings = _material(structure, settings, charges, console)
    built = build_oracle(settings, fidelities_of(settings)[-1])
    display = Ticking(material.formula)
    with console.status(display):
        context = Context(
            workdir=home / "artefacts",
            progress=display.note,
            keep_large=True,
            threads=os.cpu_count() or 1,
        )
        with nothing_printed():
            outcome = built.evaluate(material, context=context)
    document = evaluation_json(outcome, axes=axes)
    document["low_confidence"] = with_scaling(outcome, document["low_confidence"])
    document["error_budget"] = budgets_of(outcome)
    document["artefacts"] = {
        name: str(home / "artefacts" / path) for name, path in outcome.artefacts.items()
    }
    return document


def _material(
    structure: Path, settings: Computing, charges: ChargesChoice, console: Console
) -> tuple[Material, Axes | None, Computing]:
    """The material in a file, its axes in the file, and the settings for its canonical axes.

    The settings include charges that lie beside the file.

    Raises:
        ConfigError: the oracle cannot evaluate such a material.
        OracleError: the file holds no material; stage ``read``.
    """
    design = _design(structure)
    if isinstance(design, Interface):
        if not isinstance(settings, InterfaceSettings | OwnOracleSettings):
            raise ConfigError(
                f"{structure}: holds an interface, and oracle.kind is {settings.kind!r}; expected "
                "--set kind=interface"
            )
        return design, None, settings
    if design is not None:
        # The Boltzmann equation is for crystals, so the layers are repeated periodically.
        layers = design.crystal() if isinstance(settings, PhononSettings) else design
        return layers, None, settings
    reading = read_file(structure)
    for remark in reading.remarks:
        say(console, f"{structure.name}: {remark}", style="yellow")
    material, axes = axes_of(reading.structure)
    if isinstance(settings, PhononSettings):
        settings = _in_canonical_axes(settings, axes, console)
        rotation = canonicalize(reading.structure)[1]
        settings = with_charges(
            settings,
            charges,
            structure,
            reading.structure,
            material.conventional(),
            rotation,
            console,
        )
    return material, axes, settings


def _in_canonical_axes(settings: PhononSettings, axes: Axes, console: Console) -> PhononSettings:
    """The settings for the canonical axes; the user is told where they differ.

    Raises:
        OracleError: the canonical axes cannot express a mesh or supercell; stage ``read``.
    """
    used = axes.settings(settings)
    for name in ("fc2_supercell", "fc3_supercell", "mesh"):
        in_file, canonical = getattr(settings, name), getattr(used, name)
        if canonical != in_file:
            say(
                console,
                f"{name}: {_short(in_file)} along the axes of the file is {_short(canonical)} "
                "along those of the standard cell",
            )
    return used


def _short(size: Any) -> str:
    """A mesh or supercell matrix as text; only its diagonal where the rest is zero."""
    diagonal = [row[i] if isinstance(row, tuple) else row for i, row in enumerate(size)]
    if isinstance(size[0], tuple) and any(size[i][j] for i in range(3) for j in range(3) if i != j):
        return str([list(row) for row in size])
    return str(diagonal)


def _design(path: Path) -> Superlattice | Interface | None:
    """The superlattice or interface in a JSON file; None where it holds something else.

    Raises:
        ConfigError: the file claims to hold one, but is not valid.
    """
    if path.suffix != ".json":
        return None
    try:
        raw = parse_json(read_text(path))
    except (OracleError, ValueError, RecursionError):
        return None  # the error of reading it as a structure is more helpful
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


def oracle_settings(path: Path | None, overrides: Sequence[str]) -> tuple[Computing, ChargesChoice]:
    """Settings of an oracle from a file and ``key=value`` texts, and the choice of charges.

    Raises:
        ConfigError: unreadable file, unknown key or a value that is not allowed.
    """
    raw: Any = {}
    if path is not None:
        raw = read_yaml(path) or {}
        if isinstance(raw, dict) and set(raw) == {"oracle"}:
            raw = raw["oracle"]  # the section of a campaign's config is accepted as well
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: given {type(raw).__name__}; expected a mapping of keys")
    for override in overrides:
        set_key(raw, override)
    kind = raw.get("kind", "phonon-bte")
    own = isinstance(kind, str) and names_code(kind)
    if kind not in _SETTINGS and not own:
        near = did_you_mean(kind, _SETTINGS)
        raise ConfigError(
            f"oracle.kind: given {kind!r}; {near}evaluate needs {' or '.join(_SETTINGS)}"
        )
    model = OwnOracleSettings if own else _SETTINGS[kind]
    by_hand = any(text.partition("=")[0].strip() == "born" for text in overrides)
    charges = take_choice(raw, Path.cwd() if path is None or by_hand else path.parent)
    source = str(path or "--set")
    try:
        base = None if path is None else path.resolve().parent
        settings = model.model_validate(raw, context={"base": base})
        check_values(raw, settings.model_dump())
    except ValidationError as error:
        raise ConfigError(one_line(error, model, source)) from error
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from error
    return settings, charges
