"""How well a label at one temperature predicts kappa at another.

    python benchmarks/temperatures.py TABLE [--cache FOLDER] [--splits N]

TABLE is what `benchmarks/label_table.py` wrote: crystals with kappa at 150, 300 and 600 K. Kappa at
600 K is predicted. First for crystals that are known at 300 K: what lies between the two
temperatures, by the rule that kappa falls as 1/T, and by the ensemble's temperature head fitted to
8, 16 and 32 crystals that are known at all temperatures. Then for crystals without any label, from
32 labels of which a quarter reaches to 600 K and the others end at 300 K: with those others left
out, with their labels carried to 600 K, and were all of them known there.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.crystal import Crystal
from oracle.runtime.threads import pinned_threads
from surrogate.contract.protocol import Output
from surrogate.features.feature_store import FeatureStore
from surrogate.models.graph.graph_ensemble import GraphEnsemble

Array = NDArray[np.float64]
GRID = (150.0, 300.0, 600.0)
COLD, HOT = Output("kappa", 300.0), Output("kappa", 600.0)
LABELS = 32
ASKED = 40


def read(path: Path) -> list[tuple[Crystal, Array]]:
    """Measured crystals, and kappa at the temperatures of `GRID`."""
    with lzma.open(path, "rt") as file:
        rows = [json.loads(line) for line in file]
    return [
        (
            Crystal.from_structure(Structure.from_dict(row["structure"])),
            np.array([row[f"kappa_{t:.0f}K"] for t in GRID]),
        )
        for row in rows
        if row["status"] == "measured"
    ]


def evaluation(crystal: Crystal, kappa: Array, known: Sequence[int]) -> Measured:
    """The oracle's evaluation at some temperatures of the grid."""
    common: dict[str, Any] = {"fidelity": "bte", "method": "table", "cost_s": 1.0, "stage": "bte"}
    values = Quantity(value=[kappa[k] for k in known], unit="W/m/K", per_temperature=True)
    return Measured(
        material=crystal,
        temperature=tuple(GRID[k] for k in known),
        properties={"kappa": values},
        **common,
    )


def ways(lines: Sequence[tuple[Crystal, Array]], store: FeatureStore, splits: int) -> None:
    """Errors of log10 of the ratio of kappa at 600 and 300 K."""
    errors: dict[str, list[float]] = {}
    held: dict[str, list[float]] = {}
    for split in range(splits):
        order = np.random.default_rng([split, 23]).permutation(len(lines))
        asked = [lines[int(i)] for i in order[-ASKED:]]
        truth = np.log10([kappa[2] / kappa[1] for _, kappa in asked])
        errors.setdefault("as 1/T", []).append(float(np.abs(truth + math.log10(2.0)).mean()))
        for size in (8, 16, 32):
            surrogate = GraphEnsemble([COLD], "bte", seed=split, store=store)
            surrogate.fit([evaluation(*lines[int(i)], (0, 1, 2)) for i in order[:size]])
            posterior = surrogate.posterior(
                [c for c, _ in asked], outputs=[COLD, HOT], fidelity="bte"
            )
            off = posterior.mean[:, 1] - posterior.mean[:, 0] - truth
            spread = np.sqrt(np.square(posterior.std[:, 1]) - np.square(posterior.std[:, 0]))
            name = f"head fitted to {size} crystals"
            errors.setdefault(name, []).append(float(np.abs(off).mean()))
            held.setdefault(name, []).append(float((np.abs(off) < spread).mean()))
    print("| way from 300 to 600 K | mean error of log10 | within 68 % |\n|---|---|---|")
    for name, values in errors.items():
        within = f"{np.mean(held[name]):.2f}" if name in held else ""
        print(f"| {name} | {np.mean(values):.4f} | {within} |", flush=True)


def labels(lines: Sequence[tuple[Crystal, Array]], store: FeatureStore, splits: int) -> None:
    """Errors of log10 of kappa at 600 K."""
    errors: dict[str, list[float]] = {}
    for split in range(splits):
        order = np.random.default_rng([split, 23]).permutation(len(lines))
        hot, cold = order[: LABELS // 4], order[LABELS // 4 : LABELS]
        asked = [lines[int(i)] for i in order[-ASKED:]]
        truth = np.log10([kappa[2] for _, kappa in asked])
        reach = [evaluation(*lines[int(i)], (0, 1, 2)) for i in hot]
        for name, others in {
            f"the {len(hot)} that reach there": [],
            f"and {len(cold)} that end at 300 K": [
                evaluation(*lines[int(i)], (0, 1)) for i in cold
            ],
            f"all {LABELS}, were they known there": [
                evaluation(*lines[int(i)], (0, 1, 2)) for i in cold
            ],
        }.items():
            surrogate = GraphEnsemble([HOT], "bte", seed=split, store=store)
            surrogate.fit([*reach, *others])
            posterior = surrogate.posterior([c for c, _ in asked], outputs=[HOT], fidelity="bte")
            errors.setdefault(name, []).append(float(np.abs(posterior.mean[:, 0] - truth).mean()))
    print("\n| labels for kappa at 600 K | mean error of log10 |\n|---|---|")
    for name, values in errors.items():
        print(f"| {name} | {np.mean(values):.3f} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--splits", type=int, default=20)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    lines = read(arguments.table)
    store = FeatureStore("7net-0", arguments.cache or Path(tempfile.mkdtemp()))
    store.get([crystal for crystal, _ in lines])
    print(f"{len(lines)} crystals, {arguments.splits} splits\n")
    with pinned_threads():
        ways(lines, store, arguments.splits)
        labels(lines, store, arguments.splits)


if __name__ == "__main__":
    main()
