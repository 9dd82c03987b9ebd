"""The few of a large space that are looked at closely, from beliefs about each one alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.acquisition import Belief, acquire
from agents.objective import Objective
from agents.protocol import Space
from oracle.material import Material

Array = NDArray[np.float64]
_SPREAD, _RANDOM = 0.25, 0.25  # shares of a shortlist; the rest is for promise


@dataclass(frozen=True)
class Marginals:
    """What is believed of each of n materials, without how they hang together.

    Args:
        mean: (n,), modelled scale.
        epistemic: (n,), standard deviation that labels reduce.
        aleatoric: (n,), standard deviation that they do not.
        p_stable: (n,), probability of dynamical stability.
    """

    mean: Array
    epistemic: Array
    aleatoric: Array
    p_stable: Array


def shortlist(
    beliefs: Marginals,
    objective: Objective,
    *,
    count: int,
    best: float | None,
    free: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Indices, ascending, of at most `count` free materials.

    Half have the largest log expected improvement with stability, a quarter the largest spread,
    and a quarter is drawn at random, so that medians of the list still tell something of the space.

    Args:
        beliefs: about all materials.
        objective: what is sought.
        count: how many are wanted.
        best: best score so far; None takes the median of what is believed.
        free: (n,), those that may be chosen.
        rng: draws the random part.
    """
    if best is None:
        best = float(np.median(objective.score(beliefs.mean)))
    belief = Belief(
        beliefs.mean,
        beliefs.epistemic[:, None],
        beliefs.epistemic,
        beliefs.aleatoric,
        beliefs.p_stable,
    )
    promise = acquire(belief, objective, kind="log-ei", best=best)
    uncertain, drawn = int(_SPREAD * count), int(_RANDOM * count)
    chosen = np.zeros(len(free), dtype=bool)
    orders = (
        (count - uncertain - drawn, np.argsort(-promise, kind="stable")),
        (uncertain, np.argsort(-beliefs.epistemic, kind="stable")),
        (drawn, rng.permutation(len(free))),
    )
    for wanted, order in orders:
        left = order[free[order] & ~chosen[order]]
        chosen[left[:wanted]] = True
    return np.flatnonzero(chosen)


class Narrowed:
    """A space of which surrogates look at a shortlist only; all else is as in the space itself.

    Args:
        space: the whole.
        shortlist: those of its materials that are screened.
    """

    def __init__(self, space: Space, shortlist: Sequence[Material]) -> None:
        self._space = space
        self.shortlist = tuple(shortlist)
        """What `agents.screening.listed` gives; always the same object."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._space, name)  # what only some spaces can do

    @property
    def size(self) -> int | None:
        """How many materials the whole space has."""
        return self._space.size

    def __contains__(self, material: object) -> bool:
        return material in self._space

    def __iter__(self) -> Iterator[Material]:
        return iter(self._space)

    def sample(self, n: int, rng: np.random.Generator) -> list[Material]:
        """At most n distinct materials of the whole space, drawn uniformly."""
        return self._space.sample(n, rng)

    def neighbours(self, material: Material) -> list[Material]:
        """Materials of the whole space one small change away."""
        return self._space.neighbours(material)

    def label(self, material: Material) -> str | None:
        """Id in the user's pool or name of the prototype."""
        return self._space.label(material)
