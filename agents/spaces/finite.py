"""Spaces that are listed completely, such as prototypes and pools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from agents.contract.protocol import Reading
from agents.spaces.base import BaseSpace
from agents.spaces.crystal_index import CompositionIndex, CrystalIndex
from agents.spaces.index import Index
from agents.spaces.sequence_index import SequenceIndex
from oracle.materials.crystal import BaseMaterial
from oracle.materials.material import Material

INDICES: dict[str, Callable[[Mapping[int, Any]], Index]] = {
    "crystal": CrystalIndex,
    "superlattice": SequenceIndex,
    "composition": CompositionIndex,
}
"""By the kind of material, whose members are given by their positions; others have an `Index`."""
_REMEMBERED = 256  # materials whose neighbours are cached


class FiniteSpace(BaseSpace):
    """A space whose members are held in memory, in a fixed order.

    Args:
        materials: all members; of equal ones, the first is kept.
        labels: id or prototype of each material, or None.
    """

    def __init__(self, materials: Sequence[Material], labels: Sequence[str | None]) -> None:
        index: dict[str, int] = {}
        distinct: list[Material] = []
        names: list[str | None] = []
        for material, label in zip(materials, labels, strict=True):
            if material.digest not in index:
                index[material.digest] = len(distinct)
                distinct.append(material)
                names.append(label)
        self._materials = tuple(distinct)
        self._labels = tuple(names)
        self._index = index
        self._near: dict[int, list[int]] = {}
        self._indices: dict[str, Index] = {}
        self.duplicates = len(materials) - len(distinct)
        """Number of materials that equal an earlier one."""

    @property
    def materials(self) -> tuple[Material, ...]:
        """All members in a fixed order; always the same object."""
        return self._materials

    @property
    def reading(self) -> Reading:
        """A report with the number of duplicates only."""
        return Reading(duplicates=self.duplicates)

    @property
    def size(self) -> int:
        """Number of materials."""
        return len(self._materials)

    def __contains__(self, material: object) -> bool:
        return isinstance(material, BaseMaterial) and material.digest in self._index

    def __iter__(self) -> Iterator[Material]:
        return iter(self._materials)

    def position(self, material: Material) -> int | None:
        """Index of a material in `materials`, or None for a material not in the space."""
        return self._index.get(material.digest)

    def sample(self, n: int, rng: np.random.Generator) -> list[Material]:
        """At most n distinct materials, drawn uniformly without replacement."""
        chosen = rng.choice(self.size, size=min(n, self.size), replace=False)
        return [self._materials[i] for i in chosen]

    def label(self, material: Material) -> str | None:
        """Id in the user's pool or name of the prototype."""
        at = self.position(material)
        return None if at is None else self._labels[at]

    def neighbours(self, material: Material) -> list[Material]:
        """Materials one small change away, nearest first; none for a material not in the space."""
        at = self.position(material)
        if at is None:
            return []
        if at not in self._near:  # needed repeatedly for the best materials
            if len(self._near) >= _REMEMBERED:
                self._near.clear()
            self._near[at] = self._of(material).neighbours(at)
        return [self._materials[i] for i in self._near[at]]

    def crossings(
        self,
        first: Material,
        second: Material,
        rng: np.random.Generator,
    ) -> list[Material]:
        """Members that combine two others, in random order.

        Crystals: the structure type of either parent with elements of both. Sequences: every layer
        from one of the parents; if no such sequence is a member, the member nearest to one.
        """
        at, other = self.position(first), self.position(second)
        if at is None or other is None or first.kind != second.kind:
            return []
        return [self._materials[i] for i in self._of(first).crossings(at, other, rng)]

    def strained(self, material: Material) -> list[Material]:
        """Members of the same structure type, closest in volume per atom first.

        The oracle relaxes all structures, so strain can only mean chemical pressure. There are none
        for sequences.
        """
        at = self.position(material)
        return [] if at is None else [self._materials[i] for i in self._of(material).strained(at)]

    def _of(self, material: Material) -> Index:
        """What is known of the members of a material's kind; made when it is first asked for."""
        kind = material.kind
        if kind not in self._indices:
            members = {i: m for i, m in enumerate(self._materials) if m.kind == kind}
            self._indices[kind] = INDICES.get(kind, Index)(members)
        return self._indices[kind]
