"""Inputs of the surrogates for each kind of material."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from oracle.materials.crystal import Crystal
from oracle.materials.interface import Interface
from oracle.materials.material import Material
from oracle.materials.superlattice import Superlattice
from surrogate.features.feature_store import FeatureStore
from surrogate.features.inputs import Inputs
from surrogate.features.pair_features import pair_inputs
from surrogate.features.sequence_features import Chains

_KEEP = 4  # number of stacked pools that are cached


class MaterialInputs:
    """Inputs of any materials; caches the stacked arrays of the last pools.

    Args:
        store: gives the features of crystals.
    """

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._chains: Chains | None = None
        self._stacked: OrderedDict[tuple[str, ...], Inputs] = OrderedDict()

    def begin(self, materials: Sequence[Material]) -> None:
        """Choose the descriptors of sequences for a training set."""
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
    """Descriptors for such sequences, all of which have the symmetries of the first."""
    first = layers[0]
    reversal = (tuple(range(len(first.sequence) - 1, -1, -1)),) if first.mirror else ()
    return Chains.of([m.sequence for m in layers], (*first.symmetries, *reversal))
