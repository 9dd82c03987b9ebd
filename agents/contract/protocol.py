"""Interfaces of the agents: candidates, design spaces and proposers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from agents.contract.objective import Objective
from oracle.contract.evaluation import Outcome
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from surrogate.contract.protocol import Surrogate


class ProposerFailed(RuntimeError):
    """A proposer has nothing to propose for a reason that people should know; one line.

    The other agents of the campaign go on with its share.
    """


@dataclass(frozen=True)
class Candidate:
    """A proposed material and its origin.

    Args:
        material: the material to measure.
        agent: name of the proposer.
        parents: ids of the candidates it was derived from.
        label: id in the user's pool, or name of the prototype.
    """

    material: Material
    agent: str
    parents: tuple[str, ...] = ()
    label: str | None = None

    @property
    def id(self) -> str:
        """Short id, derived from the material alone, so that equal materials are one candidate."""
        return candidate_id(self.material)


def candidate_id(material: Material) -> str:
    """The id of any candidate made of this material, for instance ``c-3f9a0b12c4d5``."""
    return f"c-{material.digest[:12]}"


@dataclass(frozen=True)
class Reading:
    """Report on the files that a space was read from; empty for a space without files.

    Args:
        skipped: one line for each record that could not be used.
        remarks: one line for each choice that was made in reading a record.
        left_out: files of a folder that may be meant as structures, but have a format that is not
            read.
        charges: files of Born charges in the folder, which campaigns do not use.
        duplicates: number of records that equal an earlier one.
        ids: digest of the material by id, in the order of the records; equal materials may have
            several ids.
        crystals: number of crystals that pairs are formed of; 0 where none are.
        unanswered: ids of materials that were left out since the table has no value of them.
    """

    skipped: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    charges: tuple[str, ...] = ()
    duplicates: int = 0
    ids: Mapping[str, str] = field(default_factory=dict)
    crystals: int = 0
    unanswered: tuple[str, ...] = ()


@runtime_checkable
class Space(Protocol):
    """All materials a campaign may propose; `agents.spaces.base.BaseSpace` has what most share."""

    @property
    def materials(self) -> Sequence[Material] | None:
        """All members in a fixed order, always the same object; None if too many for memory."""
        ...

    @property
    def reading(self) -> Reading:
        """Report on the files that the space was read from."""
        ...

    def listed(self, limit: int, rng: np.random.Generator) -> Sequence[Material]:
        """Members to be predicted: all, in the fixed order, or a sample of at most `limit`."""
        ...

    def competitors(self, crystal: Crystal) -> Mapping[str, Crystal]:
        """Competing polymorphs: the same composition in other structures, by name."""
        ...

    @property
    def size(self) -> int | None:
        """Number of materials; None for an unbounded space."""
        ...

    def __contains__(self, material: object) -> bool:
        """Whether the space contains this material (by digest)."""
        ...

    def __iter__(self) -> Iterator[Material]:
        """All materials of a bounded space, in a fixed order."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> list[Material]:
        """At most n distinct materials, drawn uniformly without replacement."""
        ...

    def neighbours(self, material: Material) -> list[Material]:
        """Materials one small change away, nearest first; none for a material not in the space."""
        ...

    def label(self, material: Material) -> str | None:
        """Id in the user's pool or name of the prototype."""
        ...


@runtime_checkable
class Breeding(Protocol):
    """A space with crossover and strain, for evolutionary search."""

    def crossings(
        self,
        first: Material,
        second: Material,
        rng: np.random.Generator,
    ) -> list[Material]:
        """Members that combine features of both materials, in random order."""
        ...

    def strained(self, material: Material) -> list[Material]:
        """Members of the same structure type under strain.

        In a list, which has no others, those closest in volume first; in an open space, of other
        shapes.
        """
        ...


@runtime_checkable
class Mutating(Protocol):
    """A space whose members can be changed at random, beyond the neighbours that they have."""

    def mutated(self, material: Material, rng: np.random.Generator) -> list[Material]:
        """Members with atoms displaced or exchanged, in random order; none where it has none."""
        ...


@dataclass(frozen=True)
class Looked:
    """How many ideas a proposer looked at until it had its candidates.

    Args:
        proposed: all, among them those that came to nothing.
        valid: members of the space.
        new: of these, those that are neither known nor repeated.
    """

    proposed: int = 0
    valid: int = 0
    new: int = 0


@runtime_checkable
class Counting(Protocol):
    """A proposer that counts its ideas."""

    @property
    def looked(self) -> Looked:
        """At what it looked when it was last asked."""
        ...


@runtime_checkable
class Proposer(Protocol):
    """Proposes candidates to measure next. All its randomness comes from `rng`."""

    @property
    def kind(self) -> str:
        """Name of this kind of proposer in a config."""
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
        """At most n distinct candidates, best first, none of them evaluated or pending.

        Args:
            n: number of candidates; fewer are returned when the space is exhausted.
            space: the space they must belong to.
            objective: of the campaign.
            evaluations: all outcomes so far at the objective's fidelity, oldest first.
            pending: materials already chosen but not yet measured.
            surrogate: fitted on `evaluations`, or None before there are any.
            rng: source of all randomness.
        """
        ...
