"""The speed of this machine: forces of a potential, and plain linear algebra."""

from __future__ import annotations

import contextlib
import io
import time

import numpy as np
from ase import Atoms

from oracle.potentials.dft_settings import Potential
from oracle.potentials.table import calculator
from oracle.runtime.threads import one_thread, pinned_threads

_CALLS = 3  # timed calls, after one that loads and compiles
_ENOUGH = 2.0  # seconds of calls, after which no more are timed
_DISPLACEMENT = 0.03  # Å
_SIZE = 400  # rows of the symmetric matrix whose eigenvectors are timed
_REFERENCE = 0.0175
"""Seconds that these take on one core of the machine on which the constants of
`oracle.phonons.effort` were measured."""


def seconds_of_forces(potential: Potential, atoms: Atoms, calls: int = _CALLS) -> float:
    """Seconds that computing the forces of a periodic structure takes on one thread.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        atoms: are displaced a little, so that no symmetry is used.
        calls: number of timed calls, after one that is not timed; the fastest counts, because other
            processes may slow down the others. Of calls that take seconds, one is enough.
    """
    durations = []
    with contextlib.redirect_stdout(io.StringIO()), one_thread():
        for seed in range(calls + 1):
            moved = atoms.copy()
            moved.rattle(_DISPLACEMENT, seed=seed)
            moved.calc = calculator(potential)
            begin = time.perf_counter()
            moved.get_forces()
            durations.append(time.perf_counter() - begin)
            if sum(durations[1:]) > _ENOUGH:
                break
    return min(durations[1:])


def seconds_of_64_atoms(potential: Potential) -> float:
    """`seconds_of_forces` for 64 atoms of NaCl, as `phonoscout potentials --measure` prints."""
    from ase.build import bulk

    return seconds_of_forces(potential, bulk("NaCl", "rocksalt", a=5.65, cubic=True) * (2, 2, 2))


def slowness() -> float:
    """Time of linear algebra on one core, relative to the machine of the constants of effort."""
    random = np.random.default_rng(0).standard_normal((_SIZE, _SIZE))
    durations = []
    with pinned_threads():
        for _ in range(_CALLS):
            begin = time.perf_counter()
            np.linalg.eigh(random + random.T)
            durations.append(time.perf_counter() - begin)
    return min(durations) / _REFERENCE
