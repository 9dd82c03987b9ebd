"""A base class for design spaces, with defaults that suit most of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from agents.contract.protocol import Reading
from agents.spaces.prototype_table import competitors
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material


class BaseSpace(ABC):
    """A space that was not read from files and need not be listed.

    Subclasses implement `size`, ``in``, iteration, `sample` and `neighbours`.
    """

    @property
    @abstractmethod
    def size(self) -> int | None:
        """Number of materials; None for an unbounded space."""

    @abstractmethod
    def __contains__(self, material: object) -> bool:
        """Whether the space contains this material (by digest)."""

    @abstractmethod
    def __iter__(self) -> Iterator[Material]:
        """All materials of a bounded space, in a fixed order."""

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> list[Material]:
        """At most n distinct materials, drawn uniformly without replacement."""

    @abstractmethod
    def neighbours(self, material: Material) -> list[Material]:
        """Materials one small change away, nearest first; none for a material not in the space."""

    @property
    def materials(self) -> tuple[Material, ...] | None:
        """All members in a fixed order, always the same object; None if too many for memory."""
        return None

    @property
    def reading(self) -> Reading:
        """Report on the files that the space was read from."""
        return Reading()

    def label(self, material: Material) -> str | None:
        """Id in the user's pool or name of the prototype; None if there is neither."""
        return None

    def listed(self, limit: int, rng: np.random.Generator) -> Sequence[Material]:
        """Members to be predicted: all, in the fixed order, or a sample of at most `limit`."""
        if self.size is None or self.size > limit:
            return self.sample(limit, rng)
        materials = self.materials
        return tuple(self) if materials is None else materials

    def competitors(self, crystal: Crystal) -> Mapping[str, Crystal]:
        """The same composition in the named prototypes, by name."""
        return competitors(crystal)
