"""The design space that is all pairs out of a list of crystals."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from math import isqrt

import numpy as np

from agents.contract.protocol import Reading
from agents.spaces.base import BaseSpace
from agents.spaces.finite import FiniteSpace
from agents.spaces.pool import PoolSpace
from agents.spaces.settings import InterfaceSpaceSettings, PoolSpaceSettings
from oracle.materials.crystal import Crystal
from oracle.materials.interface import Interface
from oracle.materials.material import Material

_LISTED = 20_000  # most pairs that are held in memory


class InterfaceSpace(BaseSpace):
    """Every interface between two different crystals of a list, each pair once.

    The pairs are numbered: 0 is the second crystal with the first, 1 and 2 the third with those
    before it, and so on; so that any of them is made when it is asked for, and none before.

    Args:
        crystals: the list, with a label for each.

    Raises:
        ValueError: fewer than two crystals, or something that is no crystal.
    """

    def __init__(self, crystals: FiniteSpace) -> None:
        strangers = [m for m in crystals if not isinstance(m, Crystal)]
        if strangers:
            raise ValueError(
                f"path: holds the layer sequence {strangers[0].formula!r}; expected crystals, of "
                "which interfaces are made"
            )
        if crystals.size < 2:
            raise ValueError(
                f"path: holds {crystals.size} crystal; expected at least two different ones, of "
                "which interfaces are made"
            )
        self._crystals = crystals
        self.crystals: tuple[Crystal, ...] = tuple(m for m in crystals if isinstance(m, Crystal))
        """The list, without repetitions, in its order."""
        # Ids and charges are of single crystals, which are not what is measured here.
        self._reading = replace(crystals.reading, ids={}, charges=(), crystals=len(self.crystals))

    @property
    def reading(self) -> Reading:
        """What became of the records of the list."""
        return self._reading

    @property
    def size(self) -> int:
        """How many pairs there are."""
        n = len(self.crystals)
        return n * (n - 1) // 2

    @functools.cached_property
    def materials(self) -> tuple[Material, ...] | None:
        """All pairs in their fixed order; None where they are too many to be held."""
        return tuple(self) if self.size <= _LISTED else None

    def listed(self, limit: int, rng: np.random.Generator) -> Sequence[Material]:
        """All pairs, or a sample where they are too many to be held."""
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
        """Pairs with one crystal exchanged, for those most like it first; empty for a stranger."""
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
        """Pairs of one crystal from either, in random order."""
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
        found = {m.digest: m for m in mixed if m.digest not in parents}
        children = list(found.values())
        return [children[i] for i in rng.permutation(len(children))]

    def strained(self, material: Material) -> list[Material]:
        """None: both crystals relax."""
        return []

    def label(self, material: Material) -> str | None:
        """The ids of both crystals, in the order of the list."""
        places = self._places(material)
        if places is None:
            return None
        return " | ".join(str(self._crystals.label(self.crystals[i])) for i in sorted(places))

    def _pair(self, k: int) -> Interface:
        """The k-th pair: the crystal i with one before it, where ``i (i - 1) / 2 <= k``."""
        i = (1 + isqrt(1 + 8 * k)) // 2
        return Interface(crystals=(self.crystals[k - i * (i - 1) // 2], self.crystals[i]))

    def _places(self, material: Material) -> tuple[int, int] | None:
        """Where both crystals of a pair stand in the list, or None."""
        if not isinstance(material, Interface):
            return None
        first, second = (self._crystals.position(c) for c in material.crystals)
        if first is None or second is None or first == second:
            return None
        return first, second

    def _others(self, crystal: Crystal, partner: Crystal) -> Iterator[Crystal]:
        """All crystals but these two, those most like the first one before the rest."""
        near = [m for m in self._crystals.neighbours(crystal) if isinstance(m, Crystal)]
        ordered = {c.digest: c for c in (*near, *self.crystals)}
        left = {crystal.digest, partner.digest}
        return (c for digest, c in ordered.items() if digest not in left)


def interface_space(settings: InterfaceSpaceSettings) -> InterfaceSpace:
    """The space that settings name.

    Raises:
        OracleError: stage ``read``; see `PoolSpace`.
        ValueError: see `InterfaceSpace`.
    """
    pool = PoolSpaceSettings(path=settings.path, on_error=settings.on_error)
    return InterfaceSpace(PoolSpace(pool))
