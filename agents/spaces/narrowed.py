"""A space of which surrogates predict only a shortlist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from agents.contract.protocol import Breeding, Mutating, Reading, Space
from agents.spaces.base import BaseSpace
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material


class Narrowed(BaseSpace):
    """A space of which surrogates predict only a shortlist; otherwise like the space itself.

    Args:
        space: the whole space.
        shortlist: members that surrogates predict.
    """

    def __init__(self, space: Space, shortlist: Sequence[Material]) -> None:
        self._space = space
        self.shortlist = tuple(shortlist)
        """The materials that `listed` returns; always the same object."""

    @property
    def size(self) -> int | None:
        """Number of materials in the whole space."""
        return self._space.size

    @property
    def materials(self) -> tuple[Material, ...] | None:
        """All members of the whole space."""
        materials = self._space.materials
        return None if materials is None else tuple(materials)

    @property
    def reading(self) -> Reading:
        """Report on the files of the whole space."""
        return self._space.reading

    def __contains__(self, material: object) -> bool:
        return material in self._space

    def __iter__(self) -> Iterator[Material]:
        return iter(self._space)

    def sample(self, n: int, rng: np.random.Generator) -> list[Material]:
        """At most n distinct materials of the whole space, drawn uniformly."""
        return self._space.sample(n, rng)

    def neighbours(self, material: Material) -> list[Material]:
        """Materials of the whole space one small change away."""
        return self._space.neighbours(material)

    def crossings(
        self, first: Material, second: Material, rng: np.random.Generator
    ) -> list[Material]:
        """Members of the whole space that combine both; none if it has no crossover."""
        space = self._space
        return space.crossings(first, second, rng) if isinstance(space, Breeding) else []

    def strained(self, material: Material) -> list[Material]:
        """Members of the whole space with the same structure type; none if it has no strain."""
        return self._space.strained(material) if isinstance(self._space, Breeding) else []

    def mutated(self, material: Material, rng: np.random.Generator) -> list[Material]:
        """Random changes within the whole space; none if it has none."""
        return self._space.mutated(material, rng) if isinstance(self._space, Mutating) else []

    def label(self, material: Material) -> str | None:
        """Id in the user's pool or name of the prototype."""
        return self._space.label(material)

    def listed(self, limit: int, rng: np.random.Generator) -> Sequence[Material]:
        """The shortlist, whatever the limit."""
        return self.shortlist

    def competitors(self, crystal: Crystal) -> Mapping[str, Crystal]:
        """Competitors known to the whole space."""
        return self._space.competitors(crystal)
