"""Tables of compositions and their values as CSV, as spreadsheets write them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oracle.runtime.errors import OracleError
from oracle.runtime.text_files import read_text

_SUFFIX = ".csv"
_NAMES = ("composition", "formula")
"""Headings of the column of compositions, in lower case; the first that is there."""
_WORDS = {"true": True, "false": False, "": None, "nan": None, "null": None}
_LARGEST = 1e300


def is_csv(path: Path) -> bool:
    """Whether a file is CSV by its name."""
    return path.suffix.lower() == _SUFFIX


def csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a table with headings, each with its place for messages.

    Commas, semicolons and tabs separate. A row has a text ``id`` and a text ``composition``,
    whatever the capitals of their headings; without a column ``id``, the composition is the id, and
    without one of compositions, there are only ids. Numbers and booleans are read as such, and
    empty cells as None. The last cells of a row may be missing.

    Raises:
        OracleError: stage ``read``, naming the file; it cannot be read, has no headings, no column
            of ids or compositions, the same heading twice, a row that is too long or has no id, or
            a quote that does not end.
    """
    rows = _cells(path)
    place, first = next(rows, (path.name, []))
    headings = [name.strip() for name in first]
    lower = [name.lower() for name in headings]
    composition = next((lower.index(name) for name in _NAMES if name in lower), None)
    identity = lower.index("id") if "id" in lower else composition
    if identity is None:
        raise OracleError(
            "read",
            f"{path}: has the columns {', '.join(headings) or 'of an empty file'}; expected one "
            f"with the heading {' or '.join(_NAMES)}",
        )
    twice = sorted({name for name in filter(None, headings) if headings.count(name) > 1})
    if twice:
        raise OracleError("read", f"{path}: has {twice[0]!r} twice; expected different headings")
    for place, row in rows:
        if any(cell.strip() for cell in row[len(headings) :]):
            raise OracleError(
                "read", f"{place}: has {len(row)} cells; expected {len(headings)}, as headings"
            )
        cells = [cell.strip() for cell in row] + [""] * (len(headings) - len(row))
        if not cells[identity]:
            raise OracleError("read", f"{place}: has no {headings[identity]}; expected one")
        values = {
            heading: _value(cell)
            for heading, cell in zip(headings, cells, strict=False)
            if heading  # columns without one are remarks
        }
        named = {} if composition is None else {"composition": cells[composition]}
        yield place, values | {"id": cells[identity]} | named


def _cells(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The rows that are not empty, each with its place."""
    text = read_text(path).lstrip("\ufeff\r\n")
    place = f"{path.name} line 1"
    try:
        separator = _separator(text.split("\n", 1)[0])
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        for row in rows:
            place = f"{path.name} line {rows.line_num}"
            if any(cell.strip() for cell in row):
                yield place, row
    except csv.Error as error:
        raise OracleError(
            "read",
            f"{place} and what follows cannot be read as CSV ({error}); expected cells separated "
            "by commas, semicolons or tabs, and quotes in pairs",
        ) from error


def _separator(headings: str) -> str:
    """The character that makes most columns of a line, and leaves no quote inside of one."""

    def rank(mark: str) -> tuple[bool, int]:
        cells = next(csv.reader([headings], delimiter=mark), [])
        return not any('"' in cell for cell in cells), len(cells)

    return max(",;\t", key=rank)


def _value(cell: str) -> Any:
    if cell.lower() in _WORDS:
        return _WORDS[cell.lower()]
    try:
        number = math.nan if "_" in cell else float(cell)
    except ValueError:
        return cell
    return number if abs(number) <= _LARGEST else cell
