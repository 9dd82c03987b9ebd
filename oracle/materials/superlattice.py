"""A superlattice, periodic or not."""

from __future__ import annotations

import functools
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from oracle.materials.crystal import BaseMaterial, Crystal
from oracle.materials.orders import orbit
from oracle.runtime.digests import digest_of


class Stack(BaseModel):
    """What the letters of a sequence stand for, and what lies on either side of it."""

    model_config = ConfigDict(frozen=True)

    layers: tuple[tuple[str, Crystal], ...] = Field(min_length=1)
    """Letter and material, by letter; layers are cut along the third axis of the conventional
    cell."""
    leads: tuple[str, str]
    """Letters of the half-infinite crystals on the left and on the right."""
    cells: int = Field(1, ge=1)
    """Conventional cells per layer along the stacking axis."""
    in_plane: float | None = Field(None, gt=0)
    """Å, in-plane lattice parameter of the conventional cell; None takes that of the left lead."""

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
        """Each letter to the first letter of the same material."""
        first: dict[str, str] = {}
        return {x: first.setdefault(crystal.digest, x) for x, crystal in self.layers}

    @property
    def symmetric(self) -> bool:
        """Whether a reversed sequence is the same design.

        So with the same material on both sides, unless turning the layers round changes them: see
        `oracle.materials.layering.reversible`.

        Raises:
            OracleError: stage ``read``; a material that layers cannot be cut from.
        """
        # spglib takes half a second to import, which a mere query of results need not pay.
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
    """Further orders of the layers that are the same design: generators, each a permutation;
    layer i of the image is layer ``permutation[i]`` of the original."""
    stack: Stack | None = None
    """What the letters stand for; None for sequences that are only looked up."""

    @classmethod
    def from_sequence(
        cls,
        sequence: str,
        *,
        mirror: bool = False,
        symmetries: tuple[tuple[int, ...], ...] = (),
        stack: Stack | None = None,
    ) -> Superlattice:
        """The canonical form: of equal designs, the alphabetically smallest.

        Args:
            sequence: one letter per layer.
            mirror: whether the reverse is the same; with a `stack`, its leads say so.
            symmetries: see the field.
            stack: see the field.

        Raises:
            ValueError: a letter that the stack does not hold, or a permutation of other length.
        """
        if stack is not None:
            unknown = sorted(set(sequence) - set(stack.materials))
            if unknown:
                raise ValueError(
                    f"sequence {sequence!r} holds {unknown}; the stack has {[*stack.materials]}"
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
        """The sequence repeated without end, as a crystal that `phonon-bte` takes.

        Layers are strained to the plane of the left lead as that is given, each at the volume
        that its atoms have by themselves; `phonon-bte` relaxes it.

        Raises:
            ValueError: no stack.
            OracleError: stage ``read``; a material that layers cannot be cut from.
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
        """SHA-256 of the canonical sequence, or with a stack of the crystals it consists of."""
        if self.stack is None:
            plain = {"kind": self.kind, "sequence": self.sequence, "mirror": self.mirror}
            more = {"symmetries": self.symmetries} if self.symmetries else {}
            return digest_of(plain | more)
        names = {x: crystal.digest for x, crystal in self.stack.layers}
        cells = [names[letter] for letter in self.sequence for _ in range(self.stack.cells)]
        leads = [names[lead] for lead in self.stack.leads]
        number = len(cells)
        if leads[0] == leads[1]:
            # Layers of the leads at the ends continue them: they only shift the rest.
            while cells and cells[0] == leads[0]:
                cells = cells[1:]
            while cells and cells[-1] == leads[0]:
                cells = cells[:-1]
        if self.mirror:  # letters may be given out the other way round elsewhere
            cells = min(cells, cells[::-1])
        key = {"kind": self.kind, "cells": cells, "number": number, "leads": leads}
        return digest_of(key | {"in_plane": self.stack.in_plane})
