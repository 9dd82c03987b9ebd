"""What design spaces have in common, so that one of your own need not say it again."""

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

    To derive one, say what `size`, ``in``, iteration, `sample` and `neighbours` are.
    """

    @property
    @abstractmethod
    def size(self) -> int | None:
        """How many materials there are; None when unbounded."""

    @abstractmethod
    def __contains__(self, material: object) -> bool:
        """Whether the space holds this material (by digest)."""

    @abstractmethod
    def __iter__(self) -> Iterator[Material]:
        """All materials in a fixed order (of a bounded space)."""

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> list[Material]:
        """At most n distinct materials, drawn uniformly without replacement."""

    @abstractmethod
    def neighbours(self, material: Material) -> list[Material]:
        """Materials one small change away, nearest first; none for one the space does not hold."""

    @property
    def materials(self) -> tuple[Material, ...] | None:
        """All members in their fixed order, always the same object; None if too many to hold."""
        return None

    @property
    def reading(self) -> Reading:
        """What became of the files that the space was read from."""
        return Reading()

    def label(self, material: Material) -> str | None:
        """Id in the user's pool or name of the prototype; None for one without."""
        return None

    def listed(self, limit: int, rng: np.random.Generator) -> Sequence[Material]:
        """What surrogates look at: the whole in its fixed order, or a sample of `limit` at most."""
        if self.size is None or self.size > limit:
            return self.sample(limit, rng)
        materials = self.materials
        return tuple(self) if materials is None else materials

    def competitors(self, crystal: Crystal) -> Mapping[str, Crystal]:
        """The same composition in the prototypes that have a name, by that name."""
        return competitors(crystal)
