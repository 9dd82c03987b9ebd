"""The base class of proposers: subclasses generate ideas, the base class filters them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.acquisition.functions import Belief, acquire
from agents.acquisition.hypervolume import ranked_by_front
from agents.chemistry.duplicates import Admission
from agents.contract.objective import Objective
from agents.contract.pareto import overall_scores, score_vectors
from agents.contract.protocol import Candidate, Looked, Space, candidate_id
from oracle.contract.evaluation import Outcome
from oracle.materials.material import Material
from surrogate.contract.protocol import Surrogate

_PER_FRONT = 2  # ideas for a Pareto front that are put in order, for each candidate to propose
_BATCHES = 8  # of random draws from an unbounded space


@dataclass(frozen=True)
class Idea:
    """A material that a proposer suggests, and the materials it was derived from."""

    material: Material
    parents: tuple[Material, ...] = ()


@dataclass(frozen=True)
class Situation:
    """Everything a proposer may use; see `Proposer.propose`."""

    n: int
    space: Space
    objective: Objective
    evaluations: Sequence[Outcome]
    pending: Sequence[Material]
    surrogate: Surrogate | None
    fidelity: str
    rng: np.random.Generator

    @property
    def taken(self) -> list[Material]:
        """Materials that are evaluated or pending and must not be proposed again."""
        return [e.material for e in self.evaluations] + list(self.pending)

    @property
    def best(self) -> float | None:
        """Best score so far."""
        return max(self._scores(), default=None)

    def _scores(self) -> list[float]:
        scores = map(self.objective.score_of, self.evaluations)
        return [s for s in scores if s is not None]

    @property
    def known_scores(self) -> NDArray[np.float64]:
        """Scores (k, m) in all objectives of the outcomes that have them."""
        vectors = score_vectors(self.objective, self.evaluations)
        found = [vector for vector in vectors if vector is not None]
        return np.array(found).reshape(-1, len(self.objective.all))

    def leaders(self, k: int) -> list[Material]:
        """The k best measured materials, best first; those on the Pareto front of several."""
        scores = overall_scores(self.objective, self.evaluations)
        scored = [
            (score, evaluation.material)
            for evaluation, score in zip(self.evaluations, scores, strict=True)
            if score is not None
        ]
        scored.sort(key=lambda pair: -pair[0])  # stable: of equal ones the earlier first
        return [material for _, material in scored[:k]]


class BaseProposer(ABC):
    """Turns ideas into distinct candidates that are in the space and neither evaluated nor pending.

    Args:
        name: of this agent in the campaign; the default is its kind.
        fidelity: at which the objective is measured; None takes that of the evaluations.
        near_duplicates: whether crystals that match known ones within rounding are dropped.
    """

    kind: str

    def __init__(
        self, name: str | None = None, *, fidelity: str | None = None, near_duplicates: bool = True
    ) -> None:
        self.name = name or self.kind
        self._fidelity = fidelity
        self._near = near_duplicates
        # Ideas that `_ideas` looked at by itself, and members of the space among them.
        self._written = self._members = 0
        self.looked = Looked()

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
        """At most n distinct candidates, best first; see `Proposer.propose`."""
        self.looked = Looked()
        fidelity = self._fidelity or (evaluations[-1].fidelity if evaluations else "")
        situation = Situation(n, space, objective, evaluations, pending, surrogate, fidelity, rng)
        admit = Admission(situation.taken, near_duplicates=self._near)
        candidates: list[Candidate] = []
        seen = valid = self._written = self._members = 0
        if n > 0:
            for idea in self._ideas(situation):
                is_member = idea.material in space
                seen, valid = seen + 1, valid + is_member
                if is_member and admit(idea.material):
                    candidates.append(
                        Candidate(
                            idea.material,
                            self.name,
                            tuple(candidate_id(parent) for parent in idea.parents),
                            label=space.label(idea.material),
                        )
                    )
                    if len(candidates) == n:
                        break
            self.looked = Looked(
                max(self._written, seen), max(self._members, valid), len(candidates)
            )
            if not candidates:
                self._nothing_left(situation.space)
        return candidates

    def _nothing_left(self, space: Space) -> None:  # noqa: B027  # nothing is to be done
        """Called where no idea is left that can be proposed.

        Raises:
            ProposerFailed: people should know why.
        """

    @abstractmethod
    def _ideas(self, situation: Situation) -> Iterable[Idea]:
        """Materials in order of preference; the caller drops those that cannot be proposed.

        An iterator may yield more than `situation.n` of them.
        """


def ranked(ideas: Sequence[Idea], situation: Situation) -> list[Idea]:
    """Ideas by decreasing expected improvement; in their given order without a surrogate."""
    best, objective = situation.best, situation.objective
    if situation.surrogate is None or best is None or len(ideas) < 2:
        return list(ideas)
    posterior = situation.surrogate.posterior(
        [idea.material for idea in ideas],
        outputs=objective.outputs,
        fidelity=situation.fidelity,
    )
    known = situation.known_scores
    if objective.further and len(known):
        first = list(ranked_by_front(posterior, objective, known, _PER_FRONT * situation.n, ()))
        return [ideas[i] for i in [*first, *sorted(set(range(len(ideas))) - set(first))]]
    value = acquire(Belief.of(posterior), situation.objective, kind="log-ei", best=best)
    return [ideas[i] for i in np.argsort(-value, kind="stable")]


def scattered(situation: Situation) -> Iterable[Idea]:
    """Random members of the space, for when there is nothing better to propose."""
    space, rng = situation.space, situation.rng
    if space.size is None:  # what is known is a vanishing part of it
        for _ in range(_BATCHES):
            yield from (Idea(material) for material in space.sample(2 * situation.n, rng))
        return
    wanted = situation.n + len(situation.taken)
    seen = 0
    while True:
        drawn = space.sample(wanted, rng)
        yield from (Idea(material) for material in drawn)
        seen += len(drawn)
        if wanted >= space.size or seen > 64 * situation.n:
            break
        wanted = min(2 * wanted, space.size)
