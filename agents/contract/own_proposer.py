"""A proposer of the user's own, named in a config by its import path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from agents.contract.objective import Objective
from agents.contract.protocol import Candidate, Proposer, Space
from oracle.contract.evaluation import Outcome
from oracle.materials.material import Material
from oracle.runtime.own_classes import OwnCodeFailed, blamed
from surrogate.contract.protocol import Surrogate


class OwnProposer:
    """Asks a proposer of the user's own, and keeps it to what is expected of every proposer.

    What it proposes outside the space, twice, or beyond what was asked for is dropped.

    Args:
        proposer: to be asked.
        name: of this agent in the campaign.
        path: import path of its class, which errors name.
    """

    def __init__(self, proposer: Proposer, name: str, path: str) -> None:
        self._proposer = proposer
        self._name = name
        self._path = path

    @property
    def kind(self) -> str:
        """Name of its kind."""
        return self._proposer.kind

    def propose(
        self,
        n: int,
        *,
        space: Space,
        objective: Objective,
        evaluations: Sequence[Outcome],
        pending: Sequence[Material],
        surrogate: Surrogate | None,
        rng: np.random.Generator,
    ) -> list[Candidate]:
        """At most n distinct candidates, best first; see `Proposer.propose`.

        Raises:
            OwnCodeFailed: it raised, or gave anything but candidates.
        """
        with blamed(self._path, "propose"):
            proposals = self._proposer.propose(
                n,
                space=space,
                objective=objective,
                evaluations=evaluations,
                pending=pending,
                surrogate=surrogate,
                rng=rng,
            )
            candidates = self._candidates(proposals)
        taken = {material.digest for material in pending}
        taken |= {evaluation.material.digest for evaluation in evaluations}
        kept: dict[str, Candidate] = {}
        for candidate in candidates:
            digest = candidate.material.digest
            if digest not in taken and candidate.material in space:
                kept.setdefault(digest, replace(candidate, agent=self._name))
        return list(kept.values())[:n]

    def _candidates(self, proposals: object) -> list[Candidate]:
        if not isinstance(proposals, Iterable):
            given = type(proposals).__name__
            raise OwnCodeFailed(f"{self._path!r}: propose gave {given}; expected {_EXPECTED}")
        candidates: list[Candidate] = []
        for each in proposals:
            if not isinstance(each, Candidate):
                given = type(each).__name__
                raise OwnCodeFailed(
                    f"{self._path!r}: propose gave a list with {given}; expected {_EXPECTED}"
                )
            candidates.append(each)
        return candidates


_EXPECTED = "a list of Candidate of agents.contract.protocol"
