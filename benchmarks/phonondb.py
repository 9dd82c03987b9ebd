"""Conductivities of potentials against PhononDB-PBE, compound by compound.

    python benchmarks/phonondb.py DATA [FORMULA ...]
    python benchmarks/phonondb.py DATA --calculator dpa4-neo-0704 --against dft --all

DATA is the folder with ``phonondb_pbe_part.csv`` and ``.extxyz``: structures, supercells and meshes
of PhononDB-PBE (A. Togo), kappa at 300 K by density functional theory with and without the
non-analytic term, and without it with SevenNet-l3i5 as the maintainers of Matbench Discovery
computed it by finite differences. Here the default adaptive scheme is used on the same supercells
and mesh; with ``--own-mesh`` on the same supercells and the mesh that the project chooses by
itself, of which it is then found what the mesh of the table would give (`particle_on`), since the
table lacks the waves between the points of its meshes; with ``--default`` the supercells are the
project's as well. Without ``--all`` only cubic compounds are computed, without a formula all of
them, each some minutes. Measured rows are appended to ``--rows FILE`` (JSON lines), and compounds
that stand there already are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import phono3py
from ase import Atoms
from ase.io import read
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.contract.evaluation import Measured, scalar
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.between_points import particle_on
from oracle.phonon_bte.conductivity import VOIGT, Transport
from oracle.phonon_bte.oracle import VERSION, PhononBTE
from oracle.phonons import harmonic
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context

_CUBIC = 195  # space groups from here on
_REFERENCES = {
    "7net-l3i5": "kappa300_SevenNet_l3i5_W_mK",
    "dft": "kappa300_PBE_NAC_W_mK",
    "dft-without-dipoles": "kappa300_PBE_noNAC_W_mK",
}


def compounds(
    data: Path, column: str, wanted: list[str], *, everything: bool
) -> Iterator[tuple[dict[str, str], Atoms]]:
    """Rows of the table with their structures and a reference value, smallest cells first."""
    with (data / "phonondb_pbe_part.csv").open() as file:
        rows = {row["mp_id"]: row for row in csv.DictReader(file)}
    structures = {
        atoms.info["mp_id"]: atoms for atoms in read(data / "phonondb_pbe_part.extxyz", ":")
    }
    for key, atoms in structures.items():
        row = rows[key]
        cubic = int(row["spacegroup"]) >= _CUBIC
        if row[column] and (everything or cubic) and (not wanted or row["formula"] in wanted):
            yield row, atoms


def settings_for(
    row: dict[str, str], atoms: Atoms, calculator: str, *, cells: bool, mesh: bool
) -> PhononSettings:
    """The protocol of the table but for the way in which third-order constants are found.

    Args:
        row: of the table.
        atoms: its structure.
        calculator: name of the potential.
        cells: whether supercells are those of the table.
        mesh: whether the mesh is.
    """
    chosen: dict[str, Any] = {"calculator": calculator, "bands": False}
    if cells:
        chosen |= {
            "fitted_charges": False,
            "fc2_supercell": np.asarray(atoms.info["fc2_supercell"]).tolist(),
            "fc3_supercell": np.asarray(atoms.info["fc3_supercell"]).tolist(),
        }
    if mesh:
        chosen |= {"mesh": [int(n) for n in row["q_mesh"].split("x")], "boundary_um": 1e6}
    return PhononSettings.model_validate(chosen)


def on_mesh_of_table(outcome: Measured, workdir: Path, mesh: tuple[int, ...]) -> float:
    """Kappa at 300 K, a third of the trace, that the mesh of the table gives, W/m/K."""
    paths = {name: workdir / path for name, path in outcome.artefacts.items()}
    phonons = phono3py.load(
        paths["phono3py"], fc2_filename=paths["fc2"], produce_fc=False, log_level=0
    )
    dynamics = harmonic.dynamics(
        phonons.unitcell,
        phonons.phonon_supercell_matrix,
        phonons.phonon_primitive,
        phonons.fc2,
        phonons.nac_params,
    )
    settings = PhononSettings(temperatures=outcome.temperature)
    with h5py.File(paths["kappa"]) as file:
        tensors = np.zeros((2, len(settings.temperatures), 3, 3))
        inter = file["kappa_inter"][:]
        for column, (i, j) in enumerate(VOIGT):
            tensors[0][:, i, j] = tensors[0][:, j, i] = file["kappa_on_mesh"][:, column]
            tensors[1][:, i, j] = tensors[1][:, j, i] = inter[:, column]
        x, y, z = (int(n) for n in file["mesh"][:])
        solved = Transport(
            mesh=(x, y, z),
            points=file["qpoint"][:],
            particle=tensors[0] - tensors[1],
            coherence=None,
            frequencies=file["frequency"][:],
            weights=file["weight"][:].astype(float),
            mode_kappa=np.zeros_like(file["gamma"][:]),
            velocities=file["group_velocity"][:],
            linewidths=file["gamma"][:] + file["gamma_isotope"][:],
            isotope_linewidths=file["gamma_isotope"][:],
        )
    a, b, c = mesh
    particle = particle_on((a, b, c), solved, phonons, dynamics, settings)
    return float(np.trace((particle + tensors[1])[settings.temperatures.index(300.0)]) / 3)


def measured(
    row: dict[str, str], atoms: Atoms, arguments: argparse.Namespace, workdir: Path
) -> dict[str, Any]:
    """One compound: what was found beside its reference."""
    crystal = Crystal.from_structure(AseAtomsAdaptor.get_structure(atoms))
    own_mesh = arguments.default or arguments.own_mesh
    oracle = PhononBTE(
        settings_for(
            row, atoms, arguments.calculator, cells=not arguments.default, mesh=not own_mesh
        )
    )
    outcome = oracle.evaluate(crystal, context=Context(workdir, threads=os.cpu_count() or 1))
    kappa, calls = scalar(outcome, "kappa", 300.0), scalar(outcome, "force_calls")
    value, std = (None, None) if kappa is None else kappa
    limit = value
    if isinstance(outcome, Measured):
        mesh = tuple(int(n) for n in row["q_mesh"].split("x"))
        on_mesh = outcome.provenance["kappa_on_mesh"]
        value = on_mesh_of_table(outcome, workdir, mesh) if own_mesh else float(on_mesh)
    return {
        "formula": row["formula"],
        "family": row["structure"],
        "calculator": arguments.calculator,
        "default": arguments.default,
        "own_mesh": own_mesh,
        "status": outcome.status,
        "kappa": value,
        "limit": limit,
        "std": std,
        "caution": outcome.low_confidence if isinstance(outcome, Measured) else None,
        "reason": getattr(outcome, "reason", None) or getattr(outcome, "message", None),
        "reference": float(row[_REFERENCES[arguments.against]]),
        "reference_without_dipoles": float(row[_REFERENCES["dft-without-dipoles"]]),
        "against": arguments.against,
        "dipoles_explain": outcome.provenance.get("dipoles", {}).get("explained"),
        "force_calls": None if calls is None else int(calls[0]),
        "seconds": round(outcome.cost_s, 1),
        "version": VERSION,
        "environment": dict(outcome.environment),
        "date": time.strftime("%Y-%m-%d"),
    }


def printed(row: dict[str, Any]) -> str:
    """A row of the table."""
    name = f"{row['formula']} ({row['family']})"
    if row["kappa"] is None:
        return f"| {name} | {row['status']} | | {row['reference']:.3f} | | | {row['seconds']:.0f} |"
    return (
        f"| {name} | {row['kappa']:.3f} | {row['std'] or 0:.2g} | {row['reference']:.3f} "
        f"| {row['kappa'] / row['reference']:.3f} | {row['force_calls']} | {row['seconds']:.0f} |"
    )


def summarised(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Median deviation, typical factor and bias, over all and family by family."""
    families = dict.fromkeys(row["family"] for row in rows)
    for family in (None, *families):
        chosen = [row for row in rows if family in (None, row["family"])]
        logs = [math.log(row["kappa"] / row["reference"]) for row in chosen if row["kappa"]]
        if not logs:
            continue
        median = statistics.median(abs(math.expm1(value)) for value in logs)
        factor, bias = math.exp(statistics.fmean(map(abs, logs))), math.exp(statistics.fmean(logs))
        worst = math.exp(max(logs, key=abs))
        yield (
            f"{family or 'all'}: {len(logs)} of {len(chosen)} measured, median deviation "
            f"{100 * median:.1f} %, typical factor {factor:.3f}, bias {bias:.3f}, "
            f"worst ratio {worst:.2f}"
        )


def main() -> None:
    """Print one line per compound, then what they say together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("formulas", nargs="*")
    parser.add_argument("--workdir", type=Path, default=None)
    parser.add_argument("--calculator", default="7net-l3i5")
    parser.add_argument("--against", choices=list(_REFERENCES), default="7net-l3i5")
    parser.add_argument("--all", action="store_true", help="not only cubic compounds")
    parser.add_argument("--own-mesh", action="store_true", help="mesh of the project")
    parser.add_argument("--default", action="store_true", help="supercells and mesh of the project")
    parser.add_argument("--rows", type=Path, default=None)
    arguments = parser.parse_args()
    workdir = arguments.workdir or Path(tempfile.mkdtemp())
    rows: list[dict[str, Any]] = []
    if arguments.rows is not None and arguments.rows.is_file():
        rows = [json.loads(line) for line in arguments.rows.read_text().splitlines()]
    done = {(row["formula"], row["family"]) for row in rows}
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}\n")
    print("| compound | kappa | ± | reference | ratio | force calls | s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for row, atoms in compounds(
        arguments.data, _REFERENCES[arguments.against], arguments.formulas, everything=arguments.all
    ):
        if (row["formula"], row["structure"]) in done:
            continue
        rows.append(measured(row, atoms, arguments, workdir))
        print(printed(rows[-1]), flush=True)
        if arguments.rows is not None:
            with arguments.rows.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    print()
    for line in summarised(rows):
        print(line)


if __name__ == "__main__":
    main()
