"""Climbing an acquisition function where a space is too large to be looked at whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from agents.proposers.base import Situation
from oracle.materials.material import Material

Value = Callable[[Sequence[Material]], NDArray[np.float64]]
_LEADERS = 2  # measured designs to begin from
_BEGINNINGS = 2  # best of the random sample to begin from
_CLIMBERS = 2  # how many go on after each step
_STEPS = 4
_MOVES = 1500  # neighbours looked at per climber


def climbed(sample: Sequence[Material], situation: Situation, value: Value) -> list[Material]:
    """The sample and all designs met on the way up from its best and from the best measured.

    Args:
        sample: random designs.
        situation: gives the space and what was measured.
        value: acquisition (n,) of n designs, higher is better.
    """
    taken = {m.digest for m in situation.taken}
    met = {m.digest: m for m in sample}
    scores = dict(zip(met, value(list(met.values())), strict=True))
    order = sorted(scores, key=lambda digest: -scores[digest])
    front: list[Material] = [*situation.leaders(_LEADERS)]
    front += [met[digest] for digest in order[:_BEGINNINGS]]
    climbed_from: set[str] = set()
    for _ in range(_STEPS):
        fresh: dict[str, Material] = {}
        for material in front:
            climbed_from.add(material.digest)
            near = situation.space.neighbours(material)
            if len(near) > _MOVES:
                kept = np.sort(situation.rng.choice(len(near), _MOVES, replace=False))
                near = [near[int(i)] for i in kept]
            fresh |= {m.digest: m for m in near if m.digest not in met}
        if fresh:
            met |= fresh
            scores |= dict(zip(fresh, value(list(fresh.values())), strict=True))
        open_ = [d for d in scores if d not in taken and d not in climbed_from]
        top = sorted(open_, key=lambda digest: -scores[digest])[:_CLIMBERS]
        if not fresh or not top:
            break
        front = [met[digest] for digest in top]
    return list(met.values())
