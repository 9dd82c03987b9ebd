"""From materials to the arrays that models are fed with, each crystal computed only once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from oracle.material import Crystal, Interface, Material, Superlattice
from surrogate.descriptors import GLOBAL_SPREADS, columns
from surrogate.features import CrystalFeatures, features_of
from surrogate.inputs import Group, Inputs
from surrogate.pair_features import pair_inputs
from surrogate.sequences import Chains
from surrogate.small_phonons import SMALL_PHONONS, UNKNOWN

Mapper = Callable[[Callable[[Crystal], CrystalFeatures], list[Crystal]], Iterable[CrystalFeatures]]
"""Applies a picklable function to every crystal, keeping their order; may run in parallel."""
_KEEP = 4  # stacked pools remembered


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
        phonons: whether a doubled cell's frequencies are among them, see `small_phonons`.
    """

    def __init__(
        self,
        potential: str,
        cache_dir: Path | None = None,
        mapper: Mapper = serial_map,
        *,
        phonons: bool = False,
    ) -> None:
        self._potential = potential
        self._phonons = phonons
        self._compute = partial(_compute, potential, cache_dir, phonons)
        self._mapper = mapper
        self._known: dict[str, CrystalFeatures] = {}

    def get(self, crystals: Sequence[Crystal]) -> list[CrystalFeatures]:
        """Features in the order of the crystals; equal crystals are computed once."""
        missing = {c.digest: c for c in crystals if c.digest not in self._known}
        if missing:
            computed = self._mapper(self._compute, list(missing.values()))
            self._known.update(zip(missing, computed, strict=True))
        return [self._known[crystal.digest] for crystal in crystals]

    def inputs(self, crystals: Sequence[Crystal]) -> Inputs:
        """The features of n crystals, stacked."""
        features = self.get(crystals)
        table = np.stack([f.globals for f in features])
        blocks, spreads = [table], [GLOBAL_SPREADS]
        if self._phonons:
            blocks.append(np.stack([UNKNOWN if f.phonons is None else f.phonons for f in features]))
            spreads.append(np.array(list(SMALL_PHONONS.values())))
        return Inputs(
            n=len(features),
            groups=tuple(_grouped(features)),
            blocks=tuple(blocks),
            spreads=tuple(spreads),
            mirrors=tuple(np.arange(block.shape[1]) for block in blocks),
            descriptors=columns(table),
        )


class MaterialInputs:
    """Inputs of any materials; remembers the stacked arrays of the last pools it was asked for.

    Args:
        store: for crystals.
    """

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._chains: Chains | None = None
        self._stacked: OrderedDict[tuple[str, ...], Inputs] = OrderedDict()

    def begin(self, materials: Sequence[Material]) -> None:
        """Let a training set decide what descriptors of sequences there are."""
        layers = [m for m in materials if isinstance(m, Superlattice)]
        chains = _chains(layers) if layers else None
        if chains != self._chains:
            self._chains = chains
            self._stacked.clear()

    def __call__(self, materials: Sequence[Material]) -> Inputs:
        """Inputs of the materials, in their order.

        Raises:
            ValueError: no materials, or materials of several kinds.
        """
        key = tuple(material.digest for material in materials)
        if key in self._stacked:
            self._stacked.move_to_end(key)
            return self._stacked[key]
        self._stacked[key] = inputs = self._made(materials)
        while len(self._stacked) > _KEEP:
            self._stacked.popitem(last=False)
        return inputs

    def _made(self, materials: Sequence[Material]) -> Inputs:
        crystals = [m for m in materials if isinstance(m, Crystal)]
        layers = [m for m in materials if isinstance(m, Superlattice)]
        pairs = [m for m in materials if isinstance(m, Interface)]
        if len(crystals) == len(materials) > 0:
            return self._store.inputs(crystals)
        if len(pairs) == len(materials) > 0:
            return pair_inputs(pairs, self._store.inputs)
        if len(layers) == len(materials) > 0:
            if self._chains is None:
                self._chains = _chains(layers)
            return self._chains.inputs([m.sequence for m in layers])
        raise ValueError(
            f"a surrogate learns from materials of one kind; given: {len(crystals)} crystals, "
            f"{len(layers)} sequences and {len(pairs)} interfaces"
        )


def _chains(layers: Sequence[Superlattice]) -> Chains:
    """Descriptors for sequences like these; the symmetries are those of the first."""
    first = layers[0]
    reversal = (tuple(range(len(first.sequence) - 1, -1, -1)),) if first.mirror else ()
    return Chains.of([m.sequence for m in layers], (*first.symmetries, *reversal))


def _compute(
    potential: str, cache_dir: Path | None, phonons: bool, crystal: Crystal
) -> CrystalFeatures:
    return features_of(potential, crystal, cache_dir, phonons=phonons)


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
