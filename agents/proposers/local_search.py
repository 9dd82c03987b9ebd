"""Local search (hill climbing) of an acquisition function in spaces too large to list."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from agents.proposers.base import Situation
from oracle.materials.material import Material

Value = Callable[[Sequence[Material]], NDArray[np.float64]]
_LEADERS = 2  # best measured designs to start from
_BEGINNINGS = 2  # best designs of the random sample to start from
_CLIMBERS = 2  # designs from which the search continues after each step
_STEPS = 4  # most steps
_MOVES = 1500  # most neighbours that are evaluated per design


def climbed(sample: Sequence[Material], situation: Situation, value: Value) -> list[Material]:
    """The sample, and all designs evaluated in a local search from its best and the best measured.

    Args:
        sample: random designs.
        situation: gives the space and the evaluations.
        value: gives the acquisition (n,) of n designs, higher is better.
    """
    taken = {m.digest for m in situation.taken}
    designs = {m.digest: m for m in sample}
    scores = dict(zip(designs, value(list(designs.values())), strict=True))
    order = sorted(scores, key=lambda digest: -scores[digest])
    front: list[Material] = [*situation.leaders(_LEADERS)]
    front += [designs[digest] for digest in order[:_BEGINNINGS]]
    climbed_from: set[str] = set()
    for _ in range(_STEPS):
        fresh: dict[str, Material] = {}
        for material in front:
            climbed_from.add(material.digest)
            near = situation.space.neighbours(material)
            if len(near) > _MOVES:
                chosen = np.sort(situation.rng.choice(len(near), _MOVES, replace=False))
                near = [near[int(i)] for i in chosen]
            fresh |= {m.digest: m for m in near if m.digest not in designs}
        if fresh:
            designs |= fresh
            scores |= dict(zip(fresh, value(list(fresh.values())), strict=True))
        unvisited = [d for d in scores if d not in taken and d not in climbed_from]
        top = sorted(unvisited, key=lambda digest: -scores[digest])[:_CLIMBERS]
        if not fresh or not top:
            break
        front = [designs[digest] for digest in top]
    return list(designs.values())
