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
        alphabet = sorted({c for member in members.values() for c in member.sequence})
        self._code = {c: i for i, c in enumerate(alphabet)}
        kind = np.uint8 if len(alphabet) <= 256 else np.uint32
        self._codes = {
            length: np.array([[self._code[c] for c in members[at].sequence] for at in same], kind)
            for length, same in rows.items()
        }
        self._by_sequence = {member.sequence: at for at, member in members.items()}
        self._mirror = {at: members[at].mirror for at in members}
        self._sequences = {at: members[at].sequence for at in members}

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
        """Members that mix two sequences of one length at random places.

        Where no mix is a member, the member nearest to one.
        """
        first, second = self._sequences[at], self._sequences[other]
        if len(first) != len(second) or len(first) < 2:
            return []
        mirror = self._mirror[at]
        children: dict[str, None] = {}
        for _ in range(_CHILDREN):
            turned = second[::-1] if mirror and rng.random() < 0.5 else second
            cut = int(rng.integers(1, len(first)))
            child = first[:cut] + turned[cut:]
            children[min(child, child[::-1]) if mirror else child] = None
        members = [self._by_sequence[c] for c in children if c in self._by_sequence]
        found = [i for i in members if i not in (at, other)]
        return found or self._nearest(next(iter(children)), (at, other), mirror=mirror, rng=rng)

    def _nearest(
        self, sequence: str, but: tuple[int, int], *, mirror: bool, rng: np.random.Generator
    ) -> list[int]:
        """A random one of the members nearest to a sequence, two excepted."""
        length = len(sequence)
        code = np.array([self._code[c] for c in sequence])
        distance = self._distances(code, length, mirror=mirror)
        distance[[self._place[i][1] for i in but]] = length + 1
        nearest = np.flatnonzero(distance == distance.min())
        chosen = int(rng.choice(nearest))
        return [] if distance[chosen] > length else [int(self._members[length][chosen])]

    def _distances(
        self, code: NDArray[np.int64], length: int, *, mirror: bool
    ) -> NDArray[np.int64]:
        """Hamming distance (n,) of a sequence to all members of its length."""
        distance = (self._codes[length] != code).sum(axis=1)
        if mirror:
            reversed_distance = (self._codes[length] != code[::-1]).sum(axis=1)
            distance = np.minimum(distance, reversed_distance)
        return np.asarray(distance, dtype=np.int64)
