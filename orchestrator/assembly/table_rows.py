"""Assigns the rows of a replay table to materials, and checks that they can be used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agents.contract.protocol import Space
from oracle.contract.property_spec import Direction
from oracle.replay.table import is_tensor, number_in
from oracle.runtime.errors import OracleError

Rows = Mapping[str, Mapping[str, Any]]
Columns = Mapping[str, Any]
"""Names of columns: `column`, `stable_column`, `std_column` and `confirm_column` of a fidelity."""
_SIGMAS = 2.0
"""Largest difference between two numbers of one material, in combined standard errors."""


def ids_by_material(space: Space) -> dict[str, list[str]]:
    """Ids of all records of each material, by its digest, in the order of the records."""
    ids: dict[str, list[str]] = {}
    for name, digest in space.reading.ids.items():
        ids.setdefault(digest, []).append(name)
    return ids


def chosen_ids(space: Space, table: Rows) -> dict[str, str]:
    """Id of the row that answers for each material, by its digest: the first id with a row."""
    with_row = {d: [n for n in names if n in table] for d, names in ids_by_material(space).items()}
    return {digest: names[0] for digest, names in with_row.items() if names}


def unanswered(space: Space, table: Rows, fidelities: Sequence[Columns]) -> frozenset[str]:
    """Digests of materials without a number in the table, unless it calls them unstable.

    Args:
        space: materials with the ids of their records.
        table: rows by id.
        fidelities: columns of each fidelity, the last of which measures the objective.
    """
    column = fidelities[-1]["column"]
    rows = {digest: table[name] for digest, name in chosen_ids(space, table).items()}
    return frozenset(
        digest
        for digest in ids_by_material(space)
        if (row := rows.get(digest)) is None
        or (
            number_in(row.get(column)) is None
            and not any(_is_unstable(row, columns) for columns in fidelities)
        )
    )


def check_rows(
    space: Space,
    table: Rows,
    columns: Columns,
    *,
    log: bool,
    direction: Direction | None = None,
) -> list[str]:
    """Refuse rows that cannot be learned from, before a campaign begins.

    Args:
        space: materials with the ids of their records.
        table: rows by id.
        columns: columns of one fidelity.
        log: whether the logarithms of the numbers are modelled.
        direction: direction in which the components of tensors are taken, or None.

    Returns:
        A note on materials with several rows that agree, if there are any.

    Raises:
        OracleError: stage ``read``; names the row whose number is not positive, the row without a
            tensor if a direction is given, or the rows with two different numbers for one material.
    """
    names = [n for d in ids_by_material(space).values() for n in d if n in table]
    if direction is not None:
        _check_tensors(names, table, columns)
    if log:
        _check_positive(names, table, columns, direction)
    several = 0
    for same in ids_by_material(space).values():
        rows = [table[name] for name in same if name in table]
        for other in rows[1:]:
            _check_agreement(rows[0], other, columns, direction)
        several += len(rows) > 1
    if not several:
        return []
    return [
        f"table: {several} materials have several rows of {columns['column']} that agree; the "
        "first of each is taken"
    ]


def _check_tensors(names: Sequence[str], table: Rows, columns: Columns) -> None:
    """Check that every value is a tensor, which an objective along a direction needs."""
    for column in _value_columns(columns):
        for name in names:
            value = table[name].get(column)
            if (
                value is not None
                and not is_tensor(value)
                and not _is_unstable(table[name], columns)
            ):
                raise OracleError(
                    "read",
                    f"table: {column} of {name!r} is {value!r}, one number, of which "
                    "objective.direction cannot be taken; expected a tensor of 3 x 3 numbers in "
                    "every row, or no objective.direction",
                )


def _value_columns(columns: Columns) -> list[str]:
    return [name for name in (columns["column"], columns["confirm_column"]) if name]


def _check_positive(
    names: Sequence[str], table: Rows, columns: Columns, direction: Direction | None
) -> None:
    wrong = [
        (column, name)
        for column in _value_columns(columns)
        for name in names
        if _is_not_positive(table[name], column, columns, direction)
    ]
    if wrong:
        column, name = wrong[0]
        others = f" ({len(wrong) - 1} more rows like it)" if wrong[1:] else ""
        raise OracleError(
            "read",
            f"table: {column} of {name!r} is {number_in(table[name][column], direction):g}{others}"
            "; expected a number "
            "above 0, since its logarithm is modelled: correct or drop the row, or set "
            "objective.log: false",
        )


def _is_unstable(row: Mapping[str, Any], columns: Columns) -> bool:
    stable = columns["stable_column"]
    return bool(stable) and row.get(stable) is False


def _is_not_positive(
    row: Mapping[str, Any], column: str, columns: Columns, direction: Direction | None
) -> bool:
    if _is_unstable(row, columns):
        return False  # its number is not used
    number = number_in(row.get(column), direction)
    return number is not None and number <= 0


def _check_agreement(
    one: Mapping[str, Any], other: Mapping[str, Any], columns: Columns, direction: Direction | None
) -> None:
    """Check that two rows of one material agree within their errors."""
    for column, (a, b) in _differing(one, other, columns, direction):
        raise OracleError(
            "read",
            f"table: {one['id']!r} and {other['id']!r} are one material, but {column} is {a} and "
            f"{b}; expected one row, or numbers that agree within their std_column: drop one, or "
            "replace both by their mean",
        )


def _differing(
    one: Mapping[str, Any], other: Mapping[str, Any], columns: Columns, direction: Direction | None
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    stable = columns["stable_column"]
    if stable and (one.get(stable) is False) != (other.get(stable) is False):
        yield stable, (one.get(stable), other.get(stable))
    if stable and one.get(stable) is False:
        return
    column, std = columns["column"], columns["std_column"]
    a, b = (number_in(row.get(column), direction) for row in (one, other))
    if a is None or b is None:
        if a is not b:
            yield column, (one.get(column), other.get(column))
        return
    errors = [row.get(std) or 0.0 for row in (one, other)] if std else [0.0, 0.0]
    allowed = _SIGMAS * math.hypot(*errors)
    if abs(a - b) > max(allowed, 1e-12 * abs(a)):
        yield column, (a, b)
