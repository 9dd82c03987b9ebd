"""Default evaluations of twelve families of crystals beside converged ones by the same potential.

    python benchmarks/families.py [NAME ...] [--calculator dpa4-neo-0704] [--rows FILE]
    python benchmarks/families.py [NAME ...] --converged --symmetry --rows FILE

The settings were developed on cubic binaries and wurtzites; these are other crystals.
``--converged`` evaluates each again with larger supercells, more snapshots of another seed, and
lifetimes at all points of the mesh; ``--symmetry`` solves the Boltzmann equation of the default
force constants on a coarse mesh without using any symmetry, and tells by how much components that
symmetry makes equal differ. A component agrees if the two values lie within 1.645 times the root of
the sum of their squared standard errors. Measured rows are appended to ``--rows`` (JSON lines), and
what stands there is not computed again. Each default evaluation takes two to ten minutes on one
core, each converged one several times as long.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import phono3py
from numpy.typing import NDArray
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Measured, quantity_of
from oracle.materials.crystal import Crystal
from oracle.materials.reciprocal import mesh_of
from oracle.phonon_bte.oracle import VERSION, PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context

_NINETY = 1.645
_WIDER = 1.25  # factor on the length of the third-order supercell of a converged evaluation
_FEW = 5  # points along the longest vector of the mesh without symmetry


def _hexagonal(a: float, c: float) -> Lattice:
    return Lattice.hexagonal(a, c)


_CRYSTALS: dict[str, tuple[str, Lattice, list[tuple[str, tuple[float, float, float]]]]] = {
    "Fe2VAl full Heusler": (
        "Fm-3m",
        Lattice.cubic(5.76),
        [("Fe", (0.25, 0.25, 0.25)), ("V", (0.5, 0.5, 0.5)), ("Al", (0, 0, 0))],
    ),
    "NbCoSn half-Heusler": (
        "F-43m",
        Lattice.cubic(5.95),
        [("Nb", (0, 0, 0)), ("Co", (0.25, 0.25, 0.25)), ("Sn", (0.5, 0.5, 0.5))],
    ),
    "GaN wurtzite": (
        "P6_3mc",
        _hexagonal(3.19, 5.19),
        [("Ga", (1 / 3, 2 / 3, 0)), ("N", (1 / 3, 2 / 3, 0.377))],
    ),
    "P black phosphorus": (
        "Cmce",
        Lattice.orthorhombic(3.314, 10.478, 4.376),
        [("P", (0, 0.1017, 0.0806))],
    ),
    "ZrS2 layered chalcogenide": (
        "P-3m1",
        _hexagonal(3.66, 5.83),
        [("Zr", (0, 0, 0)), ("S", (1 / 3, 2 / 3, 0.25))],
    ),
    "Bi2Te3 tetradymite": (
        "R-3m",
        _hexagonal(4.386, 30.5),
        [("Bi", (0, 0, 0.4)), ("Te", (0, 0, 0)), ("Te", (0, 0, 0.2095))],
    ),
    "MgF2 rutile": (
        "P4_2/mnm",
        Lattice.tetragonal(4.62, 3.05),
        [("Mg", (0, 0, 0)), ("F", (0.303, 0.303, 0))],
    ),
    "ZnGeP2 chalcopyrite": (
        "I-42d",
        Lattice.tetragonal(5.465, 10.71),
        [("Zn", (0, 0, 0)), ("Ge", (0, 0, 0.5)), ("P", (0.258, 0.25, 0.125))],
    ),
    "Al2O3 corundum": (
        "R-3c",
        _hexagonal(4.76, 12.99),
        [("Al", (0, 0, 0.352)), ("O", (0.306, 0, 0.25))],
    ),
    "SiO2 quartz": (
        "P3_221",
        _hexagonal(4.913, 5.405),
        [("Si", (0.4697, 0, 2 / 3)), ("O", (0.4135, 0.2669, 0.7858))],
    ),
    "SnSe layered Pnma": (
        "Pnma",
        Lattice.orthorhombic(11.5, 4.15, 4.44),
        [("Sn", (0.118, 0.25, 0.103)), ("Se", (0.855, 0.25, 0.479))],
    ),
    "MgAl2O4 spinel": (
        "Fd-3m",
        Lattice.cubic(8.08),
        [("Mg", (0, 0, 0)), ("Al", (0.625, 0.625, 0.625)), ("O", (0.3874, 0.3874, 0.3874))],
    ),
    "MgSiO3 perovskite Pnma": (
        "Pbnm",
        Lattice.orthorhombic(4.775, 4.929, 6.897),
        [
            ("Mg", (0.514, 0.556, 0.25)),
            ("Si", (0, 0.5, 0)),
            ("O", (0.1028, 0.466, 0.25)),
            ("O", (0.1961, 0.2014, 0.5531)),
        ],
    ),
}
"""Space group, lattice in Å and one atom of each orbit, near the measured structures."""


def crystal(name: str) -> Crystal:
    """One of the crystals, from its entry."""
    group, lattice, atoms = _CRYSTALS[name]
    symbols, positions = zip(*atoms, strict=True)
    return Crystal.from_structure(Structure.from_spacegroup(group, lattice, symbols, positions))


def converged(settings: PhononSettings, mesh: tuple[int, int, int]) -> PhononSettings:
    """Settings of a reference that shares neither snapshots, cells nor mesh with the default."""
    tight = settings.tightened()
    return tight.model_copy(
        update={
            "fc3_length": settings.fc3_length * _WIDER,
            "fc3_atoms": round(settings.fc3_atoms * _WIDER**3),
            "snapshot_seed": settings.snapshot_seed + 7,
            "pairs_max": settings.pairs_max * 3,
            "tolerance": settings.tolerance / 2,
            "mesh": mesh,
        }
    )


def without_symmetry(outcome: Measured, workdir: Path) -> tuple[float, float]:
    """How far symmetry is broken, and how far the solution by irreducible points is from the rest.

    Both are relative to the largest component, on a mesh of few points.
    """
    paths = {name: workdir / path for name, path in outcome.artefacts.items()}
    tensors: list[NDArray[np.float64]] = []
    for symmetric in (True, False):
        phonons = phono3py.load(
            paths["phono3py"],
            fc2_filename=paths["fc2"],
            fc3_filename=paths["fc3"],
            produce_fc=False,
            is_mesh_symmetry=symmetric,
            log_level=0,
        )
        cell, operations = phonons.primitive.cell, phonons.primitive_symmetry.reciprocal_operations
        lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell), axis=0)
        mesh = mesh_of(cell, max(lengths) / _FEW, operations=operations)
        phonons.mesh_numbers = list(mesh)
        phonons.init_phph_interaction()
        phonons.run_thermal_conductivity(temperatures=[300.0])
        xx, yy, zz, yz, xz, xy = phonons.thermal_conductivity.kappa[0, 0]
        tensors.append(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
    rotations = phonons.primitive_symmetry.pointgroup_operations
    lattice = phonons.primitive.cell.T
    turned = []
    for rotation in rotations:
        turn = lattice @ rotation @ np.linalg.inv(lattice)
        turned.append(turn @ tensors[1] @ turn.T)
    largest = float(np.abs(tensors[1]).max())
    broken = float(np.abs(np.array(turned) - tensors[1]).max()) / largest
    return broken, float(np.abs(tensors[0] - np.mean(turned, axis=0)).max()) / largest


def measured(
    name: str,
    potential: PhononSettings,
    workdir: Path,
    *,
    mesh: tuple[int, int, int] | None,
    symmetry: bool,
) -> dict[str, Any]:
    """One evaluation; with the settings of a reference if a mesh is given."""
    settings = potential
    if mesh is not None:
        settings = converged(settings, mesh)
    context = Context(workdir, keep_large=symmetry)
    outcome = PhononBTE(settings).evaluate(crystal(name), context=context)
    row: dict[str, Any] = {
        "name": name,
        "calculator": potential.calculator,
        "dispersion": potential.dispersion,
        "converged": mesh is not None,
        "status": outcome.status,
        "reason": getattr(outcome, "reason", None) or getattr(outcome, "message", None),
        "caution": outcome.low_confidence if isinstance(outcome, Measured) else None,
        "atoms": len(crystal(name).species),
        "seconds": round(outcome.cost_s, 1),
        "gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "version": VERSION,
        "date": time.strftime("%Y-%m-%d"),
    }
    for key in ("kappa", "elastic_tensor", "bulk_modulus", "shear_modulus", "force_calls"):
        quantity = quantity_of(outcome, key)
        if quantity is not None:
            row[key], row[f"{key}_std"] = quantity.value, quantity.std
    for key in ("mesh", "fc2_supercell", "fc3_supercell", "fc3_cutoff", "seconds"):
        row[f"used_{key}"] = outcome.provenance.get(key)
    if symmetry and isinstance(outcome, Measured) and mesh is None:
        row["broken"], row["unsymmetric"] = without_symmetry(outcome, workdir)
    return row


def components(row: dict[str, Any]) -> NDArray[np.float64]:
    """Diagonal of the conductivity with its errors (2, 3), W/m/K.

    The stated error is that of a third of the trace, and is taken to be relatively the same.
    """
    value = np.diag(np.array(row["kappa"])[0])
    return np.array([value, value / value.mean() * row["kappa_std"][0]])


def printed(name: str, rows: dict[bool, dict[str, Any]]) -> tuple[str, list[bool]]:
    """A line of the table, and which independent components agree."""
    default, reference = rows.get(False), rows.get(True)
    texts, agree = [], []
    for row in (default, reference):
        if row is None or "kappa" not in row:
            texts.append("" if row is None else row["status"])
            continue
        kappa, std = components(row)
        texts.append(", ".join(f"{k:.3g} ± {s:.2g}" for k, s in zip(kappa, std, strict=True)))
    ratios = ""
    if default and reference and "kappa" in default and "kappa" in reference:
        (mine, std), (theirs, other) = components(default), components(reference)
        _, distinct = np.unique(np.round(theirs, 6), return_index=True)
        ratios = ", ".join(f"{mine[k] / theirs[k]:.3f}" for k in sorted(distinct))
        agree = [
            abs(mine[k] - theirs[k]) <= _NINETY * math.hypot(std[k], other[k]) for k in distinct
        ]
    broken = f"{100 * default['broken']:.2g} %" if default and "broken" in default else ""
    times = " / ".join(
        "" if row is None else f"{row['seconds']:.0f}" for row in (default, reference)
    )
    gib = "" if default is None else f"{default['gib']:.1f}"
    line = f"| {name} | {' | '.join(texts)} | {ratios} | {sum(agree)}/{len(agree)} | {broken} "
    return f"{line}| {times} | {gib} |", agree


def mesh_of_reference(default: dict[str, Any]) -> tuple[int, int, int]:
    """The mesh at some of whose points the default settings compute lifetimes."""
    a, b, c = (int(n) for n in default["used_mesh"])
    return a, b, c


def main() -> None:
    """Print one line per crystal, then how many components agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="formulas; all crystals without any")
    parser.add_argument("--calculator", default="dpa4-neo-0704")
    parser.add_argument("--dispersion", choices=["d3"], default=None)
    parser.add_argument("--converged", action="store_true")
    parser.add_argument("--symmetry", action="store_true")
    parser.add_argument("--workdir", type=Path, default=None)
    parser.add_argument("--rows", type=Path, default=None)
    arguments = parser.parse_args()
    workdir = arguments.workdir or Path(tempfile.mkdtemp())
    potential = PhononSettings(
        calculator=arguments.calculator, dispersion=arguments.dispersion, bands=False
    )
    found: dict[str, dict[bool, dict[str, Any]]] = {}
    if arguments.rows is not None and arguments.rows.is_file():
        for line in arguments.rows.read_text().splitlines():
            row = json.loads(line)
            found.setdefault(row["name"], {})[row["converged"]] = row
    print("| crystal | default, W/m/K | converged | ratio | agree | broken | s | GiB |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    everything: list[bool] = []
    for name in _CRYSTALS:
        if arguments.names and name.split()[0] not in arguments.names:
            continue
        rows = found.setdefault(name, {})
        for tight in (False, True) if arguments.converged else (False,):
            if tight in rows or (tight and "kappa" not in rows[False]):
                continue
            mesh = mesh_of_reference(rows[False]) if tight else None
            rows[tight] = measured(name, potential, workdir, mesh=mesh, symmetry=arguments.symmetry)
            if arguments.rows is not None:
                with arguments.rows.open("a") as file:
                    file.write(json.dumps(rows[tight]) + "\n")
        line, agree = printed(name, rows)
        everything += agree
        print(line, flush=True)
    if everything:
        print(f"\n{sum(everything)} of {len(everything)} components agree")


if __name__ == "__main__":
    main()
