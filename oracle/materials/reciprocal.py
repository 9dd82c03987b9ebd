"""Meshes in reciprocal space."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

Array = NDArray[np.float64]
_MIXED = 1e-6  # elements of integer matrices above are not zero

Mesh = tuple[int, int, int]


def coarsened(mesh: Mesh, ratio: float) -> Mesh:
    """A mesh with about `ratio` times the spacing, and at least three points along each vector.

    Where the mesh itself has fewer than three, it keeps them.
    """
    a, b, c = (max(min(3, n), round(n / ratio)) for n in mesh)
    return a, b, c


def refined(mesh: Mesh, every: int = 1) -> Mesh:
    """A mesh with a quarter more points, and at least two more, along each vector.

    What is added is a multiple of `every`.
    """
    a, b, c = (n + every * max(-(-2 // every), round(n / 4 / every)) for n in mesh)
    return a, b, c


def mesh_of(
    cell: Array, spacing: float, every: int = 1, operations: ArrayLike | None = None
) -> tuple[int, int, int]:
    """Mesh for a primitive cell (3, 3) with points at most `spacing` apart (1/Å, 2π included).

    Args:
        cell: (3, 3), row vectors, Å.
        spacing: 1/Å, 2π included.
        every: numbers of points are multiples of it.
        operations: (n, 3, 3), of the reciprocal point group, on columns of reduced coordinates.
            Vectors that they mix get equal numbers of points, without which the mesh would have
            less symmetry than the crystal: all three of a body-centred lattice, whatever their
            lengths. None: numbers follow from the lengths alone.
    """
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell), axis=0)
    numbers = [every * max(1, int(np.ceil(one / spacing / every - 1e-6))) for one in lengths]
    if operations is not None:
        mixed = (np.abs(np.asarray(operations)) > _MIXED).any(axis=0)
        _, groups = connected_components(mixed, directed=False)
        numbers = [max(n for n, g in zip(numbers, groups, strict=True) if g == o) for o in groups]
    a, b, c = numbers
    return a, b, c
