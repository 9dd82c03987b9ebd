"""Tables of answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oracle.runtime.errors import OracleError
from oracle.runtime.plain_json import parse_json

Row = Mapping[str, Any]


def load_table(path: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """The rows of a JSON-lines file by their ``id``, and the SHA-256 of its content.

    What a row leaves out that others have is null in it, so that any selection of rows, one alone
    included, has all columns of the table.

    Raises:
        OracleError: stage ``read``, naming file and line; not JSON, no id, an id given twice.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OracleError(
            "read", f"table {path} cannot be read ({error.strerror}); expected a JSON-lines file"
        ) from error
    rows: dict[str, dict[str, Any]] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        row = _parsed(line, f"{path.name} line {number}")
        name = str(row["id"])
        if name in rows:
            raise OracleError(
                "read",
                f"{path.name} line {number}: id {name!r} is also on line {lines[name]}; "
                "expected one row per id",
            )
        rows[name], lines[name] = row, number
    if not rows:
        raise OracleError("read", f"table {path} is empty; expected one JSON object per line")
    blank = dict.fromkeys(name for row in rows.values() for name in row)
    return {k: blank | row for k, row in rows.items()}, hashlib.sha256(content).hexdigest()


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
