"""Descriptors of pairs of crystals that do not depend on the order of the two."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from oracle.materials.crystal import Crystal
from oracle.materials.interface import Interface
from surrogate.features.inputs import Group, Inputs

Array = NDArray[np.float64]
# Typical spread of averaged node features relative to the root mean square of all, as in
# `surrogate.training_data.scaling`.
_NODE_SPREAD = 0.5


def pair_inputs(
    pairs: Sequence[Interface], described: Callable[[Sequence[Crystal]], Inputs]
) -> Inputs:
    """Sums and absolute differences of the two crystals' descriptors, in blocks (n, 2 g).

    The conductance of an interface depends on how much heat either crystal carries and on how
    similar they are. Node features averaged over atoms, where there are any, form a further block.

    Args:
        pairs: n interfaces.
        described: gives the inputs of crystals; called once with all different crystals.
    """
    crystals = {c.digest: c for pair in pairs for c in pair.crystals}
    place = {digest: row for row, digest in enumerate(crystals)}
    single = described(list(crystals.values()))
    rows = np.array([[place[c.digest] for c in pair.crystals] for pair in pairs])
    tables, spreads = list(single.blocks), list(single.spreads)
    pooled = single.pooled()
    if single.descriptors:  # otherwise no potential gave node features
        known = np.isfinite(pooled)
        size = float(np.sqrt(np.mean(np.square(pooled[known])))) if known.any() else 1.0
        tables.append(pooled)
        spreads.append(np.full(pooled.shape[1], max(_NODE_SPREAD * size, 1e-6)))
    blocks = tuple(_symmetric(table[rows[:, 0]], table[rows[:, 1]]) for table in tables)
    n = len(pairs)
    graphs = np.zeros((n, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1), np.float32)
    return Inputs(
        n=n,
        groups=(Group(np.arange(n), *graphs),),
        blocks=blocks,
        spreads=tuple(np.tile(spread, 2) for spread in spreads),
        mirrors=tuple(np.arange(block.shape[1]) for block in blocks),
        descriptors={},
    )


def _symmetric(first: Array, second: Array) -> Array:
    return np.hstack([first + second, np.abs(first - second)])
