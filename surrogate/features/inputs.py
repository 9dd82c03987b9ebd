"""Materials as stacked arrays: what the models of every surrogate are fed with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """The materials that have equally many atoms (or layers): no padding is needed.

    Args:
        rows: (m,), where they stand among the n materials.
        nodes: (m, a, l, d), features of each atom after l layers of the potential, last one last.
        edges: (m, a, a, b), or (1, a, a, b) where all graphs are the same.
    """

    rows: NDArray[np.int64]
    nodes: NDArray[np.float32]
    edges: NDArray[np.float32]

    def take(self, kept: NDArray[np.int64], rows: NDArray[np.int64]) -> Group:
        """Some of the group's materials, which stand at other rows now."""
        edges = self.edges if len(self.edges) == 1 else self.edges[kept]
        return Group(rows, self.nodes[kept], edges)


@dataclass(frozen=True)
class Inputs:
    """n materials as arrays.

    Args:
        n: how many.
        groups: their graphs, by number of atoms; together they hold every row once.
        blocks: global descriptors (n, g_k) by meaning; NaN where unknown.
        spreads: (g_k,), what spread each descriptor typically has; shrinks the statistics of
            small training sets.
        mirrors: for each block the order of columns (g_k,) that the reversed sequence has.
        descriptors: columns (n,) from which prior means are made; empty for sequences.
        words: the sequences themselves; empty for crystals.
        orders: orders of layers that leave a design what it is, see `Superlattice.symmetries`;
            reversal is among them where it is declared.
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
        """Layers l and features d per atom; the most where potentials could not compute some."""
        shapes = [group.nodes.shape[2:] for group in self.groups]
        return max(((int(layers), int(d)) for layers, d in shapes), key=math.prod, default=(1, 0))

    def pooled(self, layer: int = -1) -> Array:
        """Mean over each material's atoms (n, d) of one layer; NaN where nodes are unknown."""
        mean = np.full((self.n, self.features[1]), np.nan)
        for group in self.groups:
            if group.nodes.shape[2:] == self.features:
                mean[group.rows] = group.nodes[:, :, layer].mean(axis=1, dtype=np.float64)
        return mean

    def take(self, rows: NDArray[np.int64]) -> Inputs:
        """The inputs of some of the materials, in the order of `rows`, which may repeat."""
        groups = []
        for group in self.groups:
            place = np.full(self.n, -1)
            place[group.rows] = np.arange(len(group.rows))
            kept = place[rows]
            order = np.argsort(kept, kind="stable")[int((kept < 0).sum()) :]
            if len(order):
                groups.append(group.take(kept[order], order))
        return replace(
            self,
            n=len(rows),
            groups=tuple(groups),
            blocks=tuple(block[rows] for block in self.blocks),
            descriptors={name: column[rows] for name, column in self.descriptors.items()},
            words=tuple(self.words[row] for row in rows) if self.words else (),
        )

    def parts(self, size: int) -> Iterator[tuple[NDArray[np.int64], Inputs]]:
        """Pieces of at most `size` materials of one number of atoms, with the rows they hold."""
        for group in self.groups:
            for start in range(0, len(group.rows), size):
                kept = np.arange(start, min(start + size, len(group.rows)))
                rows = group.rows[kept]
                yield (
                    rows,
                    replace(
                        self,
                        n=len(rows),
                        groups=(group.take(kept, np.arange(len(rows))),),
                        blocks=tuple(block[rows] for block in self.blocks),
                        descriptors={},
                        words=(),
                    ),
                )
