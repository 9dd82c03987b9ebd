"""Screening of large spaces: structures per second, memory, and cost against one forward pass.

    python benchmarks/screening.py FOLDER [--counts 1000 10000 100000] [--workers 2] [--minutes M]

Candidates are neutral decorations of the project's own prototypes, drawn at random with a fixed
seed; features are computed anew with 7net-0, in FOLDER, which is emptied of shards first. The
surrogate is the default graph ensemble, fitted on the conductivities of 64 crystals of
``data/crystals_7net0.jsonl.xz``. Shards run on Ray by `orchestrator.rounds.pool_scan.streamed`, as
in a campaign. In the same worker and right after each shard that is measured, some of its crystals
get one bare forward pass each: energy and forces through ASE by the same calculator; and the energy
alone, without the backward pass. Processor times of such pairs are divided, so that other work on
the machine drops out of the ratio. Rates are of shards only, without the pairs' forward passes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import lzma
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from pymatgen.core.structure import Structure

from agents.acquisition.shortlist import Marginals
from agents.spaces.prototypes import PrototypeSpace
from agents.spaces.settings import PROTOTYPE_NAMES, PrototypeSpaceSettings
from oracle.contract.evaluation import Measured, Quantity, Unstable
from oracle.materials.crystal import Crystal
from orchestrator.calls.pool_scan_calls import ScreenRequest, screen
from orchestrator.calls.recipe import Recipe
from orchestrator.config.run_settings import ExecutorSettings
from orchestrator.executors.protocol import CallContext
from orchestrator.executors.ray_executor import RayExecutor
from orchestrator.rounds.pool_scan import streamed
from surrogate.contract.protocol import Calibration, Output
from surrogate.contract.settings import GraphEnsembleSettings

HERE = Path(__file__).resolve().parent
LABELS = 64
PAIRED = 16  # crystals of each measured shard that are also passed forward one by one
EVERY = 2  # shards from one that is measured so to the next
POTENTIAL = "7net-0"


@dataclass(frozen=True)
class Shard:
    """A shard, and whether some of its crystals are passed forward one by one as well."""

    request: ScreenRequest
    paired: bool


@dataclass(frozen=True)
class Costed:
    """What is believed of a shard, and what that cost: seconds and bytes by name."""

    beliefs: Marginals
    costs: dict[str, float]


def measured(shard: Shard, context: CallContext) -> Costed:
    """One shard as `orchestrator.calls.pool_scan_calls.screen` computes it, and what it cost."""
    from orchestrator.calls.pool_scan_calls import _fitted

    start = time.perf_counter()
    _fitted(shard.request.recipe, shard.request.cache)  # once per worker: no part of a shard's cost
    began, cpu = time.perf_counter(), time.process_time()
    beliefs = screen(shard.request, context)
    ended, spent = time.perf_counter(), time.process_time() - cpu
    costs: dict[str, float] = {}
    if shard.paired:
        crystals = [m for m in shard.request.materials if isinstance(m, Crystal)]
        costs = _passes(crystals[:: max(1, len(crystals) // PAIRED)])
    process = psutil.Process()
    return Costed(
        beliefs,
        {
            **costs,
            "count": len(shard.request.materials),
            "fit": began - start,
            "seconds": ended - began,
            "pairs": time.perf_counter() - ended,
            "cpu": spent,
            "rss": process.memory_info().rss,
            "pid": process.pid,
        },
    )


def _passes(crystals: list[Crystal]) -> dict[str, float]:
    """Processor seconds of one forward pass, mean over crystals."""
    from ase import Atoms

    from oracle.potentials.table import calculator

    engine: Any = calculator(POTENTIAL)
    forward = energy = 0.0
    for crystal in crystals:
        atoms = Atoms(
            list(crystal.species),
            scaled_positions=list(crystal.positions),
            cell=crystal.structure().lattice.matrix,
            pbc=True,
        )
        atoms.calc = engine
        engine.reset()
        began = time.process_time()
        atoms.get_potential_energy()
        atoms.get_forces()
        forward += time.process_time() - began
        energy += _energy_alone(engine, atoms)
    return {"forward": forward / len(crystals), "energy": energy / len(crystals)}


def _energy_alone(engine: Any, atoms: Any) -> float:
    """Processor seconds of SevenNet's energy without any derivative."""
    import torch
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.train.dataload import unlabeled_atoms_to_graph

    began = time.process_time()
    with torch.no_grad():
        plain = unlabeled_atoms_to_graph(atoms, engine.cutoff)
        data = engine.model._preprocess(AtomGraphData.from_numpy_dict(plain))
        for name, layer in engine.model.named_children():
            if name != "force_output":
                data = layer(data)
    return time.process_time() - began


class Watched:
    """An executor that measures the shards it maps, and stops after a time."""

    def __init__(self, inner: RayExecutor, minutes: float) -> None:
        self._inner = inner
        self._began, self._cpu = time.perf_counter(), time.process_time()
        self._minutes = minutes
        self.costs: list[dict[str, float]] = []
        self.driver = 0
        self.driver_cpu = self.wall = 0.0

    def map(self, function: Any, requests: Iterable[ScreenRequest]) -> Iterator[Marginals]:
        """What the true function gives, with its costs kept aside."""
        shards = (Shard(r, k % EVERY == EVERY - 1) for k, r in enumerate(requests))
        for shard_result in self._inner.map(measured, shards):
            self.costs.append(shard_result.costs)
            self.driver = max(self.driver, psutil.Process().memory_info().rss)
            self.wall = time.perf_counter() - self._began
            self.driver_cpu = time.process_time() - self._cpu
            if len(self.costs) % 20 == 0:
                print(report(self), file=sys.stderr, flush=True)
            if self.wall > 60 * self._minutes:
                raise TimeoutError
            yield shard_result.beliefs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def recipe() -> Recipe:
    """The default ensemble on conductivities of the project's table, which its oracle made."""
    with lzma.open(HERE / "data" / "crystals_7net0.jsonl.xz", "rt") as file:
        rows = [json.loads(line) for line in file]
    measured_ones = [row for row in rows if row["status"] == "measured"]
    unstable = [row for row in rows if row["status"] == "unstable"]
    rng = np.random.default_rng(0)
    chosen = [
        pool[i]
        for pool, share in ((measured_ones, 3 * LABELS // 4), (unstable, LABELS // 4))
        for i in rng.choice(len(pool), share, replace=False)
    ]
    labels = [_label(row) for row in chosen]
    output = Output("kappa", 300.0)
    return Recipe(GraphEnsembleSettings(), output, "bte", 1, labels, Calibration())


def _label(row: dict[str, Any]) -> Measured | Unstable:
    common: dict[str, Any] = {
        "material": Crystal.from_structure(Structure.from_dict(row["structure"])),
        "fidelity": "bte",
        "method": "table",
        "cost_s": row["seconds_bte"] or 0.0,
        "stage": "bte",
    }
    if row["status"] == "unstable":
        return Unstable(**common)
    kappa = Quantity(value=[row["kappa_300K"]], unit="W/m/K", per_temperature=True)
    return Measured(**common, temperature=(300.0,), properties={"kappa": kappa})


def report(watched: Watched) -> str:
    """One line of the table."""
    costs = watched.costs
    count = sum(c["count"] for c in costs)
    pairs = [c for c in costs if "forward" in c]
    per = [c["cpu"] / c["count"] for c in pairs]
    ratios = np.array([p / c["forward"] for p, c in zip(per, pairs, strict=True)])
    total = sum(per) / sum(c["forward"] for c in pairs)
    alone = sum(per) / sum(c["energy"] for c in pairs)
    aside = sum(c["pairs"] + c["fit"] for c in costs) / len({c["pid"] for c in costs})
    rate = count / (watched.wall - aside)
    half = max(1, len(costs) // 2)
    parts = costs[:half], costs[half:] or costs
    rss = [max(c["rss"] for c in part) / 2**20 for part in parts]
    cpu = [sum(c["cpu"] for c in part) / sum(c["count"] for c in part) for part in parts]
    return (
        f"| {count} | {rate:.1f} | {1e3 * sum(c['cpu'] for c in costs) / count:.1f} "
        f"+ {1e3 * watched.driver_cpu / count:.1f} | "
        f"{1e3 * np.mean([c['forward'] for c in pairs]):.1f} | {total:.2f} "
        f"({ratios.min():.2f} to {ratios.max():.2f}, {len(pairs)} pairs) | {alone:.2f} | "
        f"{rss[0]:.0f}, {rss[1]:.0f} | {watched.driver / 2**20:.0f} | {cpu[1] / cpu[0]:.2f} |"
    )


HEAD = (
    "| candidates | structures/s | CPU ms each, worker + driver | forward pass, CPU ms | "
    "times a forward pass | times an energy alone | worker RSS in either half, MB | "
    "driver RSS, MB | CPU each, second half to first |\n|---|---|---|---|---|---|---|---|---|"
)


def candidates(count: int) -> list[Crystal]:
    """Crystals drawn from all prototypes; for 100 000 with the elements from La to Lu."""
    space = PrototypeSpace(
        PrototypeSpaceSettings(
            prototypes=PROTOTYPE_NAMES, oxidation_states="any", lanthanides=count > 70_000
        )
    )
    print(f"{space.size} crystals in the space", file=sys.stderr)
    drawn = space.sample(count, np.random.default_rng(4))
    return [crystal for crystal in drawn if isinstance(crystal, Crystal)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600.0, help="per count; then it stops")
    arguments = parser.parse_args()
    learned, crystals = recipe(), candidates(max(arguments.counts))
    executor = RayExecutor(ExecutorSettings(workers=arguments.workers))
    executor.start()
    print(HEAD, flush=True)
    for count in arguments.counts:
        shutil.rmtree(arguments.folder / "shards", ignore_errors=True)
        watched: Any = Watched(executor, arguments.minutes)
        try:
            streamed(watched, crystals[:count], learned, arguments.folder.absolute())
        except TimeoutError:
            print(f"stopped after {arguments.minutes:g} min, short of {count}", file=sys.stderr)
        print(report(watched), flush=True)
    executor.shutdown()


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    importlib.import_module(Path(__file__).stem).main()  # as a module, which workers can import
