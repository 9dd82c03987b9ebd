"""Inputs of the surrogates for each kind of material."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from oracle.materials.composition import Composition
from oracle.materials.crystal import Crystal
from oracle.materials.interface import Interface
from oracle.materials.material import Material
from oracle.materials.superlattice import Superlattice
from surrogate.features.composition import composition_inputs
from surrogate.features.feature_store import FeatureStore
from surrogate.features.inputs import Inputs
from surrogate.features.pair_features import pair_inputs
from surrogate.features.sequence_features import Chains

_KEEP = 4  # number of stacked pools that are cached


class KindInputs(ABC):
    """Inputs of the materials of one kind.

    To derive one, say what `inputs` are; `begin` only where they depend on what is learned from.

    Args:
        store: features of crystals.
    """

    def __init__(self, store: FeatureStore) -> None:
        self.store = store

    def begin(self, materials: Sequence[Any]) -> bool:
        """Look at a training set, which may be empty; whether inputs are others from now on."""
        return False

    @abstractmethod
    def inputs(self, materials: Sequence[Any]) -> Inputs:
        """Inputs of at least one material, in their order."""


class CrystalInputs(KindInputs):
    """Crystals: what a potential says of them."""

    def inputs(self, materials: Sequence[Crystal]) -> Inputs:
        """See `KindInputs`."""
        return self.store.inputs(materials)


class PairInputs(KindInputs):
    """Interfaces: what a potential says of both crystals."""

    def inputs(self, materials: Sequence[Interface]) -> Inputs:
        """See `KindInputs`."""
        return pair_inputs(materials, self.store.inputs)


class CompositionInputs(KindInputs):
    """Compositions: statistics of the properties of their elements, and the elements themselves."""

    def inputs(self, materials: Sequence[Composition]) -> Inputs:
        """See `KindInputs`."""
        return composition_inputs(materials)


class SequenceInputs(KindInputs):
    """Layer sequences: descriptors averaged over the symmetries of the first."""

    _chains: Chains | None = None

    def begin(self, materials: Sequence[Superlattice]) -> bool:
        """The training set says how long sequences are, and which letters they have."""
        before, self._chains = self._chains, _chains(materials) if materials else None
        return self._chains != before

    def inputs(self, materials: Sequence[Superlattice]) -> Inputs:
        """See `KindInputs`."""
        if self._chains is None:
            self._chains = _chains(materials)
        return self._chains.inputs([m.sequence for m in materials])


KIND_INPUTS: dict[str, Callable[[FeatureStore], KindInputs]] = {
    "crystal": CrystalInputs,
    "superlattice": SequenceInputs,
    "interface": PairInputs,
    "composition": CompositionInputs,
}
"""By the kind of the material."""


class MaterialInputs:
    """Inputs of any materials; caches the stacked arrays of the last pools.

    Args:
        store: gives the features of crystals.
    """

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._kinds: dict[str, KindInputs] = {}
        self._stacked: OrderedDict[tuple[str, ...], Inputs] = OrderedDict()

    def begin(self, materials: Sequence[Material]) -> None:
        """Let a training set decide what descriptors there are."""
        kinds = dict.fromkeys([*self._kinds, *(m.kind for m in materials)])
        changed = [self._of(kind).begin([m for m in materials if m.kind == kind]) for kind in kinds]
        if any(changed):
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
        counts = Counter(material.kind for material in materials)
        if len(counts) != 1:
            given = ", ".join(f"{count} of {kind}" for kind, count in counts.items())
            raise ValueError(
                f"a surrogate learns from materials of one kind; given: {given or 'none'}"
            )
        return self._of(materials[0].kind).inputs(materials)

    def _of(self, kind: str) -> KindInputs:
        if kind not in self._kinds:
            self._kinds[kind] = KIND_INPUTS[kind](self._store)
        return self._kinds[kind]


def _chains(layers: Sequence[Superlattice]) -> Chains:
    """Descriptors for such sequences, all of which have the symmetries of the first."""
    first = layers[0]
    reversal = (tuple(range(len(first.sequence) - 1, -1, -1)),) if first.mirror else ()
    return Chains.of([m.sequence for m in layers], (*first.symmetries, *reversal))
