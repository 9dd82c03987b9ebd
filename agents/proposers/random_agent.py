"""Random search, the baseline for all other proposers."""

from __future__ import annotations

from collections.abc import Iterable

from agents.proposers.base import BaseProposer, Idea, Situation, scattered


class RandomProposer(BaseProposer):
    """Uniform draws from the space."""

    kind = "random"

    def _ideas(self, situation: Situation) -> Iterable[Idea]:
        return scattered(situation)
