"""The pipeline against the conductivities that others obtained with the same potential.

    python benchmarks/phonondb.py DATA [--workdir FOLDER] [FORMULA ...]

DATA is the folder with ``phonondb_pbe_part.csv`` and ``.extxyz``: structures, supercells and meshes
of PhononDB-PBE (A. Togo), and kappa at 300 K with SevenNet-l3i5 as the maintainers of Matbench
Discovery computed it by finite differences. Here the default adaptive scheme is used on the same
supercells and mesh. Cubic compounds only; without a formula all of them, each some minutes.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.contract.evaluation import scalar
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context

_CUBIC = 195  # space groups from here on


def compounds(data: Path, wanted: list[str]) -> Iterator[tuple[dict[str, str], Atoms]]:
    """Rows of the table with their structures, cubic and with a published number."""
    with (data / "phonondb_pbe_part.csv").open() as file:
        rows = {row["mp_id"]: row for row in csv.DictReader(file)}
    for atoms in read(data / "phonondb_pbe_part.extxyz", ":"):
        row = rows[atoms.info["mp_id"]]
        published = row["kappa300_SevenNet_l3i5_W_mK"]
        if (
            int(row["spacegroup"]) < _CUBIC
            or not published
            or (wanted and row["formula"] not in wanted)
        ):
            continue
        yield row, atoms


def settings_for(row: dict[str, str], atoms: Atoms) -> PhononSettings:
    """The maintainers' protocol but for the way third-order constants are found."""
    return PhononSettings.model_validate(
        {
            "calculator": "7net-l3i5",
            "fc2_supercell": np.asarray(atoms.info["fc2_supercell"]).tolist(),
            "fc3_supercell": np.asarray(atoms.info["fc3_supercell"]).tolist(),
            "mesh": [int(n) for n in row["q_mesh"].split("x")],
            "boundary_um": 1e6,
            "bands": False,
        }
    )


def main() -> None:
    """Print one line per compound, then median and worst deviation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("formulas", nargs="*")
    parser.add_argument("--workdir", type=Path, default=None)
    arguments = parser.parse_args()
    workdir = arguments.workdir or Path(tempfile.mkdtemp())
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}\n")
    print("| compound | kappa | ± | published | deviation | force calls | s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    deviations = []
    for row, atoms in compounds(arguments.data, arguments.formulas):
        crystal = Crystal.from_structure(AseAtomsAdaptor.get_structure(atoms))
        oracle = PhononBTE(settings_for(row, atoms))
        context = Context(workdir, threads=os.cpu_count() or 1)
        outcome = oracle.evaluate(crystal, context=context)
        result = scalar(outcome, "kappa", 300.0)
        calls = scalar(outcome, "force_calls")
        published = float(row["kappa300_SevenNet_l3i5_W_mK"])
        name = f"{row['formula']} ({row['structure']})"
        if result is None:
            print(f"| {name} | {outcome.status} | | {published:.3f} | | | |", flush=True)
            continue
        deviation = result[0] / published - 1
        deviations.append(abs(deviation))
        print(
            f"| {name} | {result[0]:.3f} | {result[1] or 0:.2g} | {published:.3f} "
            f"| {100 * deviation:+.1f} % | {calls[0] if calls else 0:.0f} | {outcome.cost_s:.0f} |",
            flush=True,
        )
    if deviations:
        print(
            f"\n{len(deviations)} compounds: median {100 * statistics.median(deviations):.1f} %, "
            f"worst {100 * max(deviations):.1f} % (aims: 3 % and 10 %)"
        )


if __name__ == "__main__":
    main()
