"""Small changes of good candidates: similar elements, other prototypes, exchanged layers."""

from __future__ import annotations

from collections.abc import Iterator

from agents.chemistry.duplicates import Admission
from agents.proposers.base import BaseProposer, Idea, Situation, ranked, scattered
from agents.proposers.settings import SubstitutionSettings

_PER_CANDIDATE = 8  # neighbours that are ranked for each candidate to propose
_DEFAULTS = SubstitutionSettings()


class SubstitutionProposer(BaseProposer):
    """Proposes neighbours of the best candidates.

    The nearest new neighbours of all parents are collected in turn, beginning with the best parent,
    and ranked by the surrogate if there is one.

    Args:
        settings: number of parents.
        name: see `BaseProposer`.
        fidelity: see `BaseProposer`.
        near_duplicates: see `BaseProposer`.
    """

    kind = "substitution"

    def __init__(
        self,
        settings: SubstitutionSettings = _DEFAULTS,
        name: str | None = None,
        *,
        fidelity: str | None = None,
        near_duplicates: bool = True,
    ) -> None:
        super().__init__(name, fidelity=fidelity, near_duplicates=near_duplicates)
        self._parents = settings.parents

    def _ideas(self, situation: Situation) -> Iterator[Idea]:
        yield from ranked(self._substituted(situation), situation)
        yield from scattered(situation)

    def _substituted(self, situation: Situation) -> list[Idea]:
        admit = Admission(situation.taken, near_duplicates=False)
        lists = [
            [Idea(other, (parent,)) for other in situation.space.neighbours(parent)]
            for parent in situation.leaders(self._parents)
        ]
        ideas_by_rank: list[Idea] = []
        for rank in range(max(map(len, lists), default=0)):
            for ideas in lists:
                if rank < len(ideas) and admit(ideas[rank].material):
                    ideas_by_rank.append(ideas[rank])
                    if len(ideas_by_rank) == _PER_CANDIDATE * situation.n:
                        return ideas_by_rank
        return ideas_by_rank
