"""Transverse wave vectors, reduced by time reversal and the symmetry that all layers share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oracle.materials.layering import Operation

Array = NDArray[np.float64]


@dataclass(frozen=True)
class QMesh:
    """Points of the in-plane Brillouin zone.

    Args:
        points: (n, 2), in reciprocal lattice vectors.
        weights: (n,), their sum is 1.
        halves: (n,), 0 or 1: two subsets, arranged like the squares of a chessboard.
    """

    points: Array
    weights: Array
    halves: NDArray[np.int64]

    def error(self, values: Array) -> Array | None:
        """Half the difference of the means over the two subsets; None where one is empty.

        Args:
            values: (n, ...), one at each point.
        """
        means = []
        for half in (0, 1):
            mask = self.halves == half
            if not mask.any():
                return None
            means.append(np.average(values[mask], axis=0, weights=self.weights[mask]))
        return np.asarray(np.abs(means[0] - means[1]) / 2.0)


def q_mesh(shape: tuple[int, int], operations: tuple[Operation, ...]) -> QMesh:
    """A mesh shifted by half a step from Γ, without equivalent points.

    Transmission is the same at q and -q (by time reversal and because it is equal in both
    directions), and at q and its image under an operation that does not exchange left and right.
    A single point along an axis is at zero.

    Args:
        shape: number of points along both axes.
        operations: of the layers; those that reverse the stacking axis are ignored.
    """
    na, nb = shape
    size = np.array(shape)
    twice = np.array([[i, j] for i in range(1 - na, na, 2) for j in range(1 - nb, nb, 2)])
    # Under x -> x @ W, a wave exp(2 pi i q.x) becomes one with W^-T q.
    matrices = [
        np.rint(np.linalg.inv(o.rotation)).astype(np.int64) for o in operations if not o.reverses
    ]
    representative: dict[tuple[int, int], int] = {}
    irreducible: list[NDArray[np.int64]] = []
    counts: list[int] = []
    for point in twice:
        name = (int(point[0]), int(point[1]))
        if name in representative:
            counts[representative[name]] += 1
            continue
        index = len(irreducible)
        irreducible.append(point)
        counts.append(1)
        for matrix in [np.eye(2, dtype=np.int64), *matrices]:
            image = matrix @ (point / (2.0 * size))
            for sign in (1, -1):
                scaled = sign * image * 2.0 * size
                integers = np.rint(scaled).astype(np.int64)
                if np.abs(scaled - integers).max() > 1e-6:
                    continue  # the mesh does not have this symmetry
                folded = (integers + size - 1) % (2 * size) - size + 1
                representative.setdefault((int(folded[0]), int(folded[1])), index)
    indices = (np.array(irreducible) + size - 1) // 2
    return QMesh(
        points=np.array(irreducible) / (2.0 * size),
        weights=np.array(counts) / len(twice),
        halves=indices.sum(axis=1) % 2,
    )
