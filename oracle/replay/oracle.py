"""The oracle that reads results from a table, with which strategies can be compared afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from oracle.contract.evaluation import Failed, Measured, Quantity, Unstable
from oracle.contract.property_table import spec_of
from oracle.materials.material import Material
from oracle.replay.table import Row, is_number, is_number_or_tensor
from oracle.runtime.context import Context
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError

_STAGE = "lookup"
_UNITS = {"kappa": "W/m/K"}
"""Units that count in the method's digest although no config states them: those of the first
version, so that what it stored is still found."""


class ReplayOracle:
    """One number per material from a table, at a cost that is charged as if it were computed.

    Args:
        rows: the table's row by material digest.
        fidelity: name of the fidelity.
        property: name the number is given in ``Measured.properties``.
        column: where the number stands, or for conductivities the tensor of 3 x 3 numbers, in the
            frame of the crystal's conventional cell; null where there is none.
        stable_column: where a boolean says whether the material is dynamically stable, or None
            when all are.
        cost_s: charged for each evaluation, seconds.
        table_sha256: of the table's content, as `load_table` gives it.
        temperature: K, the number holds for, or None.
        unit: of the number; where not given, that of the property table, or none where tables
            differ too much to take one for granted (conductances).
        std_column: where the number's standard error stands, in its unit; null where unknown.
        confirm_column: where the better number stands that confirms this one, or None when the
            number is exact.

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
        std_column: str | None = None,
        confirm_column: str | None = None,
    ) -> None:
        if confirm_column == column:
            raise OracleError(
                "read",
                f"confirm_column: given {column!r}, which is the column itself; expected another, "
                "or none when its numbers are exact",
            )
        self._rows = rows
        self._fidelity = fidelity
        self._property = property
        self._column = column
        self._stable_column = stable_column
        self._std_column = std_column
        self._confirm_column = confirm_column
        self._cost_s = cost_s
        self._temperature = temperature
        spec = spec_of(property)
        self._given_unit = unit
        self._unit = ("" if spec.unit_varies else spec.unit) if unit is None else unit
        self._provenance: dict[str, Any] = {
            "table": table_sha256,
            "column": column,
            "stable_column": stable_column,
            "std_column": std_column,
        }
        # The cost counts as science here: it is part of what the table says of a material. What
        # may confirm a number does not change it, so the confirming column is left out.
        self._method_digest = digest_of(
            {
                **self._provenance,
                "kind": "replay",
                "fidelity": fidelity,
                "property": property,
                "unit": _UNITS.get(property, "") if unit is None else unit,
                "temperature": temperature,
                "cost_s": cost_s,
            }
        )
        self._check_columns(spec.shape == "tensor")

    def _check_columns(self, tensor: bool) -> None:
        """Refuse a table with anything else in the columns that are read."""
        is_value, value = (
            (is_number_or_tensor, "a number, a tensor of 3 x 3 numbers, or null")
            if tensor
            else (is_number, "a number or null")
        )
        for name, allowed, expected in (
            (self._column, is_value, value),
            (self._stable_column, _is_boolean, "true, false or null"),
            (self._std_column, _is_error, "a finite number of at least 0, or null"),
            (self._confirm_column, is_value, value),
        ):
            if name is not None:
                _check_column(self._rows, name, allowed, expected)

    @property
    def fidelity(self) -> str:
        """Name of the fidelity."""
        return self._fidelity

    @property
    def method_digest(self) -> str:
        """SHA-256 of the table's content and of what is read from it."""
        return self._method_digest

    def row_id(self, digest: str) -> str | None:
        """Id of the row of a material, or None."""
        row = self._rows.get(digest)
        return None if row is None else str(row["id"])

    def tightened(self, level: int) -> ReplayOracle | None:
        """The oracle that confirms this one's numbers; None when they are exact.

        Args:
            level: 0 for this oracle itself; a table has one confirming number, so that there is
                no second level, and a number that moved is final.
        """
        if level == 0:
            return self
        if self._confirm_column is None or level > 1:
            return None
        return ReplayOracle(
            self._rows,
            fidelity=self._fidelity,
            property=self._property,
            column=self._confirm_column,
            stable_column=self._stable_column,
            cost_s=self._cost_s,
            table_sha256=self._provenance["table"],
            temperature=self._temperature,
            unit=self._given_unit,
        )

    def evaluate(self, material: Material, *, context: Context) -> Measured | Unstable | Failed:
        """The evaluation of one material according to the table; the context does not change it."""
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
        if number is None or not np.isfinite(number).all():
            return Failed(
                message=f"{self._column} of {material.formula} is "
                f"{'null' if number is None else number} in the table; expected a number",
                permanent=True,
                **common,
            )
        std = None if self._std_column is None else row.get(self._std_column)
        quantity = Quantity(
            value=np.asarray(number, dtype=float).tolist(),
            unit=self._unit,
            std=None if std is None else float(std),
            tensor="cartesian-2" if isinstance(number, list) else None,
        )
        return Measured(
            temperature=() if self._temperature is None else (self._temperature,),
            properties={self._property: quantity},
            **common,
        )


def _check_column(
    rows: Mapping[str, Row], column: str, allowed: Callable[[Any], bool], expected: str
) -> None:
    """Refuse a misspelt column at once, rather than through a thousand failed evaluations."""
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


def _is_boolean(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _is_error(value: Any) -> bool:
    return value is None or (is_number(value) and math.isfinite(value) and value >= 0)
