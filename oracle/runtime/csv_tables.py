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
    whatever the capitals of their headings; without a column ``id``, the composition is the id.
    Numbers and booleans are read as such, and empty cells as None.

    Raises:
        OracleError: stage ``read``, naming the file; it cannot be read, has no headings, no column
            of compositions, the same heading twice, or a row that is too long. The last cells of a
            row may be missing.
    """
    text = read_text(path)
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    headings = [name.strip() for name in next(rows, [])]
    lower = [name.lower() for name in headings]
    named = next((name for name in _NAMES if name in lower), None)
    if named is None:
        raise OracleError(
            "read",
            f"{path}: has the columns {', '.join(headings) or 'of an empty file'}; expected one "
            f"with the heading {' or '.join(_NAMES)}",
        )
    twice = sorted({name for name in lower if lower.count(name) > 1})
    if twice:
        raise OracleError("read", f"{path}: has {twice[0]!r} twice; expected different headings")
    composition, name = lower.index(named), lower.index("id") if "id" in lower else None
    for row in rows:
        place = f"{path.name} line {rows.line_num}"
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(headings):
            raise OracleError(
                "read", f"{place}: has {len(row)} cells; expected {len(headings)}, as headings"
            )
        cells = [cell.strip() for cell in row] + [""] * (len(headings) - len(row))
        values = {heading: _value(cell) for heading, cell in zip(headings, cells, strict=True)}
        identity = cells[composition if name is None else name]
        yield place, values | {"id": identity, "composition": cells[composition]}


def _value(cell: str) -> Any:
    if cell.lower() in _WORDS:
        return _WORDS[cell.lower()]
    try:
        number = math.nan if "_" in cell else float(cell)
    except ValueError:
        return cell
    return number if abs(number) <= _LARGEST else cell
