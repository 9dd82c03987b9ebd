"""A whole evaluation with forces from DFT, beside a universal potential's in the same cells.

    python benchmarks/dft.py [HOME [CORES]]

NaCl by GPAW (PBE): relaxation, second- and third-order constants from 16-atom supercells, phonon
Boltzmann equation. Everything but the source of forces is the same in both rows. The supercell is
far too small for NaCl, so neither number is the crystal's: compare the rows with each other, and
raise `CELL`, cutoff and mesh for a number to be quoted. Forces are kept in HOME, so that a run
that was killed goes on with the supercell it was at.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Failed, Measured, Unstable, scalar
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.potentials.dft_settings import GpawSettings
from oracle.runtime.context import Context

CELL = ((0, 1, 1), (1, 0, 1), (1, 1, 0))
"""Supercell in conventional vectors: the primitive cell doubled along each, 16 atoms."""
PHYSICS: dict[str, Any] = {
    "fc2_supercell": CELL,
    "fc3_supercell": CELL,
    "mesh": (9, 9, 9),
    "pairs_start": 3,
    "pairs_max": 3,
    # A plane-wave basis changes with the cell, which leaves stresses of this size.
    "relax_fmax": 2e-3,
    "bands": False,
}


def nacl() -> Crystal:
    """Rocksalt NaCl near its PBE lattice parameter."""
    sites = [[0.0] * 3, [0.5] * 3]
    return Crystal.from_structure(
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.69), ["Na", "Cl"], sites)
    )


def gpaw(cores: int) -> GpawSettings:
    """Modest settings: kappa moves by some per cent with the cutoff."""
    # OpenMPI runs as root, which is usual in containers, only with these variables.
    root = " --allow-run-as-root" if os.geteuid() == 0 else ""
    return GpawSettings(
        cutoff_ev=350, k_spacing=0.6, cores=cores, mpi=f"mpiexec{root} -n {{cores}}"
    )


def evaluate(calculator: Any, home: Path) -> Measured | Unstable | Failed:
    """One evaluation, whose stages are printed on stderr."""
    shown: set[tuple[str, int]] = set()

    def progress(stage: str, share: float) -> None:
        step = (stage, int(4 * share))
        if step not in shown:
            shown.add(step)
            print(f"  {time.strftime('%H:%M:%S')} {stage} {share:.0%}", file=sys.stderr, flush=True)

    settings = PhononSettings.model_validate({**PHYSICS, "calculator": calculator})
    return PhononBTE(settings).evaluate(nacl(), context=Context(home, progress=progress))


def main(arguments: list[str]) -> None:
    """Print one row for GPAW and one for 7net-0; exit code 1 where either has no conductivity."""
    home = Path(arguments[0]) if arguments else Path("dft-home")
    cores = int(arguments[1]) if len(arguments) > 1 else os.cpu_count() or 1
    home.mkdir(parents=True, exist_ok=True)
    print(
        f"{time.strftime('%Y-%m-%d')}, {cores} of {os.cpu_count()} cores, {platform.machine()}, "
        f"GPAW {version('gpaw')}; NaCl, 16 atoms, mesh 9x9x9, 300 K\n"
    )
    engine = gpaw(cores)
    rows = {str(engine): engine.model_dump(mode="json"), "7net-0": "7net-0"}
    print(
        "| forces | a (Å) | highest mode (THz) | kappa (W/m/K) | ± | Grüneisen | force calls "
        "| relaxation steps | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    failed = False
    for name, calculator in rows.items():
        result = evaluate(calculator, home)
        if not isinstance(result, Measured):
            failed = True
            why = f"{result.stage}: {result.message}" if isinstance(result, Failed) else "unstable"
            print(f"| {name} | {why} |")
            continue
        kappa = scalar(result, "kappa", 300.0)
        assert kappa is not None
        numbers = {key: q.value for key, q in result.properties.items()}
        print(
            f"| {name} | {(8 * numbers['volume']) ** (1 / 3):.3f} "
            f"| {numbers['max_frequency_thz']:.2f} | {kappa[0]:.2f} | {kappa[1] or 0:.2f} "
            f"| {numbers['gruneisen_mean']:.2f} | {numbers['force_calls']} "
            f"| {result.provenance['relax_steps']} | {result.cost_s:.0f} |",
            flush=True,
        )
    sys.exit(int(failed))


if __name__ == "__main__":
    main(sys.argv[1:])
