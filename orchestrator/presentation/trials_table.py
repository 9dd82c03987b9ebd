"""Trials as tables that show more columns in a wider terminal, the most important always."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orchestrator.presentation.numbers import aligned, with_error
from orchestrator.presentation.rendering import Column, FittingTable, clipped

Document = dict[str, Any]
COLUMNS = (
    "id",
    "candidate",
    "formula",
    "label",
    "agent",
    "purpose",
    "round",
    "fidelity",
    "level",
    "status",
    "outcome",
    "stage",
    "reason",
    "min_frequency_thz",
    "value",
    "std",
    "unit",
    "cost_s",
    "attempts",
    "reused",
)
"""Columns of the CSV output, which also lists rejected candidates."""
_REASON = 24  # width reserved for reasons, characters


def trials_table(trials: Sequence[Document], title: str) -> FittingTable:
    """One row per trial, without empty columns.

    In a narrow terminal the agent, the fidelity, the source name, the purpose, the round and the
    cost are left out, in this order. Trial, formula, result and value always stay; the reason
    wraps, or is printed below the table.

    Args:
        trials: documents from `orchestrator.queries.trials.campaign_trials`.
        title: title of the table.
    """
    values = ["" if t["value"] is None else with_error(t["value"], t["std"]) for t in trials]
    unit = next((t["unit"] for t in trials if t["unit"]), "")

    def column(header: str, cell: Callable[[Document], str], **layout: Any) -> Column:
        return Column(header, tuple(map(cell, trials)), **layout)

    columns = [
        column("trial", lambda t: t["id"]),
        column("formula", lambda t: t["formula"] or t["candidate"], wraps=True),
        column("label", lambda t: clipped(t["label"] or ""), drop=3, wraps=True),
        column("result", lambda t: t["outcome"] or t["status"].lower()),
        Column(f"value ({unit})" if unit else "value", tuple(aligned(values))),
        column("cost", _cost, justify="right", drop=6),
        column("round", lambda t: str(t["round"]), justify="right", drop=5),
        column("purpose", lambda t: t["purpose"], drop=4),
        column("fidelity", lambda t: f"{t['fidelity']}{'+' * t['level']}", drop=2),
        column("agent", lambda t: t["agent"], drop=1),
        column("reason", lambda t: t["reason"] or "", wraps=True, spills=True, room=_REASON),
    ]
    return FittingTable(title, [c for c in columns if any(cell.strip() for cell in c.cells)])


def rejected_table(rejected: Document) -> FittingTable:
    """Number of candidates rejected before they were measured, by reason."""
    counted = rejected["by_reason"]
    columns = [
        Column("candidates", tuple(str(count) for count in counted.values()), "right"),
        Column("reason", tuple(counted), wraps=True),
    ]
    return FittingTable(f"Rejected before they were measured: {rejected['count']}", columns)


def csv_rows(document: Document, *, rejected: bool) -> list[Document]:
    """Flat rows with `COLUMNS`; rejected candidates have no trial."""
    rejected_rows = [
        {
            "candidate": row["candidate"],
            "formula": row["formula"],
            "status": "REJECTED",
            "reason": row["reason"],
        }
        for row in document["rejected"]["candidates"]
    ]
    return [*document["trials"], *(rejected_rows if rejected else [])]


def _cost(trial: Document) -> str:
    seconds = trial["cost_s"]
    if trial["reused"]:
        return "known"
    if seconds < 100:
        return f"{seconds:.3g} s" if seconds else ""
    return f"{seconds / 60:.3g} min" if seconds < 6000 else f"{seconds / 3600:.3g} h"
