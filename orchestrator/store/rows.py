"""Rows of the database, as values by column name, from the objects that they store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from agents.contract.protocol import Candidate
from oracle.contract.evaluation import Failed, Measured, Unstable


@dataclass(frozen=True)
class NewForceLabel:
    """A new force label of one supercell; its fields are the columns of `ForceLabelRow`."""

    digest: str
    settings: str
    engine: str
    material: str
    formula: str
    cost_s: float
    payload: str


def candidate_row(candidate: Candidate, now: float) -> dict[str, Any]:
    """Columns of `CandidateRow`; `now` in seconds since the epoch."""
    return {
        "id": candidate.id,
        "digest": candidate.material.digest,
        "formula": candidate.material.formula,
        "label": candidate.label,
        "material": candidate.material.model_dump_json(),
        "first_seen": now,
    }


def evaluation_row(evaluation: Measured | Unstable | Failed, now: float) -> dict[str, Any]:
    """Columns of `EvaluationRow`; `now` in seconds since the epoch."""
    digest, method = evaluation.key
    return {
        "digest": digest,
        "method": method,
        "fidelity": evaluation.fidelity,
        "status": evaluation.status,
        "formula": evaluation.material.formula,
        "cost_s": evaluation.cost_s,
        "payload": evaluation.model_dump_json(),
        "time": now,
    }


def force_label_row(label: NewForceLabel, now: float) -> dict[str, Any]:
    """Columns of `ForceLabelRow`; `now` in seconds since the epoch."""
    return {**asdict(label), "time": now}
