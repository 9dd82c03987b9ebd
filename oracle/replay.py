"""The oracle that looks answers up in a table: policies are compared after the fact with it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oracle.errors import OracleError
from oracle.evaluation import Failed, Measured, Quantity, Unstable
from oracle.material import Crystal, Superlattice, digest_of
from oracle.protocol import Context

Row = Mapping[str, Any]

_STAGE = "lookup"
_UNITS = {"kappa": "W/m/K"}


class ReplayOracle:
    """One number per material, at the cost that the table says it once had.

    Args:
        rows: the table's row by material digest.
        fidelity: name of the fidelity.
        property: name the number is given in ``Measured.properties``.
        column: where the number stands; null where there is none.
        stable_column: where a boolean says whether the material is dynamically stable, or None
            when all are.
        cost_s: charged for each evaluation, seconds.
        table_sha256: of the table's content, as `load_table` gives it.
        temperature: K, the number holds for, or None.
        unit: of the number; W/m/K for kappa where not given.

    Raises:
        OracleError: stage ``read``; no row has such a column, or it holds something else.
    """

    def __init__(
        self,
        rows: Mapping[str, Row],
        *,
        fidelity: str,
        property: str,
        column: str,
        stable_column: str | None = None,
        cost_s: float = 0.0,
        table_sha256: str,
        temperature: float | None = None,
        unit: str | None = None,
    ) -> None:
        self._rows = rows
        self._fidelity = fidelity
        self._property = property
        self._column = column
        self._stable_column = stable_column
        self._cost_s = cost_s
        self._temperature = temperature
        self._unit = _UNITS.get(property, "") if unit is None else unit
        self._provenance = {"table": table_sha256, "column": column, "stable_column": stable_column}
        # The cost counts as science here: it is part of what the table says of a material.
        self._method_digest = digest_of(
            {
                **self._provenance,
                "kind": "replay",
                "fidelity": fidelity,
                "property": property,
                "unit": self._unit,
                "temperature": temperature,
                "cost_s": cost_s,
            }
        )
        _check_column(rows, column, _is_number, "a number or null")
        if stable_column is not None:
            _check_column(rows, stable_column, _is_boolean, "true, false or null")

    @property
    def fidelity(self) -> str:
        """Name of the fidelity."""
        return self._fidelity

    @property
    def method_digest(self) -> str:
        """SHA-256 of the table's content and of what is read from it."""
        return self._method_digest

    def evaluate(
        self, material: Crystal | Superlattice, *, context: Context
    ) -> Measured | Unstable | Failed:
        """The table's outcome for one material; nothing in the context changes it."""
        common: dict[str, Any] = {
            "material": material,
            "fidelity": self._fidelity,
            "method": self._method_digest,
            "cost_s": self._cost_s,
            "stage": _STAGE,
            "provenance": self._provenance,
        }
        row = self._rows.get(material.digest)
        if row is None:
            return Failed(
                message=f"{material.formula} is not in the table; expected a row with its id",
                permanent=True,
                **common,
            )
        if self._stable_column is not None and row.get(self._stable_column) is False:
            return Unstable(reason=f"{self._stable_column} is false in the table", **common)
        number = row.get(self._column)
        if number is None or not math.isfinite(number):
            return Failed(
                message=f"{self._column} of {material.formula} is null in the table; "
                "expected a number",
                permanent=True,
                **common,
            )
        return Measured(
            temperature=() if self._temperature is None else (self._temperature,),
            properties={self._property: Quantity(value=float(number), unit=self._unit)},
            **common,
        )


def load_table(path: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """The rows of a JSON-lines file by their ``id``, and the SHA-256 of its content.

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
    return rows, hashlib.sha256(content).hexdigest()


def _parsed(line: bytes, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else error.reason
        raise OracleError(
            "read", f'{place}: not JSON ({reason}); expected an object such as {{"id": ...}}'
        ) from error
    if not isinstance(row, dict):
        raise OracleError("read", f"{place}: given {type(row).__name__}; expected a JSON object")
    if not isinstance(row.get("id"), str | int) or isinstance(row["id"], bool):
        raise OracleError("read", f'{place}: given no "id"; expected a text or an integer')
    return row


def _check_column(rows: Mapping[str, Row], column: str, allowed: Any, expected: str) -> None:
    """Refuse a misspelt column here, rather than as a thousand failed evaluations."""
    if rows and not any(column in row for row in rows.values()):
        known = sorted({name for row in rows.values() for name in row} - {"id"})
        raise OracleError(
            "read", f"column {column!r} is in no row of the table; known: {', '.join(known)}"
        )
    for row in rows.values():
        if not allowed(row.get(column)):
            raise OracleError(
                "read",
                f"column {column!r} of {row.get('id')!r} is {row[column]!r}; expected {expected}",
            )


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_boolean(value: Any) -> bool:
    return value is None or isinstance(value, bool)
