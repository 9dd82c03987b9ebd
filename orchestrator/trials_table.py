"""Trials as tables: what a person must see first, and the more the wider the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

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
_ALWAYS = ("trial", "formula", "result", "reason")
_WHERE_THERE_IS_ROOM = ("value", "±", "cost", "round", "purpose", "fidelity", "label", "agent")
_ORDER = (
    *("trial", "formula", "label", "result", "value", "±", "cost", "round", "purpose"),
    *("fidelity", "agent", "reason"),
)
_WIDEST = 24  # characters of a formula or label before it is folded
_REASON = 32  # characters that are kept free for reasons
_GAP = 2


def trials_table(trials: Sequence[Document], title: str, width: int) -> Table:
    """One line per trial; columns that hold nothing, or find no room, are left out.

    Args:
        trials: of `orchestrator.trials.campaign_trials`.
        title: of the table.
        width: of the terminal, characters.
    """
    rows = [_cells(trial) for trial in trials]
    chosen = _columns(rows, width)
    table = Table(
        title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, _GAP - 1, 0, 0)
    )
    for name in chosen:
        number = name in ("value", "±", "cost", "round")
        table.add_column(
            name,
            justify="right" if number else "left",
            no_wrap=name not in ("formula", "label", "reason"),
            overflow="fold",
            max_width=_WIDEST if name in ("formula", "label") else None,
        )
    for row in rows:
        table.add_row(*(Text(row[name]) for name in chosen))
    return table


def rejected_table(rejected: Document) -> Table:
    """How many candidates were refused before they were measured, by reason."""
    table = Table(
        title=Text(f"Rejected before they were measured: {rejected['count']}"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, _GAP - 1, 0, 0),
    )
    table.add_column("candidates", justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold")
    for reason, count in rejected["by_reason"].items():
        table.add_row(str(count), Text(reason))
    return table


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


def _cells(trial: Document) -> dict[str, str]:
    value, std = trial["value"], trial["std"]
    unit = trial["unit"] or ""
    return {
        "trial": trial["id"],
        "formula": trial["formula"] or trial["candidate"],
        "label": trial["label"] or "",
        "result": trial["outcome"] or trial["status"].lower(),
        "value": "" if value is None else f"{value:.4g} {unit}".strip(),
        "±": "" if std is None else f"{std:.2g}",
        "cost": "known" if trial["reused"] else _duration(trial["cost_s"]),
        "round": str(trial["round"]),
        "purpose": trial["purpose"],
        "fidelity": f"{trial['fidelity']}{'+' * trial['level']}",
        "agent": trial["agent"],
        "reason": trial["reason"] or "",
    }


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.3g} s" if seconds else ""
    return f"{seconds / 60:.3g} min" if seconds < 6000 else f"{seconds / 3600:.3g} h"


def _columns(rows: Sequence[dict[str, str]], width: int) -> list[str]:
    """Names of the columns that fit, in the order in which they are shown."""

    def needed(name: str) -> int:
        longest = max((len(row[name]) for row in rows), default=0)
        if longest == 0:
            return 0
        limit = {"reason": _REASON, "formula": _WIDEST, "label": _WIDEST}.get(name, longest)
        return max(len(name), min(longest, limit)) + _GAP

    chosen = [name for name in _ALWAYS if name != "reason" or needed(name)]
    used = sum(needed(name) for name in chosen)
    for name in _WHERE_THERE_IS_ROOM:
        wide = needed(name)
        if wide and used + wide <= width:
            chosen.append(name)
            used += wide
    return [name for name in _ORDER if name in chosen]
