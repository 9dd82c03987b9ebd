"""The design space of all pairs of crystals from a list."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from math import isqrt
from pathlib import Path

import numpy as np

from agents.contract.protocol import Reading
from agents.spaces.base import BaseSpace
from agents.spaces.finite import FiniteSpace
from agents.spaces.pool import PoolSpace
from agents.spaces.settings import InterfaceSpaceSettings, PoolSpaceSettings
from oracle.materials.crystal import Crystal
from oracle.materials.interface import Interface
from oracle.materials.material import Material

_LISTED = 20_000  # largest number of pairs that are held in memory


class InterfaceSpace(BaseSpace):
    """Every interface between two different crystals of a list, each pair once.

    The pairs are numbered: pair 0 is the second crystal with the first, pairs 1 and 2 are the third
    with the two before it, and so on. Pairs are thus created only when they are needed.

    Args:
        crystals: the list, with an id for each crystal.

    Raises:
        ValueError: fewer than two crystals, or a material that is not a crystal.
    """

    def __init__(self, crystals: FiniteSpace) -> None:
        sequences = [m for m in crystals if not isinstance(m, Crystal)]
        if sequences:
            raise ValueError(
                f"path: holds the layer sequence {sequences[0].formula!r}; expected crystals, of "
                "which interfaces are made"
            )
        if crystals.size < 2:
            raise ValueError(
                f"path: holds {crystals.size} crystal; expected at least two different ones, of "
                "which interfaces are made"
            )
        self._crystals = crystals
        self.crystals: tuple[Crystal, ...] = tuple(m for m in crystals if isinstance(m, Crystal))
        """The distinct crystals of the list, in its order."""
        # Ids and charges belong to single crystals, but pairs are measured here.
        self._reading = replace(crystals.reading, ids={}, charges=(), crystals=len(self.crystals))

    @property
    def reading(self) -> Reading:
        """Report on the records of the list."""
        return self._reading

    @property
    def size(self) -> int:
        """Number of pairs."""
        n = len(self.crystals)
        return n * (n - 1) // 2

    @functools.cached_property
    def materials(self) -> tuple[Material, ...] | None:
        """All pairs in a fixed order; None if there are too many to be held in memory."""
        return tuple(self) if self.size <= _LISTED else None

    def listed(self, limit: int, rng: np.random.Generator) -> Sequence[Material]:
        """All pairs, or a sample if there are too many to be held in memory."""
        return super().listed(min(limit, _LISTED), rng)

    def __contains__(self, material: object) -> bool:
        return isinstance(material, Interface) and self._places(material) is not None

    def __iter__(self) -> Iterator[Material]:
        return (self._pair(k) for k in range(self.size))

    def sample(self, n: int, rng: np.random.Generator) -> list[Material]:
        """At most n distinct pairs, drawn uniformly without replacement."""
        chosen = rng.choice(self.size, size=min(n, self.size), replace=False)
        return [self._pair(int(k)) for k in chosen]

    def neighbours(self, material: Material) -> list[Material]:
        """Pairs with one crystal exchanged for another, the most similar first.

        None for a material not in the space.
        """
        places = self._places(material)
        if places is None:
            return []
        first, second = (self.crystals[i] for i in places)
        kept_first = (Interface(crystals=(first, x)) for x in self._others(second, first))
        kept_second = (Interface(crystals=(x, second)) for x in self._others(first, second))
        both = zip_longest(kept_second, kept_first)
        return [pair for pairs in both for pair in pairs if pair is not None]

    def crossings(
        self, first: Material, second: Material, rng: np.random.Generator
    ) -> list[Material]:
        """Pairs of one crystal from each of the two pairs, in random order."""
        if first not in self or second not in self:
            return []
        assert isinstance(first, Interface)
        assert isinstance(second, Interface)
        mixed = [
            Interface(crystals=(one, other))
            for one in first.crystals
            for other in second.crystals
            if one.digest != other.digest
        ]
        parents = {first.digest, second.digest}
        children = list({m.digest: m for m in mixed if m.digest not in parents}.values())
        return [children[i] for i in rng.permutation(len(children))]

    def strained(self, material: Material) -> list[Material]:
        """No pairs: both crystals are relaxed."""
        return []

    def label(self, material: Material) -> str | None:
        """The ids of both crystals, in the order of the list."""
        places = self._places(material)
        if places is None:
            return None
        return " | ".join(str(self._crystals.label(self.crystals[i])) for i in sorted(places))

    def _pair(self, k: int) -> Interface:
        """The k-th pair: crystal i with one before it, for the largest ``i (i - 1) / 2 <= k``."""
        i = (1 + isqrt(1 + 8 * k)) // 2
        return Interface(crystals=(self.crystals[k - i * (i - 1) // 2], self.crystals[i]))

    def _places(self, material: Material) -> tuple[int, int] | None:
        """Positions of both crystals of a pair in the list, or None."""
        if not isinstance(material, Interface):
            return None
        first, second = (self._crystals.position(c) for c in material.crystals)
        if first is None or second is None or first == second:
            return None
        return first, second

    def _others(self, crystal: Crystal, partner: Crystal) -> Iterator[Crystal]:
        """All crystals except these two, those most similar to the first one before the others."""
        near = [m for m in self._crystals.neighbours(crystal) if isinstance(m, Crystal)]
        ordered = {c.digest: c for c in (*near, *self.crystals)}
        excluded = {crystal.digest, partner.digest}
        return (c for digest, c in ordered.items() if digest not in excluded)


def interface_space(settings: InterfaceSpaceSettings, cache: Path | None = None) -> InterfaceSpace:
    """The space that the settings describe.

    Args:
        settings: of the space.
        cache: as of `PoolSpace`.

    Raises:
        OracleError: stage ``read``; see `PoolSpace`.
        ValueError: see `InterfaceSpace`.
    """
    pool = PoolSpaceSettings(path=settings.path, on_error=settings.on_error)
    return InterfaceSpace(PoolSpace(pool, cache))
