"""What it costs in accuracy that long sequences are put together from short windows.

Run: ``python -m benchmarks.green_windows WORKDIR [SEQUENCES]``

A pair of layers takes its force constants from windows that see `neighbours` layers further on
both sides. With each more of them a window comes nearer to the whole sequence, relaxed as one; the
conductance of random Si/Ge sequences at 300 K shows how fast that matters no more.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.superlattice_table import LAYERS, silicon_germanium
from oracle.green.device import prepare_device
from oracle.green.settings import GreenSettings
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore

NEIGHBOURS = (0, 1, 2)


def main(workdir: Path, number: int) -> None:
    rng = np.random.default_rng(1)
    sequences = ["".join(rng.choice(list("GS"), LAYERS)) for _ in range(number)]
    conductances = []
    for neighbours in NEIGHBOURS:
        settings = GreenSettings(frequencies=40, q_mesh=(6, 6), neighbours=neighbours)
        field = ForceField(settings.calculator, StageStore(workdir / "stages"), Context(workdir))
        started = time.perf_counter()
        device = prepare_device(silicon_germanium(), settings, field)
        conductances.append([x.conductance[0] / 1e6 for x in device.many(sequences)])
        print(
            f"{neighbours} neighbours: {', '.join(f'{x:.3f}' for x in conductances[-1])} MW/m²/K, "
            f"{time.perf_counter() - started:.0f} s",
            flush=True,
        )
    for neighbours, values in zip(NEIGHBOURS[:-1], conductances[:-1], strict=True):
        off = np.array(values) / np.array(conductances[-1]) - 1
        print(
            f"{neighbours} against {NEIGHBOURS[-1]}: {100 * off.mean():+.2f} % in the mean, "
            f"{100 * np.abs(off).max():.2f} % at most"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 6)
