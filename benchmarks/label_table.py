"""A table of crystals that the project's own oracle has evaluated, for judging surrogates.

    python benchmarks/label_table.py WORKDIR TABLE [--take LABEL=N ...]

Draws crystals of each prototype at random (fixed seed), evaluates them at ``harmonic`` and ``bte``
with 7net-0 in turn, prototype by prototype so that a run that is stopped leaves a balanced table,
and writes one JSON line each as they come: ``id``,
``structure`` (pymatgen), ``prototype``, ``status`` at the high fidelity, whether ``stable``,
conductivities in W/m/K, the errors stated for them, and seconds. Run again it goes on. TABLE is a
pool and a replay table in one: `phonoscout launch` reads it as both. Beside it
``TABLE.settings.json`` has what made it.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from agents.spaces.prototypes import PrototypeSpace
from agents.spaces.settings import PrototypeSpaceSettings
from oracle.contract.evaluation import Failed, Measured, Unstable, scalar
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context

SETTINGS = PhononSettings(
    calculator="7net-0",
    temperatures=(150.0, 300.0, 600.0),
    tolerance=0.05,
    pairs_max=20,
    mesh_effort=1e6,
    bands=False,
    fidelities=("harmonic", "bte"),
)
EXCLUDED = ("Be", "As", "Cd", "Hg", "Tl", "Mo", "Ru", "Rh", "Pd", "W", "Re", "Os", "Ir", "Pt")
MAIN_GROUP = (
    "Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Cu", "Ag", "Zn", "B", "Al", "Ga", "In",
    "C", "Si", "Ge", "Sn", "Pb", "N", "P", "Sb", "Bi", "O", "S", "Se", "Te", "F", "Cl", "Br", "I",
)  # fmt: skip
WIDE = 7
"""Crystals of each prototype that are drawn from all elements but the excluded ones, of which two
thirds are unstable; the rest are drawn from the main group (with Cu, Ag and Zn)."""
TAKE = {
    "rocksalt": 70,
    "zincblende": 60,
    "half-heusler": 30,
    "cscl": 25,
    "antifluorite": 35,
    "fluorite": 20,
}
SEED = 4
_COLUMNS = (
    "heat_capacity", "bulk_modulus", "debye_temperature", "max_msd", "min_frequency_thz",
    "max_frequency_thz", "gruneisen_mean", "anharmonicity", "energy_per_atom", "volume",
)  # fmt: skip


def drawn(take: dict[str, int]) -> Iterator[tuple[str, Crystal]]:
    """Prototype and crystal, the prototypes taking turns."""
    orders = []
    for name, n in take.items():
        wide = _shuffled(name, exclude_elements=EXCLUDED)[:WIDE]
        orders.append([*wide, *_shuffled(name, elements=MAIN_GROUP)][:n])
    for turn in itertools.zip_longest(*orders):
        yield from (pair for pair in turn if pair is not None)


def _shuffled(name: str, **elements: tuple[str, ...]) -> list[tuple[str, Crystal]]:
    """All members of one prototype in random order, so that a longer draw begins like a shorter."""
    settings = PrototypeSpaceSettings.model_validate(
        {"kind": "prototypes", "prototypes": (name,), **elements}
    )
    space = PrototypeSpace(settings)
    result = space.sample(space.size, np.random.default_rng(SEED))
    return [(name, crystal) for crystal in result if isinstance(crystal, Crystal)]


def record(name: str, crystal: Crystal, low_fidelity: Any, high_fidelity: Any) -> dict[str, Any]:
    """One line of the table."""
    line: dict[str, Any] = {
        "id": f"{name}:{crystal.formula}",
        "prototype": name,
        "formula": crystal.formula,
        "structure": crystal.structure().as_dict(),
        "status": high_fidelity.status,
        "stable": isinstance(high_fidelity, Measured)
        if not isinstance(high_fidelity, Failed)
        else None,
        "reason": getattr(high_fidelity, "reason", getattr(high_fidelity, "message", None)),
        "low_confidence": getattr(high_fidelity, "low_confidence", None),
        "stable_harmonic": None
        if isinstance(low_fidelity, Failed)
        else isinstance(low_fidelity, Measured),
        "kappa_harmonic": _number(low_fidelity, "kappa", 300.0),
        "seconds_harmonic": round(low_fidelity.cost_s, 2),
        "seconds_bte": round(low_fidelity.cost_s + high_fidelity.cost_s, 2),
        "force_calls": _number(high_fidelity, "force_calls"),
    }
    for t in SETTINGS.temperatures:
        line[f"kappa_{t:g}K"] = _number(high_fidelity, "kappa", t)
        line[f"std_{t:g}K"] = _number(high_fidelity, "kappa", t, error=True)
    for column in _COLUMNS:
        line[column] = _number(high_fidelity, column, 300.0)
    return line


def _number(
    result: Measured | Unstable | Failed, name: str, at: float | None = None, *, error: bool = False
) -> float | None:
    value = scalar(result, name, at)
    number = None if value is None else value[error]
    return None if number is None else float(f"{number:.6g}")


def main() -> None:
    """Evaluate what the table lacks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--take", nargs="*", default=[])
    arguments = parser.parse_args()
    take = {k: int(v) for k, v in (t.split("=") for t in arguments.take)} or TAKE
    written = set()
    if arguments.table.is_file():
        written = {json.loads(line)["id"] for line in arguments.table.read_text().splitlines()}
    context = Context(arguments.workdir, threads=1)
    oracles = [PhononBTE(SETTINGS, fidelity) for fidelity in ("harmonic", "bte")]
    made_by = {
        "settings": SETTINGS.model_dump(mode="json"),
        "methods": {oracle.fidelity: oracle.method_digest for oracle in oracles},
        "seed": SEED,
        "drawn": take,
    }
    Path(f"{arguments.table}.settings.json").write_text(json.dumps(made_by, indent=1) + "\n")
    for name, crystal in drawn(take):
        if f"{name}:{crystal.formula}" in written:
            continue
        low_fidelity, high_fidelity = (
            oracle.evaluate(crystal, context=context) for oracle in oracles
        )
        line = record(name, crystal, low_fidelity, high_fidelity)
        with arguments.table.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(line["id"], line["status"], line["kappa_300K"], line["seconds_bte"], flush=True)


if __name__ == "__main__":
    main()
