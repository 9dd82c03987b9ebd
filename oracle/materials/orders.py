"""Permutations of layers that give the same design."""

from __future__ import annotations

import functools


def orbit(
    sequence: str, *, mirror: bool, symmetries: tuple[tuple[int, ...], ...] = ()
) -> frozenset[str]:
    """All sequences that are the same design as the given one, which is included."""
    orders = [*symmetries, *([tuple(range(len(sequence) - 1, -1, -1))] if mirror else [])]
    images, unexplored = {sequence}, [sequence]
    while unexplored:
        current = unexplored.pop()
        for order in orders:
            image = "".join(current[i] for i in order)
            if image not in images:
                images.add(image)
                unexplored.append(image)
    return frozenset(images)


Order = tuple[int, ...]
_MOST_IMAGES = 512  # larger groups are handled only by the canonical form of a design


@functools.lru_cache(maxsize=32)
def group(orders: tuple[Order, ...], length: int) -> tuple[Order, ...]:
    """All permutations that the generators make; the identity alone if these are too many."""
    identity = tuple(range(length))
    members, unexplored = {identity}, [identity]
    while unexplored:
        current = unexplored.pop()
        for order in orders:
            image = tuple(current[i] for i in order)
            if image not in members:
                members.add(image)
                unexplored.append(image)
        if len(members) > _MOST_IMAGES:
            return (identity,)
    return tuple(sorted(members))
