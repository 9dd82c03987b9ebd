"""What agents exchange: candidates, the space they come from, and the interface of a proposer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from agents.contract.objective import Objective
from oracle.contract.evaluation import Failed, Measured, Unstable
from oracle.materials.material import Material
from surrogate.contract.protocol import Surrogate

Outcome = Measured | Unstable | Failed


@dataclass(frozen=True)
class Candidate:
    """A material, and where it came from.

    Args:
        material: what to measure.
        agent: kind of the proposer.
        parents: ids of the candidates it was made from.
        round: number of the round that proposed it, from 1.
        label: id in the user's pool, or name of the prototype.
    """

    material: Material
    agent: str
    parents: tuple[str, ...] = ()
    round: int = 0
    label: str | None = None

    @property
    def id(self) -> str:
        """Short name, derived from the material alone: equal materials are one candidate."""
        return candidate_id(self.material)


def candidate_id(material: Material) -> str:
    """The id of any candidate made of this material, for instance ``c-3f9a0b12c4d5``."""
    return f"c-{material.digest[:12]}"


@runtime_checkable
class Space(Protocol):
    """All materials a campaign may propose."""

    @property
    def size(self) -> int | None:
        """How many materials there are; None when unbounded."""
        ...

    def __contains__(self, material: object) -> bool:
        """Whether the space holds this material (by digest)."""
        ...

    def __iter__(self) -> Iterator[Material]:
        """All materials in a fixed order (of a bounded space)."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> list[Material]:
        """At most n distinct materials, drawn uniformly without replacement."""
        ...

    def neighbours(self, material: Material) -> list[Material]:
        """Materials one small change away, nearest first; none for one the space does not hold."""
        ...

    def label(self, material: Material) -> str | None:
        """Id in the user's pool or name of the prototype."""
        ...


@runtime_checkable
class Proposer(Protocol):
    """Decides what to ask next. Draws all its randomness from `rng`."""

    @property
    def kind(self) -> str:
        """The name it has in a config."""
        ...

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
        """At most n distinct candidates, best first, none known or pending.

        Args:
            n: how many are wanted; fewer when the space is used up.
            space: where they must lie.
            objective: what is sought.
            evaluations: all outcomes so far at the objective's fidelity, oldest first.
            pending: materials already chosen but not yet measured.
            surrogate: fitted on `evaluations`, or None before the first label.
            rng: source of all randomness.
        """
        ...
