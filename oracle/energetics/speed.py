"""How fast this machine is: forces of a potential, and plain linear algebra."""

from __future__ import annotations

import contextlib
import io
import time

import numpy as np
from ase import Atoms
from threadpoolctl import threadpool_limits

from oracle.potentials.dft_settings import Potential
from oracle.potentials.table import calculator
from oracle.runtime.threads import one_thread

_CALLS = 3  # timed calls, after one that loads and compiles
_DISPLACEMENT = 0.03  # Å
_SIZE = 400  # of a symmetric matrix
_REFERENCE = 0.0175
"""Seconds of its eigenvectors on one core where the constants of `oracle.phonons.effort` were
measured."""


def seconds_of_forces(potential: Potential, atoms: Atoms, calls: int = _CALLS) -> float:
    """Seconds per forces of a periodic structure on one thread, as the oracle asks for them.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        atoms: displaced a little, so that no symmetry is used.
        calls: of which the fastest counts, after one that is not timed; others share the machine.
    """
    taken = []
    with contextlib.redirect_stdout(io.StringIO()), one_thread():
        for seed in range(calls + 1):
            moved = atoms.copy()
            moved.rattle(_DISPLACEMENT, seed=seed)
            moved.calc = calculator(potential)
            begin = time.perf_counter()
            moved.get_forces()
            taken.append(time.perf_counter() - begin)
    return min(taken[1:])


def seconds_of_64_atoms(potential: Potential) -> float:
    """The same of 64 atoms of NaCl, the measure that `phonoscout potentials --measure` prints."""
    from ase.build import bulk

    return seconds_of_forces(potential, bulk("NaCl", "rocksalt", a=5.65, cubic=True) * (2, 2, 2))


def slowness() -> float:
    """How much longer linear algebra takes here, on one core, than where effort was measured."""
    random = np.random.default_rng(0).standard_normal((_SIZE, _SIZE))
    taken = []
    with threadpool_limits(1):
        for _ in range(_CALLS):
            begin = time.perf_counter()
            np.linalg.eigh(random + random.T)
            taken.append(time.perf_counter() - begin)
    return min(taken) / _REFERENCE
