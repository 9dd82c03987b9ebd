"""phonopy's description of the symmetry of a supercell, without its loops over all operations.

A supercell of 128 atoms of rocksalt has 3072 operations: 48, each with 64 translations. phonopy
4.10 finds the permutation of atoms for each one by itself. They are products, however, so that it
suffices to find those of the 48 and of the 64.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phonopy.structure import symmetry
from phonopy.structure.cells import compute_all_sg_permutations

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@contextmanager
def symmetry_at_once() -> Iterator[None]:
    """Make phonopy take products of operations; its numbers do not change."""
    names = ("compute_all_sg_permutations", "collect_unique_rotations")
    originals = [getattr(symmetry, name) for name in names]
    for name, replacement in zip(names, (permutations, unique_rotations), strict=True):
        setattr(symmetry, name, replacement)
    try:
        yield
    finally:
        for name, original in zip(names, originals, strict=True):
            setattr(symmetry, name, original)


def unique_rotations(rotations: Integers) -> Integers:
    """Replaces phonopy's `collect_unique_rotations`: different ones (n, 3, 3), first ones first."""
    _, first = np.unique(np.asarray(rotations), axis=0, return_index=True)
    return np.ascontiguousarray(np.asarray(rotations, dtype=np.int64)[np.sort(first)])


def permutations(
    positions: Array,
    rotations: Integers,
    translations: Array,
    lattice: Array,
    symprec: float,
    types: Any,
    **options: Any,
) -> Integers:
    """Replaces phonopy's function `compute_all_sg_permutations`, whose arguments it takes.

    Returns:
        (n_operations, n_atoms): which atom is where an operation takes each atom.
    """

    def one_by_one(chosen: Integers) -> Integers:
        return np.asarray(
            compute_all_sg_permutations(
                positions, rotations[chosen], translations[chosen], lattice, symprec, types,
                **options,
            )
        )  # fmt: skip

    _, first, kind = np.unique(rotations, axis=0, return_index=True, return_inverse=True)
    kind = kind.ravel()
    pure = np.flatnonzero((rotations == np.eye(3, dtype=np.int64)).all(axis=(1, 2)))
    if len(first) * len(pure) != len(rotations):
        return one_by_one(np.arange(len(rotations)))  # not a group
    between = translations - translations[first[kind]]
    offsets = between[:, None] - translations[pure]
    offsets -= np.rint(offsets)
    nearest = np.linalg.norm(offsets @ lattice.T, axis=2).argmin(axis=1)
    rotated, translated = one_by_one(first), one_by_one(pure)
    return np.ascontiguousarray(np.take_along_axis(translated[nearest], rotated[kind], axis=1))
