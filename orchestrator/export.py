"""Writes the best candidates in formats other programs read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from oracle.material import Crystal
from oracle.structure_io import write_cif
from orchestrator.campaign import Campaign
from orchestrator.config import ConfigError
from orchestrator.queries import best, evaluation_document
from orchestrator.state import ranking
from orchestrator.store import Store


def export_best(store: Store, name: str, directory: Path, form: str, k: int) -> list[Path]:
    """Write the k best candidates of a campaign.

    Args:
        store: the home's database.
        name: the campaign.
        directory: where to; made if absent. Existing files of the same name are replaced.
        form: ``cif`` (relaxed structures), ``json`` (table and full evaluations) or ``phono3py``
            (one folder per candidate with the files the phonopy and phono3py commands read).
        k: how many.

    Returns:
        The paths written.

    Raises:
        ConfigError: nothing was measured, or the campaign's materials have no such files.
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
        stem = f"{row.rank:03d}-{evaluation.material.formula}-{row.label.candidate}"
        if not isinstance(evaluation.material, Crystal):
            raise ConfigError(f"campaign {name}: layer sequences have no {form}; use --format json")
        if form == "cif":
            path = directory / f"{stem}.cif"
            source = _artefact(store, evaluation, ".cif")
            if source is None:
                write_cif(evaluation.material.conventional(), path)
            else:
                shutil.copyfile(source, path)
            written.append(path)
        else:
            written += _copy_artefacts(store, evaluation, directory / stem)
    if not written:
        raise ConfigError(f"campaign {name}: its oracle writes no {form} files; use --format json")
    return written


def _artefact(store: Store, evaluation: Any, suffix: str) -> Path | None:
    for relative in evaluation.artefacts.values():
        path = store.home / "artefacts" / relative
        if str(relative).endswith(suffix) and path.exists():
            return path
    return None


def _copy_artefacts(store: Store, evaluation: Any, folder: Path) -> list[Path]:
    written = []
    for relative in evaluation.artefacts.values():
        source = store.home / "artefacts" / relative
        if source.exists():
            folder.mkdir(parents=True, exist_ok=True)
            written.append(Path(shutil.copy(source, folder / source.name)))
    return written
