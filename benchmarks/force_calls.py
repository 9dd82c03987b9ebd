"""Adaptive snapshots against the full set of displacements, the same potential, cells and mesh.

    python benchmarks/force_calls.py [--calculator NAME] [--workdir FOLDER] [PROTOTYPE:ELEMENTS ...]

For instance ``half-heusler:Zr-Ir-Sb``. Without names, four half-Heuslers and four other soft
crystals, about five minutes each. Both columns are at the default settings on a 9x9x9 mesh at
300 K; the full set has no pair cutoff. "Of its error" is the deviation in units of the error that
the evaluation states for its force constants alone, since the mesh is the same; "of std" in units
of the whole stated error, that of the mesh included.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from agents.spaces.prototype_table import prototype
from oracle.contract.evaluation import Failed, Measured, Unstable, scalar
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context

SOFT = (
    "half-heusler:Zr-Ir-Sb",
    "half-heusler:Sc-Pd-Sb",
    "half-heusler:Nb-Co-Ge",
    "half-heusler:Zr-Ni-Sn",
    "zincblende:Cu-Cl",
    "zincblende:Ag-I",
    "rocksalt:Rb-I",
    "rocksalt:Cs-F",
)


def kappa(result: Measured | Unstable | Failed) -> float | None:
    """W/m/K at 300 K."""
    value = scalar(result, "kappa", 300.0)
    return None if value is None else value[0]


def main() -> None:
    """Print one line per crystal, then how many are within their stated error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("crystals", nargs="*", default=list(SOFT))
    parser.add_argument("--calculator", default="7net-0")
    parser.add_argument("--workdir", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    context = Context(arguments.workdir or Path(tempfile.mkdtemp()), threads=arguments.threads)
    settings = PhononSettings(calculator=arguments.calculator, mesh=(9, 9, 9), bands=False)
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {arguments.calculator}\n")
    print("| crystal | kappa | full | deviation | of its error | of std | force calls | fewer |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    ratios = []
    for text in arguments.crystals:
        kind, _, elements = text.partition(":")
        crystal = prototype(kind).decorate(elements.split("-"))
        result, full = (
            PhononBTE(settings.model_copy(update={"force_constants": engine})).evaluate(
                crystal, context=context
            )
            for engine in ("adaptive", "finite-difference")
        )
        ours, theirs = kappa(result), kappa(full)
        if ours is None or theirs is None:
            print(f"| {text} | {result.status} | {full.status} | | | | | |", flush=True)
            continue
        calls = [scalar(e, "force_calls") for e in (result, full)]
        few, many = (0.0 if c is None else c[0] for c in calls)
        errors = result.provenance["relative_error"]
        ratios.append([abs(ours / theirs - 1) / errors[part] for part in ("fc3", "total")])
        print(
            f"| {text} | {ours:.3f} | {theirs:.3f} | {100 * (ours / theirs - 1):+.1f} % "
            f"| {ratios[-1][0]:.1f} | {ratios[-1][1]:.1f} "
            f"| {few:.0f} / {many:.0f} | {many / few:.1f} x |",
            flush=True,
        )
    if ratios:
        constants, whole = np.array(ratios).T
        one, two, std = (100 * np.mean(x) for x in (constants <= 1, constants <= 2, whole <= 1))
        print(f"\nwithin 1 and 2 errors of the force constants: {one:.0f} and {two:.0f} %")
        print(f"within the stated std: {std:.0f} %")


if __name__ == "__main__":
    main()
