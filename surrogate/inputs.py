"""Materials as stacked arrays: what the models of every surrogate are fed with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oracle.material import Crystal, Superlattice
from surrogate.descriptors import GLOBAL_SPREADS, columns
from surrogate.features import CrystalFeatures, features_of
from surrogate.sequences import Chains

Array = NDArray[np.float64]
Mapper = Callable[[Callable[[Crystal], CrystalFeatures], list[Crystal]], Iterable[CrystalFeatures]]
"""Applies a picklable function to every crystal, keeping their order; may run in parallel."""
_KEEP = 4  # stacked pools remembered


@dataclass(frozen=True)
class Group:
    """The materials that have equally many atoms (or layers): no padding is needed.

    Args:
        rows: (m,), where they stand among the n materials.
        nodes: (m, a, d), features of each atom.
        edges: (m, a, a, b), or (1, a, a, b) where all graphs are the same.
    """

    rows: NDArray[np.int64]
    nodes: NDArray[np.float32]
    edges: NDArray[np.float32]


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
    """

    n: int
    groups: tuple[Group, ...]
    blocks: tuple[Array, ...]
    spreads: tuple[Array, ...]
    mirrors: tuple[NDArray[np.int64], ...]
    descriptors: dict[str, Array]

    @property
    def width(self) -> int:
        """Features per atom, d; the largest where potentials could not compute some."""
        return max(group.nodes.shape[2] for group in self.groups)

    def pooled(self) -> Array:
        """Mean over each material's atoms (n, d); NaN where nodes are unknown."""
        mean = np.full((self.n, self.width), np.nan)
        for group in self.groups:
            if group.nodes.shape[2] == self.width:
                mean[group.rows] = group.nodes.mean(axis=1, dtype=np.float64)
        return mean


class Source(Protocol):
    """Turns materials of one kind into `Inputs`."""

    def __call__(self, materials: Sequence[Any]) -> Inputs:
        """Inputs of the materials, in their order."""
        ...


def serial_map(
    function: Callable[[Crystal], CrystalFeatures], crystals: list[Crystal]
) -> Iterable[CrystalFeatures]:
    """The `Mapper` that computes one crystal after another in this process."""
    return map(function, crystals)


class FeatureStore:
    """Features of crystals, computed where they are missing and kept in memory and on disk.

    Args:
        potential: as for `oracle.potentials.calculator`.
        cache_dir: folder of the cache on disk, or None for memory only.
        mapper: how missing ones are computed.
    """

    def __init__(
        self, potential: str, cache_dir: Path | None = None, mapper: Mapper = serial_map
    ) -> None:
        self._potential = potential
        self._compute = partial(_compute, potential, cache_dir)
        self._mapper = mapper
        self._known: dict[str, CrystalFeatures] = {}

    def get(self, crystals: Sequence[Crystal]) -> list[CrystalFeatures]:
        """Features in the order of the crystals; equal crystals are computed once."""
        missing = {c.digest: c for c in crystals if c.digest not in self._known}
        if missing:
            computed = self._mapper(self._compute, list(missing.values()))
            self._known.update(zip(missing, computed, strict=True))
        return [self._known[crystal.digest] for crystal in crystals]

    def __call__(self, materials: Sequence[Any]) -> Inputs:
        """See `Source`."""
        features = self.get(materials)
        table = np.stack([f.globals for f in features])
        return Inputs(
            n=len(features),
            groups=tuple(_grouped(features)),
            blocks=(table,),
            spreads=(GLOBAL_SPREADS,),
            mirrors=(np.arange(table.shape[1]),),
            descriptors=columns(table),
        )


class MaterialInputs:
    """Inputs of any materials; remembers the stacked arrays of the last pools it was asked for.

    Args:
        store: for crystals.
    """

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._chains = Chains()
        self._stacked: OrderedDict[tuple[str, ...], Inputs] = OrderedDict()

    def __call__(self, materials: Sequence[Crystal | Superlattice]) -> Inputs:
        """See `Source`.

        Raises:
            ValueError: no materials, or crystals and sequences mixed.
        """
        kinds = {material.kind for material in materials}
        if len(kinds) != 1:
            given = " and ".join(sorted(kinds)) or "nothing"
            raise ValueError(f"a surrogate learns from materials of one kind; given: {given}")
        key = tuple(material.digest for material in materials)
        if key in self._stacked:
            self._stacked.move_to_end(key)
            return self._stacked[key]
        inputs = (self._store if kinds == {"crystal"} else self._chains)(materials)
        self._stacked[key] = inputs
        while len(self._stacked) > _KEEP:
            self._stacked.popitem(last=False)
        return inputs


def _compute(potential: str, cache_dir: Path | None, crystal: Crystal) -> CrystalFeatures:
    return features_of(potential, crystal, cache_dir)


def _grouped(features: list[CrystalFeatures]) -> Iterable[Group]:
    shapes: dict[tuple[int, ...], list[int]] = {}
    for row, feature in enumerate(features):
        shapes.setdefault(feature.nodes.shape, []).append(row)
    for shape in sorted(shapes):
        rows = shapes[shape]
        yield Group(
            np.array(rows, dtype=np.int64),
            np.stack([features[row].nodes for row in rows]),
            np.stack([features[row].edges for row in rows]),
        )
