"""Conductance of all 2^14 Si/Ge sequences between silicon leads, as ground truth for searches.

Run: ``python -m benchmarks.superlattice_table OUT.jsonl.xz WORKDIR [THREADS]``

Of a sequence and its reverse, which are the same design, the alphabetically first is written, so
that the table has 8256 lines. Beside it goes OUT.settings.json with the settings of the oracle,
the digest of its method and the seconds it took.
"""

from __future__ import annotations

import itertools
import json
import lzma
import sys
import time
from pathlib import Path

import numpy as np
import torch
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.green.device import prepare_device
from oracle.green.settings import GreenSettings
from oracle.materials.crystal import Crystal
from oracle.materials.superlattice import Stack, Superlattice
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore

LAYERS = 14


def diamond(element: str, length: float) -> Crystal:
    """The diamond structure with one element."""
    lattice = Lattice.cubic(length)
    return Crystal.from_structure(
        Structure.from_spacegroup("Fd-3m", lattice, [element], [[0.0, 0.0, 0.0]])
    )


def silicon_germanium() -> Stack:
    """S and G between silicon leads."""
    layers = (("G", diamond("Ge", 5.658)), ("S", diamond("Si", 5.431)))
    return Stack(layers=layers, leads=("S", "S"))


def main(out: Path, workdir: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    stack, settings = silicon_germanium(), GreenSettings()
    every = ("".join(x) for x in itertools.product("GS", repeat=LAYERS))
    sequences = sorted({Superlattice.from_sequence(x, stack=stack).sequence for x in every})
    started = time.perf_counter()
    context = Context(
        workdir, progress=lambda stage, share: print(f"{stage} {share:.0%}", flush=True)
    )
    field = ForceField(settings.calculator, StageStore(workdir / "stages"), context)
    device = prepare_device(stack, settings, field)
    prepared = time.perf_counter() - started
    result = device.many(sequences)
    seconds = time.perf_counter() - started
    lines = [
        json.dumps(
            {
                "sequence": sequence,
                "conductance": float(f"{x.conductance[0]:.10g}"),
                "std": None if x.std is None else float(f"{x.std[0]:.3g}"),
            }
        )
        for sequence, x in zip(sequences, result, strict=True)
    ]
    out.write_bytes(lzma.compress(("\n".join(lines) + "\n").encode(), preset=9))
    values = np.array([x.conductance[0] for x in result])
    document = {
        "settings": settings.model_dump(mode="json"),
        "stack": stack.model_dump(mode="json"),
        "unit": "W/m²/K at 300 K",
        "designs": len(sequences),
        "minimum": sequences[int(values.argmin())],
        "maximum": sequences[int(values.argmax())],
        "seconds": {"total": round(seconds), "before_transmission": round(prepared)},
        "threads": threads,
        "lowest_transmission": float(min(x.transmission.min() for x in result)),
    }
    beside = out.with_name(out.name.removesuffix(".jsonl.xz") + ".settings.json")
    beside.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps({k: document[k] for k in ("minimum", "maximum", "seconds")}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)
