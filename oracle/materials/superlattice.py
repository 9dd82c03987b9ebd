"""A superlattice: layers between two leads, in any order."""

from __future__ import annotations

import functools
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from oracle.materials.crystal import BaseMaterial, Crystal
from oracle.materials.orders import orbit
from oracle.runtime.digests import digest_of


class Stack(BaseModel):
    """What the letters of a sequence stand for, and the leads on either side of it."""

    model_config = ConfigDict(frozen=True)

    layers: tuple[tuple[str, Crystal], ...] = Field(min_length=1)
    """(letter, material), sorted by letter; the third axis of the conventional cell is the stacking
    axis."""
    leads: tuple[str, str]
    """Letters of the semi-infinite crystals on the left and on the right."""
    cells: int = Field(1, ge=1)
    """Conventional cells per layer along the stacking axis."""
    in_plane: float | None = Field(None, gt=0)
    """In-plane lattice parameter of the conventional cell, Å; None takes that of the left lead."""

    @model_validator(mode="after")
    def _consistent(self) -> Stack:
        letters = [letter for letter, _ in self.layers]
        if letters != sorted(set(letters)) or any(len(letter) != 1 for letter in letters):
            raise ValueError(f"layers: got {letters}; expected single letters, sorted, no repeats")
        for lead in self.leads:
            if lead not in letters:
                raise ValueError(f"leads: {lead!r} is not among the layers {letters}")
        return self

    @functools.cached_property
    def materials(self) -> dict[str, Crystal]:
        """Letter to material."""
        return dict(self.layers)

    @functools.cached_property
    def synonyms(self) -> dict[str, str]:
        """Each letter to the first letter that stands for the same material."""
        first: dict[str, str] = {}
        return {x: first.setdefault(crystal.digest, x) for x, crystal in self.layers}

    @property
    def symmetric(self) -> bool:
        """Whether a reversed sequence is the same design.

        It is if both leads are of the same material and turning the layers upside down leaves them
        unchanged; see `oracle.materials.layering.reversible`.

        Raises:
            OracleError: stage ``read``; a material from which layers cannot be cut.
        """
        # spglib takes half a second to import; queries of stored results do without it.
        from oracle.materials.layering import reversible

        left, right = (self.synonyms[lead] for lead in self.leads)
        return left == right and reversible(tuple(crystal for _, crystal in self.layers))


class Superlattice(BaseMaterial):
    """A sequence of layers between two leads; one character per layer names its material."""

    kind: Literal["superlattice"] = "superlattice"
    sequence: str = Field(min_length=1)
    mirror: bool = False
    """Whether a sequence and its reverse are the same design (equal leads on both sides)."""
    symmetries: tuple[tuple[int, ...], ...] = ()
    """Permutations of the layers that give the same design, as generators of a group; layer i of
    the image is layer ``permutation[i]`` of the original."""
    stack: Stack | None = None
    """What the letters stand for; None for sequences that are only looked up in a table."""

    @classmethod
    def from_sequence(
        cls,
        sequence: str,
        *,
        mirror: bool = False,
        symmetries: tuple[tuple[int, ...], ...] = (),
        stack: Stack | None = None,
    ) -> Superlattice:
        """The canonical form: the alphabetically smallest of all sequences that are one design.

        Args:
            sequence: one letter per layer.
            mirror: whether the reverse is the same design; where there is a `stack`, this follows
                from it, see `Stack.symmetric`.
            symmetries: see the field.
            stack: see the field.

        Raises:
            ValueError: a letter that the stack lacks, or a permutation of another length.
        """
        if stack is not None:
            unknown = sorted(set(sequence) - set(stack.materials))
            if unknown:
                raise ValueError(
                    f"sequence {sequence!r} has the letters {unknown}, which the stack lacks; "
                    f"expected letters among {[*stack.materials]}"
                )
            sequence = "".join(stack.synonyms[letter] for letter in sequence)
            mirror = stack.symmetric
        for order in symmetries:
            if sorted(order) != list(range(len(sequence))):
                raise ValueError(
                    f"symmetries: {list(order)} does not permute the {len(sequence)} layers of "
                    f"{sequence!r}"
                )
        smallest = min(orbit(sequence, mirror=mirror, symmetries=symmetries))
        return cls(sequence=smallest, mirror=mirror, symmetries=symmetries, stack=stack)

    @property
    def is_defined(self) -> bool:
        """Whether it is said what the letters stand for."""
        return self.stack is not None

    def ingredients(self) -> tuple[Crystal, ...]:
        """The crystals that layers are cut from, where it is said what letters stand for."""
        return () if self.stack is None else tuple(self.stack.materials.values())

    def crystal(self) -> Crystal:
        """The periodic crystal whose cell is the sequence, for the oracle `phonon-bte`.

        Layers are strained in the plane to the left lead, which is taken as it is given, and keep
        their volume per atom. The oracle relaxes the result.

        Raises:
            ValueError: no stack.
            OracleError: stage ``read``; a material from which layers cannot be cut.
        """
        if self.stack is None:
            raise ValueError(f"sequence {self.sequence!r} has no stack; expected one")
        from oracle.materials.layering import periodic

        stack = self.stack
        layers = [stack.materials[x] for x in self.sequence for _ in range(stack.cells)]
        return periodic(layers, stack.materials[stack.leads[0]], stack.in_plane)

    @property
    def formula(self) -> str:
        """The sequence itself."""
        return self.sequence

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical sequence or, where there is a stack, of its crystals."""
        if self.stack is None:
            plain = {"kind": self.kind, "sequence": self.sequence, "mirror": self.mirror}
            more = {"symmetries": self.symmetries} if self.symmetries else {}
            return digest_of(plain | more)
        names = {x: crystal.digest for x, crystal in self.stack.layers}
        cells = [names[letter] for letter in self.sequence for _ in range(self.stack.cells)]
        leads = [names[lead] for lead in self.stack.leads]
        number = len(cells)
        if leads[0] == leads[1]:
            # Layers at the ends that are of the leads' material only shift the others.
            while cells and cells[0] == leads[0]:
                cells = cells[1:]
            while cells and cells[-1] == leads[0]:
                cells = cells[:-1]
        if self.mirror:  # another assignment of letters may give the reverse
            cells = min(cells, cells[::-1])
        key = {"kind": self.kind, "cells": cells, "number": number, "leads": leads}
        return digest_of(key | {"in_plane": self.stack.in_plane})
