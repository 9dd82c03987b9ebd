"""Tables of earlier results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oracle.contract.directions import along
from oracle.contract.property_spec import Direction
from oracle.runtime.csv_tables import csv_rows, is_csv
from oracle.runtime.errors import OracleError
from oracle.runtime.plain_json import parse_json

Row = Mapping[str, Any]
_LARGEST = 10**300  # JSON knows larger integers than a number may be


def load_table(path: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """The rows of a JSON-lines or CSV file by their ``id``, and the SHA-256 of its content.

    Columns that a row lacks are null in it, so that any selection of rows has all columns of the
    table.

    Raises:
        OracleError: stage ``read``, naming file and line; neither JSON nor CSV with a column of
            compositions, no id, or an id given twice.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OracleError(
            "read",
            f"table {path} cannot be read ({error.strerror}); expected a JSON-lines or CSV file",
        ) from error
    rows: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    for place, row in csv_rows(path) if is_csv(path) else _json_rows(path.name, content):
        name = str(row["id"])
        if name in rows:
            raise OracleError(
                "read",
                f"{place}: id {name!r} is also on {places[name].removeprefix(path.name + ' ')}; "
                "expected one row per id",
            )
        rows[name], places[name] = row, place
    if not rows:
        raise OracleError("read", f"table {path} is empty; expected a row for each id")
    blank = dict.fromkeys(name for row in rows.values() for name in row)
    return {k: blank | row for k, row in rows.items()}, hashlib.sha256(content).hexdigest()


def _json_rows(name: str, content: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            place = f"{name} line {number}"
            yield place, _parsed(line, place)


def _reason(error: ValueError) -> str:
    """What is wrong with a line, without where in the line it is."""
    match error:
        case json.JSONDecodeError():
            return error.msg
        case UnicodeDecodeError():
            return error.reason
        case _:
            return str(error)


def _parsed(line: bytes, place: str) -> dict[str, Any]:
    try:
        row = parse_json(line.decode("utf-8-sig"))
    except ValueError as error:
        raise OracleError(
            "read",
            f'{place}: not JSON ({_reason(error)}); expected an object such as {{"id": ...}}',
        ) from error
    if not isinstance(row, dict):
        raise OracleError("read", f"{place}: given {type(row).__name__}; expected a JSON object")
    if not isinstance(row.get("id"), str | int) or isinstance(row["id"], bool):
        raise OracleError("read", f'{place}: given no "id"; expected a text or an integer')
    return row


def is_number(value: Any) -> bool:
    """Whether a value of a row is a number, or null."""
    if value is None or isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST


def is_tensor(value: Any) -> bool:
    """Whether a value of a row is a tensor: three lists of three numbers."""
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(row, list) and len(row) == 3 for row in value)
        and all(number is not None and is_number(number) for row in value for number in row)
    )


def is_number_or_tensor(value: Any) -> bool:
    """Whether a value of a row is a number, a tensor, or null."""
    return is_number(value) or is_tensor(value)


def number_in(value: Any, direction: Direction | None = None) -> float | None:
    """The number that a row's value stands for, or None where it is null or not finite.

    Args:
        value: a number, a tensor (3, 3), or null.
        direction: of a tensor; None for a third of its trace.
    """
    if value is None or not np.isfinite(value).all():
        return None
    return float(along(np.array(value, dtype=float), direction) if is_tensor(value) else value)
