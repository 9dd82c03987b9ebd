"""Sequences per second of the oracle `green` against the same physics through ase.transport.

Run: ``python -m benchmarks.green WORKDIR [THREADS]``

Both get the same dynamical matrices, wave vectors and frequencies, in turns within one run; the
lead's surface functions, which the oracle computes once per stack, are counted in neither the
batch nor the single figure of the oracle, and are printed by themselves. Then the time of one
sequence by its number of layers.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import numpy as np
import torch
from ase.transport.calculators import TransportCalculator
from numpy.typing import NDArray

from benchmarks.superlattice_table import silicon_germanium
from oracle.green.device import Device, prepare_device
from oracle.green.settings import GreenSettings
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore

LENGTH = 14
BATCH = 400
ETA = 1e-9  # THz², of ase.transport, whose decimation needs one


def through_ase(device: Device, sequence: str) -> NDArray[np.float64]:
    """Transmission (n_frequencies,) as `Device.many` gives it, averaged over wave vectors."""
    chain = device.chain(sequence)
    lib, lead = device.blocks, device.stack.leads[0]
    bulk = lib.onsite(lead * (lib.reach + 2 * lib.neighbourhood))
    deep = lib.coupling(lead * 2 * (lib.reach + lib.settings.neighbours))
    onsite = [bulk, *[lib.onsite(key) for key in chain.onsite], bulk]
    coupling = [lib.coupling(key) for key in chain.coupling]
    total = np.zeros(device.frequencies.shape[1])
    size = lib.size
    for i, weight in enumerate(device.mesh.weights):
        n = len(onsite) * size
        middle = np.zeros((n, n), dtype=complex)
        for k, block in enumerate(onsite):
            here = slice(k * size, (k + 1) * size)
            middle[here, here] = block[i]
            if k + 1 < len(onsite):
                there = slice((k + 1) * size, (k + 2) * size)
                middle[here, there] = coupling[k][i]
                middle[there, here] = coupling[k][i].conj().T
        pair = np.block([[bulk[i], deep[i]], [deep[i].conj().T, bulk[i]]])
        total += weight * TransportCalculator(
            h=middle, h1=pair, h2=pair, energies=device.frequencies[i] ** 2,
            eta=ETA, eta1=ETA, eta2=ETA, logfile=None,
        ).get_transmission()  # fmt: skip
    return total


def main(workdir: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    settings = GreenSettings(frequencies=40, q_mesh=(4, 4))
    context = Context(workdir)
    field = ForceField(settings.calculator, StageStore(workdir / "stages"), context)
    started = time.perf_counter()
    device = prepare_device(silicon_germanium(), settings, field)
    print(f"before the first sequence {time.perf_counter() - started:.1f} s")
    rng = np.random.default_rng(0)
    batch = ["".join(rng.choice(list("GS"), LENGTH)) for _ in range(BATCH)]
    device.many(["".join(x) for x in itertools.product("GS", repeat=5)])  # blocks of all kinds
    ratios, one_by_one, worst = [], [], 0.0
    for turn in range(3):
        started = time.perf_counter()
        reference = through_ase(device, batch[turn])
        slow = time.perf_counter() - started
        started = time.perf_counter()
        result = device.many(batch)
        fast = (time.perf_counter() - started) / BATCH
        started = time.perf_counter()
        device.many([batch[turn]])
        single = time.perf_counter() - started
        ratios.append(slow / fast)
        one_by_one.append(slow / single)
        worst = max(worst, float(np.abs(result[turn].transmission - reference).max()))
        print(
            f"ase.transport {1 / slow:.3f}, batch of {BATCH} {1 / fast:.1f}, one {1 / single:.2f} "
            f"sequences/s; ratios {slow / fast:.0f} and {slow / single:.0f}"
        )
    print(
        f"median ratio {np.median(ratios):.0f} in batches, {np.median(one_by_one):.0f} one by one; "
        f"transmission differs by at most {worst:.1e}"
    )
    for length in (14, 28, 56, 112):
        sequence = "".join(rng.choice(list("GS"), length))
        device.many([sequence])
        started = time.perf_counter()
        device.many([sequence])
        print(f"{length} layers: {1e3 * (time.perf_counter() - started):.0f} ms")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2)
