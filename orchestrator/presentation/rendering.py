"""Documents as tables, for people. How wide a table may be is decided here and nowhere else."""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from oracle.contract.property_table import spec_of
from orchestrator.presentation.numbers import aligned, plain, with_error

Document = dict[str, Any]
_FILE_WIDTH = 10_000  # where there is no terminal to fit: nothing is wrapped or left out
_LABEL = 72  # characters of a label
_WRAPPED = 24  # characters that a column whose words wrap is not made narrower than, if it can be


def console(*, stderr: bool = False) -> Console:
    """A console that prints texts as they are: brackets are brackets, numbers have no colours.

    Where there is no terminal to fit, tables get the width they need.
    """
    plain_text: dict[str, Any] = {"stderr": stderr, "markup": False, "highlight": False}
    made = Console(**plain_text)
    return made if made.is_terminal else Console(width=_FILE_WIDTH, **plain_text)


def say(to: Console, text: str, style: str | None = None) -> None:
    """Print a line as it is: a terminal wraps it between words, a file gets it whole.

    What follows is indented further than the line's beginning; paths stay in one piece.
    """
    lines = [text]
    if to.is_terminal:
        indent = " " * (len(text) - len(text.lstrip()) + 2)
        wrapper = textwrap.TextWrapper(
            to.width - 1, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        lines = wrapper.wrap(text) or [""]
    for line in lines:
        to.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Column:
    """A column of a table that fits itself to the width there is.

    Args:
        header: its title.
        cells: one per row.
        justify: its side.
        drop: the lower, the sooner it is left out where room is short; None: never.
        wraps: whether its cells may go over several lines.
        spills: whether its cells go below the table where there is no room beside the others.
        room: cells that others make way for, where it has so much to say.
    """

    header: str
    cells: tuple[str, ...]
    justify: Literal["left", "right"] = "left"
    drop: int | None = None
    wraps: bool = False
    spills: bool = False
    room: int = 0

    @property
    def width(self) -> int:
        """Cells of its longest line."""
        lines = (line for text in (self.header, *self.cells) for line in text.split("\n"))
        return max(map(cell_len, lines), default=0)

    @property
    def least(self) -> int:
        """Cells below which it cannot be read."""
        if not self.wraps:
            return self.width
        words = (word for text in (self.header, *self.cells) for word in text.split())
        longest = min(max(map(cell_len, words), default=0), _WRAPPED)
        return max(longest, min(self.room, self.width))


@dataclass(frozen=True)
class FittingTable:
    """A table that leaves out what matters least until it fits; only a terminal is ever narrow."""

    title: str
    columns: Sequence[Column] = field(default_factory=tuple)

    def fitted(self, width: int) -> list[Column]:
        """The columns that fit into so many cells."""
        kept = list(self.columns)
        unwanted = sorted((c for c in kept if c.drop is not None), key=lambda c: c.drop or 0)
        for column in (*unwanted, *(c for c in kept if c.spills)):
            if 1 + sum(c.least + 2 for c in kept) <= width:
                break
            kept.remove(column)
        return kept

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rows side by side with what is left."""
        kept = self.fitted(options.max_width) if console.is_terminal else list(self.columns)
        made = Table(
            title=self.title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
        )
        for column in kept:
            made.add_column(
                column.header,
                justify=column.justify,
                no_wrap=not column.wraps,
                min_width=column.least,
                overflow="fold",
            )
        for row in zip(*(column.cells for column in kept), strict=True):
            made.add_row(*row)
        yield made
        for column in self.columns:
            if column.spills and column not in kept:
                for first, text in zip(self.columns[0].cells, column.cells, strict=True):
                    if text:
                        yield Text(f" {first}  {column.header}: {text}")


def best_title(name: str, rows: Sequence[Document]) -> str:
    """Title of the table of the best: with what is sought, unless it is kappa as a whole."""
    return f"Best of {name}{by_what(rows[0]['quantity'], ': ') if rows else ''}"


def by_what(quantity: str, before: str) -> str:
    """What is sought, after a text; nothing for kappa as a whole, which everyone expects."""
    usual = spec_of("kappa").axis
    return "" if quantity.startswith(f"{usual} at ") else f"{before}{quantity}"


def best_table(rows: Sequence[Document], title: str) -> FittingTable:
    """The best candidates; columns that hold nothing are left out.

    In a narrow terminal the energies, the agent, the round and the label are left out, in this
    order; never rank, candidate, value, error, confirmation and caution, which wraps.
    """
    unit = rows[0]["unit"] if rows else ""
    value = f"value ({unit})" if unit else "value"
    values = aligned([with_error(row["value"], row["std"]) for row in rows])
    columns = [
        Column("#", tuple(str(row["rank"]) for row in rows), "right"),
        Column("candidate", tuple(row["candidate"] for row in rows)),
        Column("formula", tuple(row["formula"] for row in rows), wraps=True),
        Column("label", tuple(clipped(row["label"] or "") for row in rows), drop=5),
        Column(value, tuple(f"{text:>{len(value)}}" for text in values)),
        Column("confirmed", tuple("yes" if row["confirmed"] else "no" for row in rows)),
        Column("round", tuple(str(row["round"]) for row in rows), "right", drop=4),
        Column("agent", tuple(row["agent"] for row in rows), drop=3),
        _energies(rows, "energy_above_best_polymorph", "meV/atom above\nbest polymorph", 1000, 1),
        _energies(rows, "formation_energy", "formation\neV/atom", 1, 2),
        Column("caution", tuple(_caution(row) for row in rows), wraps=True, spills=True),
    ]
    never_left_out = ("#", "candidate", "formula", "confirmed", "caution")
    return FittingTable(
        title, [c for c in columns if c.header in never_left_out or any(c.cells) or not rows]
    )


def clipped(label: str) -> str:
    """A label of a user's own, which may be of any length and hold anything, as a cell."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in label[:_LABEL])
    return f"{shown}..." if len(label) > _LABEL else shown


def _energies(rows: Sequence[Document], key: str, header: str, factor: float, drop: int) -> Column:
    form = ".0f" if factor > 1 else ".2f"
    found = [row.get(key) for row in rows]
    cells = tuple("" if value is None else format(value * factor, form) for value in found)
    return Column(header, cells, "right", drop=drop)


def _caution(row: Document) -> str:
    stale = "earlier weights of the potential" if row["stale"] else None
    return str(row["refusal"] or stale or short(row["low_confidence"]))


def short(caution: str | None) -> str:
    """The kinds of doubt alone; `show` has the figures."""
    return ", ".join(part.partition(":")[0].strip() for part in (caution or "").split(";"))


def status_table(rows: Sequence[Document]) -> FittingTable:
    """One line per campaign."""
    leaders = [row["best"] for row in rows]
    best = tuple(
        ""
        if row is None
        else f"{row['formula']} {with_error(row['value'], row['std'])} {row['unit']}"
        for row in leaders
    )
    elapsed = (datetime.timedelta(seconds=round(row["elapsed_s"])) for row in rows)
    calls = (f"{row['oracle_calls']} of {row['oracle_calls_budget']}" for row in rows)
    rounds = (f"{r['round']} of {r['rounds']}" if r["rounds"] else str(r["round"]) for r in rows)
    columns = [
        Column("campaign", tuple(row["name"] for row in rows), wraps=True),
        Column("state", tuple(row["state"] for row in rows)),
        Column("round", tuple(rounds), drop=3),
        Column("oracle calls", tuple(calls)),
        Column("failures", tuple(str(row["failures"]) for row in rows), drop=2),
        Column("best", best, wraps=True),
        Column("elapsed", tuple(map(str, elapsed)), drop=1),
    ]
    return FittingTable("", columns)


def text_of(value: Any) -> str:
    """A value of a document in one line."""
    if isinstance(value, float):
        return plain(value, 6)
    if isinstance(value, list):
        return "[" + ", ".join(text_of(part) for part in value) + "]"
    return "-" if value is None else str(value)


def print_details(to: Console, document: Document) -> None:
    """A document as aligned ``key  value`` lines; texts of a list get a line each."""
    for key, value in document.items():
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            for part in value:
                say(to, f"{key:<30} {part}")
        elif isinstance(value, dict):
            to.print(key, style="bold")
            for inner, part in value.items():
                say(to, f"  {inner:<28} {text_of(part)}")
        else:
            say(to, f"{key:<30} {text_of(value)}")
