"""Orders of layers that are the same design."""

from __future__ import annotations

import functools


def orbit(
    sequence: str, *, mirror: bool, symmetries: tuple[tuple[int, ...], ...] = ()
) -> frozenset[str]:
    """All sequences that are the same design as one, itself included."""
    orders = [*symmetries, *([tuple(range(len(sequence) - 1, -1, -1))] if mirror else [])]
    found, fresh = {sequence}, [sequence]
    while fresh:
        last = fresh.pop()
        for order in orders:
            image = "".join(last[i] for i in order)
            if image not in found:
                found.add(image)
                fresh.append(image)
    return frozenset(found)


Order = tuple[int, ...]
_MOST_IMAGES = 512  # a larger group is left to the canonical form of a design


@functools.lru_cache(maxsize=32)
def group(orders: tuple[Order, ...], length: int) -> tuple[Order, ...]:
    """All permutations that generators make; the identity alone where there are too many."""
    identity = tuple(range(length))
    found, fresh = {identity}, [identity]
    while fresh:
        last = fresh.pop()
        for order in orders:
            image = tuple(last[i] for i in order)
            if image not in found:
                found.add(image)
                fresh.append(image)
        if len(found) > _MOST_IMAGES:
            return (identity,)
    return tuple(sorted(found))
