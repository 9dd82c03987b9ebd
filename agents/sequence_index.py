"""Which layer sequences of a list are alike."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from oracle.material import Superlattice

_NEAR = 2  # exchanges of layers that count as one small change (an exchange of two is 2)
_CHILDREN = 8  # mixes tried per pair of parents


class SequenceIndex:
    """Hamming distances among the sequences of a space.

    Args:
        members: index in the space to sequence.
    """

    def __init__(self, members: Mapping[int, Superlattice]) -> None:
        self._place: dict[int, tuple[int, int]] = {}
        rows: dict[int, list[int]] = {}
        for at, member in members.items():
            same = rows.setdefault(len(member.sequence), [])
            self._place[at] = (len(member.sequence), len(same))
            same.append(at)
        self._members = {length: np.array(same) for length, same in rows.items()}
        self._codes = {
            length: np.array([[ord(c) for c in members[at].sequence] for at in same])
            for length, same in rows.items()
        }
        self._mirror = {at: members[at].mirror for at in members}

    def neighbours(self, at: int) -> list[int]:
        """Members within two exchanged layers, nearest first; if there are none, the nearest."""
        length, row = self._place[at]
        distance = self._distances(self._codes[length][row], length, mirror=self._mirror[at])
        distance[row] = length + 1
        near = np.flatnonzero(distance <= max(_NEAR, int(distance.min())))
        near = near[distance[near] <= length]
        order = near[np.argsort(distance[near], kind="stable")]
        return [int(i) for i in self._members[length][order]]

    def crossings(self, at: int, other: int, rng: np.random.Generator) -> list[int]:
        """Members nearest to random mixes of two sequences of one length."""
        length, row = self._place[at]
        if self._place[other][0] != length or length < 2:
            return []
        mirror = self._mirror[at]
        first, second = self._codes[length][row], self._codes[length][self._place[other][1]]
        found: dict[int, None] = {}
        for _ in range(_CHILDREN):
            turned = second[::-1] if mirror and rng.random() < 0.5 else second
            cut = int(rng.integers(1, length))
            child = np.concatenate([first[:cut], turned[cut:]])
            distance = self._distances(child, length, mirror=mirror)
            nearest = np.flatnonzero(distance == distance.min())
            chosen = int(self._members[length][rng.choice(nearest)])
            if chosen not in (at, other):
                found[chosen] = None
        return list(found)

    def _distances(
        self, code: NDArray[np.int64], length: int, *, mirror: bool
    ) -> NDArray[np.int64]:
        """Hamming distance (n,) of a sequence to all members of its length."""
        distance = (self._codes[length] != code).sum(axis=1)
        if mirror:
            reversed_distance = (self._codes[length] != code[::-1]).sum(axis=1)
            distance = np.minimum(distance, reversed_distance)
        return np.asarray(distance, dtype=np.int64)
