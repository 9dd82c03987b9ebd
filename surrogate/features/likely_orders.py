"""Permutations of layers that may give the same design although nobody has declared them.

Between equal leads a stack conducts as much as its reverse; where a layer has several planes of
atoms, their order may not matter; and a periodic stack begins anywhere. Which of these hold is for
labels to decide, see `surrogate.models.sequence_process`.
"""

from __future__ import annotations

import functools

from oracle.materials.orders import Order, group

_MOST_SIZES = 4  # of groups of layers, the smallest first


@functools.lru_cache(maxsize=32)
def likely_orders(length: int, declared: tuple[Order, ...]) -> tuple[tuple[Order, ...], ...]:
    """Sets of generators, each with the declared ones, that make different groups.

    Args:
        length: number of layers.
        declared: generators that are known to leave a design unchanged.
    """
    reversal = tuple(reversed(range(length)))
    shift = (*range(1, length), 0)
    sets: list[tuple[Order, ...]] = [(reversal,), (shift,), (shift, reversal)]
    sizes = [size for size in range(2, length // 2 + 1) if length % size == 0]
    for size in sizes[:_MOST_SIZES]:
        even, odd = (_turned(length, size, which) for which in (0, 1))
        sets += [(even,), (odd,), (even, odd), (even, odd, reversal)]
    known = {group(declared, length)}
    chosen = []
    for generators in sets:
        orders = (*declared, *generators)
        members = group(orders, length)
        if len(members) > 1 and members not in known:
            known.add(members)
            chosen.append(orders)
    return tuple(chosen)


def _turned(length: int, size: int, which: int) -> Order:
    """Every second group of so many layers turned around, from the first or the second one on."""
    order = list(range(length))
    for start in range(which * size, length, 2 * size):
        order[start : start + size] = order[start : start + size][::-1]
    return tuple(order)
