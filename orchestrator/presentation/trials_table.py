"""Trials as tables: what a person must see first, and the more the wider the terminal."""

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
"""Of the comma-separated form, which also lists rejected candidates."""
_REASON = 24  # cells that are kept free for reasons


def trials_table(trials: Sequence[Document], title: str) -> FittingTable:
    """One line per trial; columns that hold nothing are left out.

    In a narrow terminal the agent, the fidelity, the label, the purpose, the round and the cost
    are left out, in this order; never the formula, what came of it, and the reason, which wraps.

    Args:
        trials: of `orchestrator.queries.trials.campaign_trials`.
        title: of the table.
    """
    values = ["" if t["value"] is None else with_error(t["value"], t["std"]) for t in trials]
    unit = next((t["unit"] for t in trials if t["unit"]), "")

    def column(header: str, cell: Callable[[Document], str], **look: Any) -> Column:
        return Column(header, tuple(map(cell, trials)), **look)

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
    """How many candidates were refused before they were measured, by reason."""
    counted = rejected["by_reason"]
    columns = [
        Column("candidates", tuple(str(count) for count in counted.values()), "right"),
        Column("reason", tuple(counted), wraps=True),
    ]
    return FittingTable(f"Rejected before they were measured: {rejected['count']}", columns)


def csv_rows(document: Document, *, rejected: bool) -> list[Document]:
    """Flat rows with `COLUMNS`; rejected candidates have no trial."""
    refused = [
        {
            "candidate": row["candidate"],
            "formula": row["formula"],
            "status": "REJECTED",
            "reason": row["reason"],
        }
        for row in document["rejected"]["candidates"]
    ]
    return [*document["trials"], *(refused if rejected else [])]


def _cost(trial: Document) -> str:
    seconds = trial["cost_s"]
    if trial["reused"]:
        return "known"
    if seconds < 100:
        return f"{seconds:.3g} s" if seconds else ""
    return f"{seconds / 60:.3g} min" if seconds < 6000 else f"{seconds / 3600:.3g} h"
