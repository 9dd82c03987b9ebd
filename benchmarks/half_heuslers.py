"""Conductivities of half-Heuslers beside published ones.

    python benchmarks/half_heuslers.py DATA [FORMULA ...] [--calculator dpa4-neo-0704] [--rows FILE]

DATA is the folder ``halfheusler`` of the reference data; kappa stands in ``published_bte.csv``, by
density functional theory and the Boltzmann equation, from several papers that differ among each
other by a factor of 1.75 in the median. Without a formula, all compounds with values at two or more
temperatures are computed with the default settings, each one to two minutes. Which element takes
which site is decided by the energy of the three arrangements, by the same potential. A compound
agrees if kappa lies within a factor of `WITHIN` of the published value nearest to it at one of its
temperatures. Measured rows are appended to ``--rows`` (JSON lines); compounds there are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from pymatgen.core.composition import Composition
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Measured, scalar
from oracle.energetics.energies import relaxed_energy
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import VERSION, PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context

WITHIN = 1.5
"""Factor within which a single published value counts as reproduced."""
_GUESS = 6.0  # Å, lattice parameter before relaxation


def published(data: Path) -> dict[str, dict[float, list[float]]]:
    """Kappa in W/m/K by compound and temperature in K."""
    found: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    with (data / "published_bte.csv").open() as file:
        for row in csv.DictReader(file):
            found[row["compound"]][float(row["T_K"])].append(float(row["kappa_W_mK"]))
    return found


def most_stable(formula: str, potential: str, cache: Path) -> Crystal:
    """The arrangement of the three elements with the lowest energy."""
    elements = sorted(str(element) for element in Composition(formula).elements)
    arrangements = []
    for single in elements:  # on 4c, with two kinds of nearest neighbours
        first, second = (element for element in elements if element != single)
        structure = Structure.from_spacegroup(
            "F-43m",
            Lattice.cubic(_GUESS),
            [first, single, second],
            [[0] * 3, [0.25] * 3, [0.5] * 3],
        )
        arrangements.append(Crystal.from_structure(structure))
    return min(arrangements, key=lambda one: relaxed_energy(one, potential, cache))


def measured(
    formula: str, values: dict[float, list[float]], calculator: str, workdir: Path
) -> dict[str, Any]:
    """One compound beside its published values."""
    crystal = most_stable(formula, calculator, workdir / "energies")
    oracle = PhononBTE(
        PhononSettings(calculator=calculator, temperatures=tuple(sorted(values)), bands=False)
    )
    outcome = oracle.evaluate(crystal, context=Context(workdir))
    rows = []
    for temperature, literature in sorted(values.items()):
        kappa = scalar(outcome, "kappa", temperature)
        if kappa is None:
            continue
        nearest = min(literature, key=lambda one: abs(math.log(kappa[0] / one)))
        inside = min(literature) <= kappa[0] <= max(literature)
        rows.append(
            {
                "temperature": temperature,
                "kappa": kappa[0],
                "std": kappa[1],
                "published": literature,
                "ratio": kappa[0] / nearest,
                "agrees": inside or abs(math.log(kappa[0] / nearest)) <= math.log(WITHIN),
            }
        )
    return {
        "formula": formula,
        "calculator": calculator,
        "status": outcome.status,
        "at": rows,
        "agrees": any(row["agrees"] for row in rows),
        "caution": outcome.low_confidence if isinstance(outcome, Measured) else None,
        "seconds": round(outcome.cost_s, 1),
        "version": VERSION,
        "date": time.strftime("%Y-%m-%d"),
    }


def printed(row: dict[str, Any]) -> str:
    """A line of the table."""
    text = "; ".join(
        f"{at['kappa']:.3g} ({', '.join(f'{one:.3g}' for one in at['published'])}) "
        f"at {at['temperature']:g} K"
        for at in row["at"]
    )
    agrees = "yes" if row["agrees"] else "no"
    return f"| {row['formula']} | {text or row['status']} | {agrees} | {row['seconds']:.0f} |"


def main() -> None:
    """Print one line per compound, then how many agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("formulas", nargs="*")
    parser.add_argument("--calculator", default="dpa4-neo-0704")
    parser.add_argument("--workdir", type=Path, default=None)
    parser.add_argument("--rows", type=Path, default=None)
    arguments = parser.parse_args()
    workdir = arguments.workdir or Path(tempfile.mkdtemp())
    rows: list[dict[str, Any]] = []
    if arguments.rows is not None and arguments.rows.is_file():
        rows = [json.loads(line) for line in arguments.rows.read_text().splitlines()]
    done = {row["formula"] for row in rows}
    table = published(arguments.data)
    formulas = arguments.formulas or sorted(name for name, at in table.items() if len(at) > 1)
    print("| compound | kappa (published), W/m/K | agrees | s |\n|---|---|---|---|", flush=True)
    for formula in formulas:
        if formula in done:
            continue
        rows.append(measured(formula, table[formula], arguments.calculator, workdir))
        print(printed(rows[-1]), flush=True)
        if arguments.rows is not None:
            with arguments.rows.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    logs = [math.log(at["ratio"]) for row in rows for at in row["at"]]
    agreeing = sum(row["agrees"] for row in rows)
    if logs:
        factor = math.exp(statistics.fmean(map(abs, logs)))
        bias = math.exp(statistics.fmean(logs))
        print(f"\n{agreeing} of {len(rows)} agree; typical factor {factor:.2f}, bias {bias:.2f}")


if __name__ == "__main__":
    main()
