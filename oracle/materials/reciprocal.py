"""Meshes in reciprocal space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

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


def mesh_of(cell: Array, spacing: float, every: int = 1) -> tuple[int, int, int]:
    """Mesh for a primitive cell (3, 3) with points at most `spacing` apart (1/Å, 2π included).

    Its numbers of points are multiples of `every`.
    """
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell), axis=0)
    a, b, c = (every * max(1, int(np.ceil(one / spacing / every - 1e-6))) for one in lengths)
    return a, b, c
