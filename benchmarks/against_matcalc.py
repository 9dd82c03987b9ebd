"""One conductivity by `matcalc.Phonon3Calc` and by this oracle: same potential, supercells, mesh.

    pip install --no-deps matcalc
    python benchmarks/against_matcalc.py [--calculator NAME] [--mesh N] [--repeats N]
        [PROTOTYPE:ELEMENTS ...]

Both relax, compute second and third order in 2x2x2 conventional cells and solve the Boltzmann
equation at 300 K in the relaxation-time approximation, one after the other in this process, after
the potential was loaded and asked once. Both relax to the same forces; isotopes scatter. Ours also
gives the coherence part, its own error and all else that an evaluation lists.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from agents.spaces.prototype_table import prototype
from oracle.contract.evaluation import Measured
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.potentials.forces import ForceField
from oracle.potentials.table import calculator
from oracle.runtime.context import Context

CELLS = (2, 2, 2)
RELAXED = 2e-4  # eV/Å


class Clock:
    """Adds up the seconds inside calls."""

    def __init__(self) -> None:
        self.seconds, self.calls = 0.0, 0

    def timed(self, function: Callable[..., Any], count: Callable[..., int]) -> Callable[..., Any]:
        """The same function, timed."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - started
                self.calls += count(*args)

        return wrapper


@contextmanager
def watched(owner: Any, counts: dict[str, Callable[..., int]]) -> Iterator[Clock]:
    """Time some functions of a module or class."""
    clock = Clock()
    patches = [
        mock.patch.object(owner, name, clock.timed(getattr(owner, name), count))
        for name, count in counts.items()
    ]
    for patch in patches:
        patch.start()
    try:
        yield clock
    finally:
        for patch in patches:
            patch.stop()


def theirs(crystal: Crystal, name: str, mesh: int) -> tuple[float, float, float, int]:
    """Conductivity (W/m/K), seconds in all, seconds in forces of supercells, their number."""
    from matcalc import _phonon3

    calc = _phonon3.Phonon3Calc(
        calculator(name),
        mesh_numbers=(mesh, mesh, mesh),
        t_min=300, t_max=300, t_step=1,
        fmax=RELAXED,
        thermal_conductivity_kwargs={"is_isotope": True},
    )  # fmt: skip
    with watched(_phonon3, {"run_pes_calc": lambda *_: 1}) as clock:
        started = time.perf_counter()
        result = calc.calc(crystal.conventional())
        spent = time.perf_counter() - started
    return float(result["thermal_conductivity"]), spent, clock.seconds, clock.calls


def ours(crystal: Crystal, name: str, mesh: int) -> tuple[float, float, float, int]:
    """The same."""
    settings = PhononSettings(
        calculator=name,
        mesh=(mesh, mesh, mesh),
        fc2_supercell=CELLS,
        fc3_supercell=CELLS,
        relax_fmax=RELAXED,
        fitted_charges=False,  # matcalc has no dipoles
        bands=False,
    )
    counts = {"many": lambda _, cells, *__: len(cells), "forces": lambda *_: 1}
    with tempfile.TemporaryDirectory() as folder, watched(ForceField, counts) as clock:
        context = Context(Path(folder), threads=os.cpu_count() or 1)
        started = time.perf_counter()
        result = PhononBTE(settings).evaluate(crystal, context=context)
        spent = time.perf_counter() - started
    assert isinstance(result, Measured), result
    # matcalc leaves the waves between the points of the mesh out.
    return float(result.provenance["kappa_on_mesh"]), spent, clock.seconds, clock.calls


def main() -> None:
    """Print one line per crystal; times are medians, ratios are of pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("crystals", nargs="*", default=["rocksalt:Na-Cl", "zincblende:Zn-Te"])
    parser.add_argument("--calculator", default="7net-0")
    parser.add_argument("--mesh", type=int, default=11)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, "
        f"{arguments.calculator}, mesh {arguments.mesh}\n"
    )
    print("| crystal | who | kappa | force calls | s in forces | s in all |")
    print("|---|---|---|---|---|---|", flush=True)
    for text in arguments.crystals:
        kind, _, elements = text.partition(":")
        crystal = prototype(kind).decorate(elements.split("-"))
        atoms = crystal.conventional().to_ase_atoms()
        atoms.calc = calculator(arguments.calculator)
        atoms.get_forces()
        pairs = [
            (
                theirs(crystal, arguments.calculator, arguments.mesh),
                ours(crystal, arguments.calculator, arguments.mesh),
            )
            for _ in range(arguments.repeats)
        ]
        for who, k in (("matcalc", 0), ("phonoscout", 1)):
            forces, whole = (statistics.median(pair[k][n] for pair in pairs) for n in (2, 1))
            kappa, _, _, calls = pairs[0][k]
            print(f"| {text} | {who} | {kappa:.3f} | {calls} | {forces:.1f} | {whole:.1f} |")
        fewer, faster = (statistics.median(a[n] / b[n] for a, b in pairs) for n in (2, 1))
        print(
            f"| {text} | ratio | | | {fewer:.1f} x (aim 5) | {faster:.1f} x (aim 3) |", flush=True
        )


if __name__ == "__main__":
    main()
