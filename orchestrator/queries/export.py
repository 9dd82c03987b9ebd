"""Writes the best candidates in formats that other programs read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from oracle.materials.material import Material, crystals_of
from oracle.structure_files.structure_io import write_cif
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.ranking import ranking
from orchestrator.config.errors import ConfigError
from orchestrator.queries.material_files import files_of
from orchestrator.queries.queries import best, evaluation_document
from orchestrator.store.store import Store


def export_best(store: Store, name: str, directory: Path, form: str, k: int) -> list[Path]:
    """Write the k best candidates of a campaign.

    Args:
        store: database of the home.
        name: name of the campaign.
        directory: folder of the files; created if missing. Existing files of the same name are
            replaced.
        form: ``cif`` (relaxed structures, both crystals of an interface), ``json`` (table and full
            evaluations) or ``phono3py`` (one folder per candidate with the files that the phonopy
            and phono3py commands read).
        k: number of candidates.

    Returns:
        Paths of the files written.

    Raises:
        ConfigError: nothing was measured yet, or there are no such files for these materials.
    """
    campaign = Campaign(store, name)
    rows = ranking(campaign.state, campaign.objective)[:k]
    if not rows:
        raise ConfigError(f"campaign {name}: nothing was measured yet, so nothing can be exported")
    directory.mkdir(parents=True, exist_ok=True)
    if form == "json":
        documents: list[dict[str, Any]] = [
            {**row, "evaluation": evaluation_document(ranked.label.evaluation)}
            for row, ranked in zip(best(store, name, k), rows, strict=True)
        ]
        path = directory / f"{name}.json"
        path.write_text(json.dumps(documents, indent=2, allow_nan=False) + "\n")
        return [path]
    written: list[Path] = []
    for row in rows:
        evaluation = row.label.evaluation
        formula = evaluation.material.formula.replace(" | ", "-")
        stem = f"{row.rank:03d}-{formula}-{row.label.candidate}"
        crystals, files = crystals_of(evaluation.material), files_of(evaluation.material.kind)
        if not crystals:
            raise ConfigError(f"campaign {name}: {files.plural} have no {form}; use --format json")
        if form == "cif":
            written += _write_cifs(store, evaluation, directory, stem)
        elif not files.inputs_of_programs:
            raise ConfigError(f"campaign {name}: {files.plural} have no {form}; use cif or json")
        else:
            written += _copy_artefacts(store, evaluation, directory / stem)
    if not written:
        raise ConfigError(f"campaign {name}: its oracle writes no {form} files; use --format json")
    return written


def _write_cifs(store: Store, evaluation: Any, directory: Path, stem: str) -> list[Path]:
    """Write a crystal, or both of an interface; the relaxed structure if the oracle stored it."""
    material: Material = evaluation.material
    relaxed = [
        path
        for relative in evaluation.artefacts.values()
        if str(relative).endswith(".cif") and (path := store.home / "artefacts" / relative).exists()
    ]
    written = []
    crystals = crystals_of(material)
    for k, crystal in enumerate(crystals):
        side = f"-{k + 1}-{crystal.formula}" if len(crystals) > 1 else ""
        path = directory / f"{stem}{side}.cif"
        if k < len(relaxed):
            shutil.copyfile(relaxed[k], path)
        else:
            write_cif(crystal.conventional(), path)
        written.append(path)
    return written


def _copy_artefacts(store: Store, evaluation: Any, folder: Path) -> list[Path]:
    written = []
    for relative in evaluation.artefacts.values():
        source = store.home / "artefacts" / relative
        if source.exists():
            folder.mkdir(parents=True, exist_ok=True)
            written.append(Path(shutil.copy(source, folder / source.name)))
    return written
