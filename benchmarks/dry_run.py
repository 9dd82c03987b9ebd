"""How long evaluations take, beside what a dry run says of them.

    python benchmarks/dry_run.py WORKDIR rocksalt:Na-Cl half-heusler:Zr-Ni-Sn ...

Each is evaluated from nothing on one thread; an evaluation that is in WORKDIR already is refused.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ase import Atoms
from pymatgen.core.composition import Composition

from agents.chemistry.chemistry import neutral_charges
from agents.spaces.prototype_table import prototype
from oracle.energetics.speed import seconds_of_forces, slowness
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.effort import phonon_effort, slower
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context


def crystal(name: str) -> Crystal:
    """A crystal from ``prototype:A-B-...``, elements in the order of the prototype's slots."""
    family, _, symbols = name.partition(":")
    elements, base = symbols.split("-"), prototype(family)
    counts = zip(elements, base.stoichiometry, strict=True)
    assigned = neutral_charges(Composition("".join(f"{e}{n}" for e, n in counts)))
    ionic = assigned is not None and not base.closed_shell
    return base.decorate(elements, [assigned[e] for e in elements] if ionic and assigned else None)


def main() -> None:
    """Print a line per crystal: seconds predicted and taken, their ratio, and force calls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("crystals", nargs="+")
    parser.add_argument("--calculator", default="7net-0")
    arguments = parser.parse_args()
    settings = PhononSettings(calculator=arguments.calculator)

    def seconds(atoms: Atoms) -> float:
        return seconds_of_forces(settings.calculator, atoms, 2)

    for name in arguments.crystals:
        material, folder = crystal(name), arguments.workdir / name.replace(":", "-")
        if folder.exists():
            raise SystemExit(f"{folder} exists; give another WORKDIR")
        effort = phonon_effort(material, settings, seconds)
        began = time.perf_counter()
        result = PhononBTE(settings).evaluate(material, context=Context(folder))
        taken = time.perf_counter() - began
        parts = effort.harmonic + effort.conductive if result.stage == "bte" else effort.harmonic
        parts = slower(parts, slowness())
        predicted = parts.forces_s + parts.other_s
        calls = result.properties["force_calls"].value
        print(
            f"{name}: {predicted:.0f} s predicted, {taken:.0f} s taken, ratio "
            f"{predicted / taken:.2f}; force calls {parts.force_calls:.0f}, {calls:.0f}"
        )


if __name__ == "__main__":
    main()
