"""Meshes in reciprocal space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Mesh = tuple[int, int, int]
COARSE = 1.6
"""Ratio of spacings of the mesh that tells the mesh's own error to the result's."""
SHARE = 0.5
"""Of the change from the coarse to the final mesh, what is left; between 1/N and 1/N² decay."""


def coarsened(mesh: Mesh, ratio: float) -> Mesh:
    """A mesh with about `ratio` times the spacing, of three points at least."""
    a, b, c = (max(3, round(n / ratio)) for n in mesh)
    return a, b, c


def refined(mesh: Mesh) -> Mesh:
    """A mesh a quarter denser, by at least two points along each vector."""
    a, b, c = (n + max(2, round(n / 4)) for n in mesh)
    return a, b, c


def mesh_of(cell: Array, spacing: float) -> tuple[int, int, int]:
    """Mesh of a primitive cell (3, 3) whose points are at most `spacing` apart (1/Å, with 2π)."""
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell), axis=0)
    a, b, c = (max(1, int(np.ceil(length / spacing - 1e-6))) for length in lengths)
    return a, b, c
