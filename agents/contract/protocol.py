"""What agents exchange: candidates, the space they come from, and the interface of a proposer."""

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


@dataclass(frozen=True)
class Candidate:
    """A material, and where it came from.

    Args:
        material: what to measure.
        agent: kind of the proposer.
        parents: ids of the candidates it was made from.
        label: id in the user's pool, or name of the prototype.
    """

    material: Material
    agent: str
    parents: tuple[str, ...] = ()
    label: str | None = None

    @property
    def id(self) -> str:
        """Short name, derived from the material alone: equal materials are one candidate."""
        return candidate_id(self.material)


def candidate_id(material: Material) -> str:
    """The id of any candidate made of this material, for instance ``c-3f9a0b12c4d5``."""
    return f"c-{material.digest[:12]}"


@dataclass(frozen=True)
class Reading:
    """What became of the files that a space was read from; empty for a space without files.

    Args:
        skipped: one line for each record that was left out.
        remarks: one line for each decision that was taken in reading a record.
        left_out: files of a folder that may be meant as structures, but are of a kind that is not
            read.
        charges: files of charges in a folder, of which a campaign makes no use.
        duplicates: how many records equal an earlier one.
        ids: every id, also of equal materials, to the digest of its material, in the order of the
            records.
        crystals: of how many crystals pairs are made; 0 where none are.
    """

    skipped: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    charges: tuple[str, ...] = ()
    duplicates: int = 0
    ids: Mapping[str, str] = field(default_factory=dict)
    crystals: int = 0


@runtime_checkable
class Space(Protocol):
    """All materials a campaign may propose; `agents.spaces.base.BaseSpace` has what most share."""

    @property
    def materials(self) -> Sequence[Material] | None:
        """All members in their fixed order, always the same object; None if too many to hold."""
        ...

    @property
    def reading(self) -> Reading:
        """What became of the files that the space was read from."""
        ...

    def listed(self, limit: int, rng: np.random.Generator) -> Sequence[Material]:
        """What surrogates look at: the whole in its fixed order, or a sample of `limit` at most."""
        ...

    def competitors(self, crystal: Crystal) -> Mapping[str, Crystal]:
        """The same composition in other structures, by name: what a crystal could turn into."""
        ...

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
class Breeding(Protocol):
    """A space in which two materials can be mixed and one strained."""

    def crossings(
        self,
        first: Material,
        second: Material,
        rng: np.random.Generator,
    ) -> list[Material]:
        """Members that mix both, in random order."""
        ...

    def strained(self, material: Material) -> list[Material]:
        """Members of the same structure type, nearest in volume first."""
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
