"""Shows documents as tables. Only this module decides how wide a table may be."""

from __future__ import annotations

import datetime
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from oracle.contract.property_table import spec_of
from oracle.potentials.error_budget import interval_text
from orchestrator.presentation.numbers import aligned, plain, with_error
from orchestrator.presentation.own_stdout import results

Document = dict[str, Any]
_FILE_WIDTH = 10_000  # characters; in files nothing is wrapped or left out
_LABEL = 72  # characters shown of a candidate's source name
_CAUTION = re.compile(r"; (?!for the (?:slab|wire) itself|set finite_temperature|raise finite)")
"""Ends a caution; those of earlier versions contained the semicolons that are excepted."""
_WRAPPED = 24  # largest minimum width of a column whose text wraps, characters


def console(*, stderr: bool = False) -> Console:
    """A console that prints texts unchanged: no markup in brackets, no colours for numbers.

    If the output is no terminal, tables get the width they need.
    """
    plain_text: dict[str, Any] = {"stderr": True} if stderr else {"file": results()}
    plain_text |= {"markup": False, "highlight": False}
    output = Console(**plain_text)
    return output if output.is_terminal else Console(width=_FILE_WIDTH, **plain_text)


def say(to: Console, text: str, style: str | None = None) -> None:
    """Print a line without markup: wrapped between words on a terminal, unwrapped to a file.

    Wrapped lines are indented further than the first one; paths are not split.
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
    """A column of a table that adapts to the available width.

    Args:
        header: title of the column.
        cells: texts, one per row.
        justify: alignment of the texts.
        drop: order in which columns are left out if the table is too wide, lowest first; None:
            never.
        wraps: whether a cell may occupy several lines.
        spills: whether the cells are printed below the table if the column does not fit.
        room: width that is reserved for the column if its texts need that much, in characters.
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
        """Width of the longest line, characters."""
        lines = (line for text in (self.header, *self.cells) for line in text.split("\n"))
        return max(map(cell_len, lines), default=0)

    @property
    def least(self) -> int:
        """Smallest width at which the column is readable, characters."""
        if not self.wraps:
            return self.width
        words = (word for text in (self.header, *self.cells) for word in text.split())
        longest = min(max(map(cell_len, words), default=0), _WRAPPED)
        return max(longest, min(self.room, self.width))


@dataclass(frozen=True)
class FittingTable:
    """A table that leaves out its least important columns until it fits the terminal."""

    title: str
    columns: Sequence[Column] = field(default_factory=tuple)

    def fitted(self, width: int) -> list[Column]:
        """The columns that fit into a width, in characters."""
        columns = list(self.columns)
        optional = sorted((c for c in columns if c.drop is not None), key=lambda c: c.drop or 0)
        for column in (*optional, *(c for c in columns if c.spills)):
            if 1 + sum(c.least + 2 for c in columns) <= width:
                break
            columns.remove(column)
        return columns

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table of the columns that fit, then the texts of those that spill."""
        shown = self.fitted(options.max_width) if console.is_terminal else list(self.columns)
        table = Table(
            title=self.title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
        )
        for column in shown:
            table.add_column(
                column.header,
                justify=column.justify,
                no_wrap=not column.wraps,
                min_width=column.least,
                overflow="fold",
            )
        for row in zip(*(column.cells for column in shown), strict=True):
            table.add_row(*row)
        yield table
        for column in self.columns:
            if column.spills and column not in shown:
                for first, text in zip(self.columns[0].cells, column.cells, strict=True):
                    if text:
                        yield Text(f" {first}  {column.header}: {text}")


def best_title(name: str, rows: Sequence[Document]) -> str:
    """Title of the table of the best candidates; names the objective unless it is plain kappa."""
    return f"Best of {name}{by_what(rows[0]['quantity'], ': ') if rows else ''}"


def by_what(quantity: str, before: str) -> str:
    """A text followed by the objective; empty for plain kappa, which is the usual objective."""
    usual = spec_of("kappa").axis
    return "" if quantity.startswith(f"{usual} at ") else f"{before}{quantity}"


def best_table(rows: Sequence[Document], title: str) -> FittingTable:
    """The best candidates, without empty columns.

    In a narrow terminal kappa by full solution, the energies, the 90 % interval of kappa, the
    agent, the round and the source name are left out, in this order. Rank, candidate, formula,
    value, confirmation and the second opinion always stay; the caution wraps, or is printed below
    the table.
    """
    unit = rows[0]["unit"] if rows else ""
    value = f"value ({unit})" if unit else "value"
    values = aligned([with_error(row["value"], row["std"]) for row in rows])
    columns = [
        Column("#", tuple(str(row["rank"]) for row in rows), "right"),
        Column("candidate", tuple(row["candidate"] for row in rows)),
        Column("formula", tuple(row["formula"] for row in rows), wraps=True),
        Column("label", tuple(clipped(row["label"] or "") for row in rows), drop=6),
        Column(value, tuple(f"{text:>{len(value)}}" for text in values)),
        *_further(rows),
        Column("confirmed", tuple("yes" if row["confirmed"] else "no" for row in rows)),
        Column("full solution", tuple(map(_in_full, rows)), "right", drop=0),
        Column("second opinion", tuple(map(_opinion, rows)), wraps=True),
        Column("round", tuple(str(row["round"]) for row in rows), "right", drop=5),
        Column("agent", tuple(row["agent"] for row in rows), drop=4),
        Column("90 % interval", tuple(map(_interval, rows)), "right", drop=3),
        _energies(rows, "energy_above_best_polymorph", "meV/atom above\nbest polymorph", 1000, 1),
        _energies(rows, "energy_above_hull", "meV/atom\nabove hull", 1000, 1),
        _energies(rows, "formation_energy", "formation\neV/atom", 1, 2),
        Column("caution", tuple(_caution(row) for row in rows), wraps=True, spills=True),
    ]
    never_left_out = ("#", "candidate", "formula", "confirmed", "caution")
    return FittingTable(
        title, [c for c in columns if c.header in never_left_out or any(c.cells) or not rows]
    )


def clipped(label: str) -> str:
    """A source name, which may be long and contain any character, as the text of a cell."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in label[:_LABEL])
    return f"{shown}..." if len(label) > _LABEL else shown


def _further(rows: Sequence[Document]) -> list[Column]:
    """The front and the values of further objectives, if a campaign has several."""
    if not any(row.get("further") for row in rows):
        return []
    columns = [Column("front", tuple(str(row["front"] or "") for row in rows), "right")]
    for index, first in enumerate(rows[0]["further"]):
        unit = f"\n({first['unit']})" if first["unit"] else ""
        found = [row["further"][index] for row in rows]
        cells = (
            "" if one["value"] is None else with_error(one["value"], one["std"]) for one in found
        )
        columns.append(Column(f"{first['quantity']}{unit}", tuple(aligned(list(cells))), "right"))
    return columns


def _energies(rows: Sequence[Document], key: str, header: str, factor: float, drop: int) -> Column:
    form = ".0f" if factor > 1 else ".2f"
    values = [row.get(key) for row in rows]
    cells = tuple("" if value is None else format(value * factor, form) for value in values)
    return Column(header, cells, "right", drop=drop)


def _interval(row: Document) -> str:
    budget = row.get("error_budget")
    return interval_text(*budget["interval_90"]) if budget and budget["interval_90"] else ""


def _in_full(row: Document) -> str:
    value = row.get("kappa_lbte")
    return "" if value is None else plain(value, 3)


def _opinion(row: Document) -> str:
    """Whether a second potential agrees; empty where none was asked."""
    opinion = row.get("second_opinion")
    if opinion is None:
        return ""
    return {True: "agrees", False: "disagrees", None: "none"}[opinion["agrees"]]


def _caution(row: Document) -> str:
    stale = "earlier weights of the potential" if row["stale"] else None
    return str(row["refusal"] or stale or short(row["low_confidence"]))


def short(caution: str | None) -> str:
    """A caution without its figures, which `phonoscout show` prints.

    Figures follow a colon and a space: a colon alone belongs to a name such as ``mace:/path``.
    """
    return ", ".join(part.partition(": ")[0].strip() for part in _CAUTION.split(caution or ""))


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
    """Print a document as aligned ``key  value`` lines, with one line for each text of a list."""
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


def funnel_line(counts: Mapping[str, int]) -> str:
    """What the filters left of all ideas, in one line, as far as anything came.

    Stages that an earlier version did not count are left out.
    """
    stages = list(counts.items())
    while stages and not stages[-1][1]:
        stages.pop()
    passed = [f"{number} {name}" for name, number in stages if number]
    return "Candidates: " + (" → ".join(passed) if passed else "none yet")
