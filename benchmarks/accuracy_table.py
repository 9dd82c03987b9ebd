"""The measured accuracy of potentials, as a module that states it and as a table for people.

    python benchmarks/accuracy_table.py ROWS [ROWS ...]

ROWS are files of rows (JSON lines) that `benchmarks/phonondb.py DATA --calculator NAME --against
dft --all --default --rows ROWS` wrote, one potential per file or several in one. Everything about
them is computed anew by `oracle.potentials.calibration` and written to
`oracle/potentials/measured_accuracy.py`; a table with the coverage of 90 % intervals, found by
leaving out one formula after another, is printed. Rows of different settings are refused.
"""

from __future__ import annotations

import argparse
import json
import math
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from oracle.phonon_bte.oracle import VERSION
from oracle.potentials.calibration import Comparison, Deviations, MeasuredTable, measured_table
from oracle.runtime.environment import environment

TARGET = Path(__file__).parents[1] / "oracle" / "potentials" / "measured_accuracy.py"
_COMMAND = "python benchmarks/accuracy_table.py ROWS ..."
_SETTINGS = {True: "defaults", False: "supercells and meshes of PhononDB"}
_DIGITS = 4
_WIDTH = 100  # columns of a line of text
_HEADER = '''"""Deviations of each potential's kappa from DFT at 300 K, measured by this project.

Generated; never edit it by hand. To regenerate it, measure each potential with
`python benchmarks/phonondb.py DATA --calculator NAME --against dft --all --default --rows ROWS`,
then run `{command}`.

Reference: PhononDB-PBE (A. Togo), with the non-analytic term, on the mesh of its table.
Settings: {settings}.
{origin}
Coverage of 90 % intervals (numerics and potential) on formulas that were left out, of all compounds
and by quartile of the stated width, the narrowest first:
{coverage}
"""

from __future__ import annotations

from oracle.potentials.calibration import {imported}

'''


def read_rows(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Rows of all files, of each compound and potential the last one.

    Raises:
        ValueError: a row is not relative to DFT, or the settings differ between rows.
    """
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for path in paths:
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if row["against"] != "dft":
                raise ValueError(
                    f"{path}: given a row against {row['against']}; expected dft: run "
                    "benchmarks/phonondb.py with --against dft"
                )
            rows[row["calculator"], row["formula"], row["family"]] = row
    if len({row["default"] for row in rows.values()}) > 1:
        raise ValueError("given rows with and without --default; expected one kind: measure again")
    return list(rows.values())


def comparison(row: dict[str, Any]) -> Comparison:
    """One row; a compound without a conductivity was refused."""
    if row["status"] != "measured" or not row["kappa"] or row["kappa"] <= 0:
        return Comparison(row["formula"], row["family"], None)
    # The error belongs to kappa of all waves, that of the table's mesh is its relative share.
    numerics = (row["std"] or 0.0) / (row.get("limit") or row["kappa"])
    log_ratio = math.log(row["kappa"] / row["reference"])
    return Comparison(row["formula"], row["family"], log_ratio, numerics)


def tables(rows: Sequence[dict[str, Any]]) -> dict[str, MeasuredTable]:
    """By potential, in the order of the rows.

    Raises:
        ValueError: no compound of a potential has a conductivity.
    """
    by_potential: dict[str, list[Comparison]] = {}
    settings = _SETTINGS[bool(rows and rows[0]["default"])]
    for row in rows:
        by_potential.setdefault(row["calculator"], []).append(comparison(row))
    return {name: measured_table(each, settings) for name, each in by_potential.items()}


def origin_of(rows: Sequence[dict[str, Any]]) -> str:
    """When and with which versions the rows were measured, as lines of text.

    Rows of earlier versions of the benchmark do not say; then it is today, with what is installed.
    """
    if not rows:
        return "Nothing has been measured yet."
    today = time.strftime("%Y-%m-%d")
    dates = sorted({row.get("date") or today for row in rows})
    versions = sorted({row.get("version") or VERSION for row in rows})
    libraries: dict[str, set[str]] = {}
    for row in rows:
        for name, version in (row.get("environment") or environment()).items():
            libraries.setdefault(name, set()).add(version)
    used = (f"{name} {'/'.join(sorted(each))}" for name, each in sorted(libraries.items()))
    text = (
        f"Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))} with version "
        f"{'/'.join(map(str, versions))} of the oracle and {', '.join(used) or 'no library'}."
    )
    return textwrap.fill(text, _WIDTH)


def module(measured: dict[str, MeasuredTable], origin: str) -> str:
    """The text of the generated module; `origin` says when and how its rows were measured."""
    header = _HEADER.format(
        command=_COMMAND,
        imported=", ".join(_imported(measured)),
        settings=", ".join(dict.fromkeys(table.settings for table in measured.values())) or "none",
        origin=origin,
        coverage="\n".join(f"- {name}: {_coverage(table)}" for name, table in measured.items())
        or "- nothing was measured",
    )
    body = "".join(_table_source(name, table) for name, table in measured.items())
    opening = "MEASURED: dict[str, MeasuredTable] = {"
    return header + (f"{opening}\n{body}}}\n" if body else f"{opening}}}\n")


def _imported(measured: dict[str, MeasuredTable]) -> Iterator[str]:
    """What the module uses of `oracle.potentials.calibration`."""
    if any(table.coverage is not None for table in measured.values()):
        yield "Coverage"
    if measured:
        yield "Deviations"
    yield "MeasuredTable"


def _table_source(name: str, table: MeasuredTable) -> str:
    families = "".join(
        f'            "{family}": {_call(each, " " * 12)},\n'
        for family, each in table.families.items()
    )
    coverage = "None" if table.coverage is None else _call(table.coverage, " " * 8)
    mapping = f"{{\n{families}        }}" if families else "{}"
    return (
        f'    "{name}": MeasuredTable(\n'
        f"        overall={_call(table.overall, ' ' * 8)},\n"
        f"        families={mapping},\n"
        f"        multiplier_90={table.multiplier_90:.{_DIGITS}g},\n"
        f"        coverage={coverage},\n"
        f'        settings="{table.settings}",\n'
        "    ),\n"
    )


def _call(instance: Any, indent: str) -> str:
    """The call that makes a dataclass again, one argument on each line."""
    lines = (
        f"{indent}    {name}={_literal(value)},\n"
        for name, value in vars(instance).items()
        if name != "leaving"
    )
    return f"{type(instance).__name__}(\n{''.join(lines)}{indent})"


def _literal(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))})"
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else repr(value)


def _coverage(table: MeasuredTable) -> str:
    if table.coverage is None:
        return "too few compounds"
    quartiles = ", ".join(f"{100 * share:.0f}" for share in table.coverage.quartiles)
    return (
        f"{100 * table.coverage.share:.0f} % ({quartiles}), half width {table.multiplier_90:.3g} "
        "times the stated error"
    )


def printed(measured: dict[str, MeasuredTable]) -> Iterator[str]:
    """The table in Markdown, then the coverage of each potential's intervals."""
    yield "| potential | family | compounds | refused | bias | spread | typical factor | 90 % |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, table in measured.items():
        for family, each in (*table.families.items(), ("all", table.overall)):
            yield _line(name, family, each)
    yield ""
    for name, table in measured.items():
        yield f"Coverage, {name}: {_coverage(table)}."


def _line(name: str, family: str, each: Deviations) -> str:
    return (
        f"| {name} | {family} | {each.compounds} | {each.refused} | {100 * (each.bias - 1):+.1f} % "
        f"| {each.spread:.3f} | {each.factor:.3f} | {each.factor_90:.2f} |"
    )


def main() -> None:
    """Write the module and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, default=TARGET)
    arguments = parser.parse_args()
    rows = read_rows(arguments.rows)
    measured = tables(rows)
    arguments.output.write_text(module(measured, origin_of(rows)))
    for line in printed(measured):
        print(line)


if __name__ == "__main__":
    main()
