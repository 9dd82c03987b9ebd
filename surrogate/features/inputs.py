"""Materials as stacked arrays, the input of every surrogate's models."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """The m materials with the same number of atoms (or layers), so that no padding is needed.

    Args:
        rows: (m,), their positions among the n materials.
        nodes: (m, a, l, d), features of each atom after each of the potential's last l layers.
        edges: (m, a, a, b), or (1, a, a, b) where all graphs are the same.
    """

    rows: NDArray[np.int64]
    nodes: NDArray[np.float32]
    edges: NDArray[np.float32]

    def take(self, chosen: NDArray[np.int64], rows: NDArray[np.int64]) -> Group:
        """The chosen members of the group, with their new row numbers."""
        edges = self.edges if len(self.edges) == 1 else self.edges[chosen]
        return Group(rows, self.nodes[chosen], edges)


@dataclass(frozen=True)
class Inputs:
    """n materials as arrays.

    Args:
        n: number of materials.
        groups: their graphs, by number of atoms; together they hold every row once.
        blocks: global descriptors (n, g_k), grouped by meaning; NaN where unknown.
        spreads: for each block, typical standard deviations (g_k,), which regularise the
            statistics of small training sets.
        mirrors: for each block, the column order (g_k,) that describes the reversed sequence.
        descriptors: columns (n,) from which prior means are computed; empty for sequences.
        words: the sequences themselves; empty for crystals.
        orders: permutations of layers that leave a design unchanged, see
            `Superlattice.symmetries`; they include reversal where it is declared.
    """

    n: int
    groups: tuple[Group, ...]
    blocks: tuple[Array, ...]
    spreads: tuple[Array, ...]
    mirrors: tuple[NDArray[np.int64], ...]
    descriptors: dict[str, Array]
    words: tuple[str, ...] = ()
    orders: tuple[tuple[int, ...], ...] = ()

    @property
    def features(self) -> tuple[int, int]:
        """Numbers of layers l and of features d per atom; the largest among the groups."""
        shapes = [group.nodes.shape[2:] for group in self.groups]
        return max(((int(layers), int(d)) for layers, d in shapes), key=math.prod, default=(1, 0))

    def pooled(self, layer: int = -1) -> Array:
        """Node features of one layer averaged over atoms, (n, d); NaN where they are unknown."""
        mean = np.full((self.n, self.features[1]), np.nan)
        for group in self.groups:
            if group.nodes.shape[2:] == self.features:
                mean[group.rows] = group.nodes[:, :, layer].mean(axis=1, dtype=np.float64)
        return mean

    def take(self, rows: NDArray[np.int64]) -> Inputs:
        """The inputs of some of the materials, in the order of `rows`, which may repeat rows."""
        groups = []
        for group in self.groups:
            place_of = np.full(self.n, -1)
            place_of[group.rows] = np.arange(len(group.rows))
            places = place_of[rows]
            order = np.argsort(places, kind="stable")[int((places < 0).sum()) :]
            if len(order):
                groups.append(group.take(places[order], order))
        return replace(
            self,
            n=len(rows),
            groups=tuple(groups),
            blocks=tuple(block[rows] for block in self.blocks),
            descriptors={name: column[rows] for name, column in self.descriptors.items()},
            words=tuple(self.words[row] for row in rows) if self.words else (),
        )

    def parts(self, size: int) -> Iterator[tuple[NDArray[np.int64], Inputs]]:
        """Rows and inputs of batches of at most `size` materials with equal numbers of atoms."""
        for group in self.groups:
            for start in range(0, len(group.rows), size):
                chosen = np.arange(start, min(start + size, len(group.rows)))
                rows = group.rows[chosen]
                yield (
                    rows,
                    replace(
                        self,
                        n=len(rows),
                        groups=(group.take(chosen, np.arange(len(rows))),),
                        blocks=tuple(block[rows] for block in self.blocks),
                        descriptors={},
                        words=(),
                    ),
                )
