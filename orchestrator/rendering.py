"""Documents as rich tables, for people."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

Document = dict[str, Any]
_WIDTH = 150


def console(*, stderr: bool = False) -> Console:
    """A console; where there is no terminal to fit, tables get the width they need."""
    made = Console(stderr=stderr)
    return made if made.is_terminal else Console(stderr=stderr, width=_WIDTH)


def best_table(rows: Sequence[Document], title: str) -> Table:
    """The best candidates; columns that hold nothing are left out."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    unit = rows[0]["unit"] if rows else ""
    energies = any(row.get("energy_above_best_polymorph") is not None for row in rows)
    right: dict[str, Any] = {"justify": "right", "no_wrap": True}
    table.add_column("#", **right)
    table.add_column("candidate", no_wrap=True)
    table.add_column("formula", no_wrap=True)
    table.add_column("label", no_wrap=True)
    table.add_column(f"value ({unit})" if unit else "value", **right)
    table.add_column("±", **right)
    table.add_column("confirmed")
    table.add_column("round", **right)
    table.add_column("agent", no_wrap=True)
    if energies:
        table.add_column("meV/atom above\nbest polymorph", **right)
        table.add_column("formation\neV/atom", **right)
    table.add_column("caution")
    for row in rows:
        cells = [
            str(row["rank"]),
            row["candidate"],
            row["formula"],
            row["label"] or "",
            f"{row['value']:.4g}",
            "" if row["std"] is None else f"{row['std']:.2g}",
            "yes" if row["confirmed"] else "no",
            str(row["round"]),
            row["agent"],
        ]
        if energies:
            cells += [
                _number(row["energy_above_best_polymorph"], 1000, ".0f"),
                _number(row["formation_energy"], 1, ".2f"),
            ]
        stale = "earlier weights of the potential" if row["stale"] else None
        table.add_row(*cells, row["refusal"] or stale or _short(row["low_confidence"]))
    return table


def _short(caution: str | None) -> str:
    """The kinds of doubt alone; `show` has the figures."""
    return ", ".join(part.partition(":")[0].strip() for part in (caution or "").split(";"))


def _number(value: float | None, factor: float, form: str) -> str:
    return "" if value is None else format(value * factor, form)


def status_table(rows: Sequence[Document]) -> Table:
    """One line per campaign."""
    table = Table()
    for name in ("campaign", "state", "round", "oracle calls", "failures", "best", "elapsed"):
        table.add_column(name)
    for row in rows:
        leader = row["best"]
        rounds = f" of {row['rounds']}" if row["rounds"] else ""
        table.add_row(
            row["name"],
            row["state"],
            f"{row['round']}{rounds}",
            f"{row['oracle_calls']} of {row['oracle_calls_budget']}",
            str(row["failures"]),
            "" if leader is None else f"{leader['formula']} {leader['value']:.4g} {leader['unit']}",
            str(datetime.timedelta(seconds=round(row["elapsed_s"]))),
        )
    return table


def print_details(console: Console, document: Document) -> None:
    """A document as aligned ``key  value`` lines; nested parts are indented."""
    for key, value in document.items():
        if isinstance(value, dict):
            console.print(f"[bold]{key}[/bold]")
            for inner, part in value.items():
                console.print(f"  {inner:<28} {_text(part)}", highlight=False)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for part in value:
                console.print(f"[bold]{key}[/bold]")
                print_details(console, part)
        else:
            console.print(f"{key:<30} {_text(value)}", highlight=False, soft_wrap=True)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "[" + ", ".join(_text(part) for part in value) + "]"
    return "-" if value is None else str(value)
