"""A space of which only a shortlist is considered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from agents.contract.protocol import Space
from oracle.materials.material import Material


class Narrowed:
    """A space of which surrogates look at a shortlist only; all else is as in the space itself.

    Args:
        space: the whole.
        shortlist: those of its materials that are screened.
    """

    def __init__(self, space: Space, shortlist: Sequence[Material]) -> None:
        self._space = space
        self.shortlist = tuple(shortlist)
        """What `agents.acquisition.pool_posterior.listed` gives; always the same object."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._space, name)  # what only some spaces can do

    @property
    def size(self) -> int | None:
        """How many materials the whole space has."""
        return self._space.size

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

    def label(self, material: Material) -> str | None:
        """Id in the user's pool or name of the prototype."""
        return self._space.label(material)
