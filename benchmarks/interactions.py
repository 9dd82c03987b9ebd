"""Lifetimes by phono3py alone and with strengths by Fourier transform: seconds and difference.

    python benchmarks/interactions.py [--calculator NAME] [--points N] [PROTOTYPE:ELEMENTS ...]

Each crystal is evaluated with the default settings; then lifetimes at some points of its mesh are
computed in both ways (`oracle.phonon_bte.interaction`), alternately, on one core and with the same
force constants. Scattering by isotopes, whose cost is the same in both, is left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

os.environ["RAYON_NUM_THREADS"] = "1"  # read when phono3py is loaded

import numpy as np
import phono3py
from numpy.typing import NDArray
from phono3py import Phono3py
from phonopy.phonon.grid import get_ir_grid_points

from agents.spaces.prototype_table import prototype
from oracle.contract.evaluation import Measured
from oracle.materials.crystal import Crystal
from oracle.materials.reciprocal import Mesh
from oracle.phonon_bte import interaction
from oracle.phonon_bte.conductivity import conductivity
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons import supercells
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context
from oracle.runtime.threads import one_thread

CRYSTALS = ("rocksalt:Na-Cl", "zincblende:Zn-Te", "wurtzite:Zn-S", "half-heusler:Zr-Ni-Sn")
REPEATS = 2


def evaluated(crystal: Crystal, settings: PhononSettings) -> tuple[Phono3py, Mesh]:
    """phono3py's object with the force constants of an evaluation, and its mesh."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = Context(folder, threads=1, keep_large=True)
        outcome = PhononBTE(settings).evaluate(crystal, context=context)
        assert isinstance(outcome, Measured), outcome
        paths = {key: folder / path for key, path in outcome.artefacts.items()}
        phonons = phono3py.load(
            paths["phono3py"],
            fc2_filename=paths["fc2"],
            fc3_filename=paths["fc3"],
            produce_fc=False,
            log_level=0,
        )
        assert phonons.fc2 is not None
        assert phonons.fc3 is not None
        supercells.set_constants(phonons, phonons.fc2, phonons.fc3)
        a, b, c = outcome.provenance["mesh"]
        return phonons, (a, b, c)


def some_points(phonons: Phono3py, mesh: Mesh, number: int) -> NDArray[np.bool_]:
    """Some irreducible points (*mesh)."""
    phonons.mesh_numbers = list(mesh)
    phonons.init_phph_interaction()
    addresses = phonons.grid.addresses[phonons.grid.grg2bzg[get_ir_grid_points(phonons.grid)[0]]]
    chosen = np.random.default_rng(0).permutation(addresses)[:number] % mesh
    mask = np.zeros(mesh, dtype=bool)
    mask[tuple(chosen.T)] = True
    return mask


def without_transform() -> Any:
    """Leave strengths to phono3py."""
    return mock.patch.object(interaction, "is_transformed", return_value=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calculator", default=PhononSettings().calculator)
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("crystals", nargs="*", default=CRYSTALS)
    arguments = parser.parse_args()
    settings = PhononSettings(calculator=arguments.calculator, isotope=False, bands=False)
    print("| crystal | bands | mesh | phono3py, s per point | here | ratio | difference |")
    print("|---|---|---|---|---|---|---|")
    for named in arguments.crystals:
        kind, elements = named.split(":")
        crystal = prototype(kind).decorate(elements.split("-"))
        phonons, mesh = evaluated(crystal, settings)
        points = some_points(phonons, mesh, arguments.points)
        seconds: dict[bool, list[float]] = {False: [], True: []}
        widths = {}
        with one_thread():
            for fast in [False, True] * REPEATS:
                started = time.process_time()
                with nullcontext() if fast else without_transform():
                    found = conductivity(phonons, settings, mesh, coherence=False, at=points)
                seconds[fast].append((time.process_time() - started) / len(found.points))
                widths[fast] = found.linewidths
        slow, quick = (statistics.median(seconds[fast]) for fast in (False, True))
        apart = np.abs(widths[True] - widths[False]).max() / widths[False].max()
        shape = "x".join(map(str, mesh))
        print(
            f"| {named} | {3 * len(phonons.primitive)} | {shape} | {slow:.2f} | {quick:.2f} "
            f"| {slow / quick:.1f} | {apart:.0e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
