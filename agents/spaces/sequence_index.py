"""Similarity among the layer sequences of a list."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agents.spaces.index import Index
from oracle.materials.orders import group
from oracle.materials.superlattice import Superlattice

_NEAR = 2  # largest Hamming distance of a small change; exchanging two layers is a distance of 2
_CHILDREN = 8  # crossovers tried per pair of parents


class SequenceIndex(Index):
    """Hamming distances among the sequences of a space.

    Args:
        members: sequences by their index in the space.
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
        self._images = {length: _images(members[same[0]]) for length, same in rows.items()}
        self._of = dict(members)
        self._sequences = {at: members[at].sequence for at in members}

    def neighbours(self, at: int) -> list[int]:
        """Members with at most two different layers, nearest first; if none, the nearest ones."""
        length, row = self._place[at]
        distance = self._distances(self._codes[length][row], length)
        distance[row] = length + 1
        near = np.flatnonzero(distance <= max(_NEAR, int(distance.min())))
        near = near[distance[near] <= length]
        order = near[np.argsort(distance[near], kind="stable")]
        return [int(i) for i in self._members[length][order]]

    def crossings(self, at: int, other: int, rng: np.random.Generator) -> list[int]:
        """Members that combine two sequences of equal length, cut at random positions.

        If no combination is a member, the member nearest to one.
        """
        first, second = self._sequences[at], self._sequences[other]
        if len(first) != len(second) or len(first) < 2:
            return []
        images = self._images[len(first)]
        children: dict[str, None] = {}
        for _ in range(_CHILDREN):
            image = images[int(rng.integers(len(images)))]
            turned = "".join(second[i] for i in image)
            cut = int(rng.integers(1, len(first)))
            children[self._canonical(first[:cut] + turned[cut:], at)] = None
        members = [self._by_sequence[c] for c in children if c in self._by_sequence]
        mixed = [i for i in members if i not in (at, other)]
        return mixed or self._nearest(next(iter(children)), (at, other), rng)

    def _canonical(self, sequence: str, like: int) -> str:
        """The canonical form of a sequence under the symmetries of another member."""
        member = self._of[like]
        return Superlattice.from_sequence(
            sequence, mirror=member.mirror, symmetries=member.symmetries, stack=member.stack
        ).sequence

    def _nearest(self, sequence: str, but: tuple[int, int], rng: np.random.Generator) -> list[int]:
        """A random one of the members nearest to a sequence, other than the two in `but`."""
        length = len(sequence)
        code = np.array([self._code[c] for c in sequence])
        distance = self._distances(code, length)
        distance[[self._place[i][1] for i in but]] = length + 1
        nearest = np.flatnonzero(distance == distance.min())
        chosen = int(rng.choice(nearest))
        return [] if distance[chosen] > length else [int(self._members[length][chosen])]

    def _distances(self, code: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Hamming distance (n,) of a sequence's nearest image to all members of equal length."""
        distance = np.full(len(self._codes[length]), length, dtype=np.int64)
        for image in self._images[length]:
            apart = (self._codes[length] != code[list(image)]).sum(axis=1)
            distance = np.minimum(distance, apart)
        return distance


def _images(member: Superlattice) -> tuple[tuple[int, ...], ...]:
    """All permutations of its layers that leave a member's design unchanged."""
    length = len(member.sequence)
    reversal = (tuple(range(length - 1, -1, -1)),) if member.mirror else ()
    return group((*member.symmetries, *reversal), length)
