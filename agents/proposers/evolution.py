"""Evolution: crossover, mutation and strain among the best candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from agents.chemistry.duplicates import Admission
from agents.contract.protocol import Breeding, Mutating, Space
from agents.proposers.base import BaseProposer, Idea, Situation, ranked, scattered
from agents.proposers.settings import EvolutionSettings
from oracle.materials.material import Material

_PER_CANDIDATE = 8  # children that are ranked for each candidate to propose
_TRIES = 8  # attempts per child: late in a campaign most of them lead to known materials
_MOVED = 0.5  # share of mutations, where both are possible, that change atoms and not elements
_IN_VAIN = 4  # times as many attempts as are proposed, in a row, after which no child is expected
_DEFAULTS = EvolutionSettings()


class EvolutionProposer(BaseProposer):
    """Children of parents that are drawn by rank; every child is a member of the space.

    Args:
        settings: number of parents, and weights of the three operators.
        name: see `BaseProposer`.
        fidelity: see `BaseProposer`.
        near_duplicates: see `BaseProposer`.
    """

    kind = "evolution"

    def __init__(
        self,
        settings: EvolutionSettings = _DEFAULTS,
        name: str | None = None,
        *,
        fidelity: str | None = None,
        near_duplicates: bool = True,
    ) -> None:
        super().__init__(name, fidelity=fidelity, near_duplicates=near_duplicates)
        self._settings = settings

    def _ideas(self, situation: Situation) -> Iterator[Idea]:
        yield from ranked(self._children(situation), situation)
        yield from scattered(situation)

    def _children(self, situation: Situation) -> list[Idea]:
        parents = situation.leaders(self._settings.parents)
        if not parents:
            return []
        rng = situation.rng
        weights = np.array(
            [self._settings.crossover, self._settings.mutation, self._settings.strain]
        )
        if not isinstance(situation.space, Breeding):
            weights = np.array([0.0, 1.0, 0.0])
        admit = Admission(situation.taken, near_duplicates=False)
        offspring: list[Idea] = []
        wanted = _PER_CANDIDATE * situation.n
        in_vain = 0
        for _ in range(_TRIES * wanted):
            operator = rng.choice(3, p=weights / weights.sum())
            children = self._bred(int(operator), parents, situation.space, rng)
            child = next((c for c in children if admit(c.material)), None)
            in_vain = in_vain + 1 if child is None else 0
            if child is not None:
                offspring.append(child)
            if len(offspring) == wanted or in_vain > _IN_VAIN * situation.n:
                break
        return offspring

    @staticmethod
    def _bred(
        operator: int,
        parents: Sequence[Material],
        space: Space,
        rng: np.random.Generator,
    ) -> list[Idea]:
        """Children by crossover (0), mutation (1) or strain (2), in order of preference."""
        first = _by_rank(parents, rng)
        if operator == 0 and isinstance(space, Breeding):
            second = _by_rank(parents, rng)
            return [Idea(c, (first, second)) for c in space.crossings(first, second, rng)]
        if operator == 2 and isinstance(space, Breeding):
            return [Idea(c, (first,)) for c in space.strained(first)]
        if isinstance(space, Mutating) and rng.random() < _MOVED:
            changed = space.mutated(first, rng)
            if changed:
                return [Idea(c, (first,)) for c in changed]
        near = space.neighbours(first)
        # Geometric distribution: mostly the nearest neighbour, sometimes a distant one, so that
        # mutation differs from plain substitution.
        start = min(int(rng.geometric(0.3)) - 1, max(len(near) - 1, 0))
        return [Idea(c, (first,)) for c in near[start:]]


def _by_rank(parents: Sequence[Material], rng: np.random.Generator) -> Material:
    """A parent, drawn with a probability that decreases linearly with its rank."""
    weights = np.arange(len(parents), 0, -1, dtype=float)
    return parents[int(rng.choice(len(parents), p=weights / weights.sum()))]
