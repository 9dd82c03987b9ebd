"""What can be measured: crystals, layer sequences and interfaces, each in one canonical form.

Equal materials must meet by themselves, whatever cell, origin, atom order or orientation they
were written in, because an evaluation is looked up by the digest of its material.
"""

from __future__ import annotations

import functools
import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

SYMPREC = 1e-2  # Å; positions closer than this to a symmetric arrangement are taken as symmetric
_LENGTH_DECIMALS = 3  # Å, in the digest only
_ANGLE_DECIMALS = 2  # degrees, in the digest only
POSITION_DECIMALS = 4  # fractional, in the digest only
STORED_DECIMALS = 8  # Å, degrees and fractional coordinates of the canonical form itself

Vector = tuple[float, float, float]
Array = NDArray[np.float64]


class Crystal(BaseModel):
    """A crystal as its canonical primitive cell; build it with `Crystal.from_structure`.

    Tensors measured on it are given in the Cartesian frame of `conventional()`.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["crystal"] = "crystal"
    lattice: tuple[Vector, Vector, Vector]
    """Row vectors of the Niggli-reduced primitive cell, Å."""
    species: tuple[str, ...]
    """Element symbols, one per atom."""
    positions: tuple[Vector, ...]
    """Fractional coordinates, one per atom, in [0, 1)."""

    @classmethod
    def from_structure(cls, structure: Structure) -> Crystal:
        """The canonical form of any periodic, fully ordered structure.

        Raises:
            OracleError: stage ``read``; partial occupancies, unknown elements, overlapping atoms.
        """
        from oracle.canonical import canonical_form

        return canonical_form(structure)[0]

    def structure(self) -> Structure:
        """The primitive cell as a pymatgen structure."""
        # pymatgen takes half a second to import, which a mere query of results need not pay.
        from pymatgen.core.lattice import Lattice
        from pymatgen.core.structure import Structure

        return Structure(Lattice(self.lattice), list(self.species), list(self.positions))

    def conventional(self) -> Structure:
        """The standardised conventional cell (International Tables setting, idealised)."""
        from oracle.canonical import conventional_cell

        return conventional_cell(self.structure())

    @property
    def formula(self) -> str:
        """Reduced formula, for instance ``NaCl``."""
        return str(self.structure().composition.reduced_formula)

    @functools.cached_property
    def spacegroup(self) -> tuple[str, int]:
        """International symbol and number, for instance ``("Fm-3m", 225)``."""
        from oracle.canonical import spacegroup_of

        return spacegroup_of(self.structure())

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the rounded canonical form: equal for physically equal crystals."""
        rows = np.array(self.lattice)
        lengths = np.linalg.norm(rows, axis=1)
        cosines = (rows @ rows.T / np.outer(lengths, lengths))[[1, 0, 0], [2, 2, 1]]
        angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
        key = {
            "kind": self.kind,
            "lengths": [round(float(x), _LENGTH_DECIMALS) for x in lengths],
            "angles": [round(float(x), _ANGLE_DECIMALS) for x in angles],
            "species": self.species,
            "positions": rounded_positions(np.array(self.positions)).tolist(),
        }
        return digest_of(key)


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
        `oracle.layering.reversible`.

        Raises:
            OracleError: stage ``read``; a material that layers cannot be cut from.
        """
        from oracle.layering import reversible

        left, right = (self.synonyms[lead] for lead in self.leads)
        return left == right and reversible(self)


class Superlattice(BaseModel):
    """A sequence of layers between two leads; one character per layer names its material."""

    model_config = ConfigDict(frozen=True)

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
        from oracle.layering import periodic

        return periodic(self.sequence, self.stack)

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


def orbit(
    sequence: str, *, mirror: bool, symmetries: tuple[tuple[int, ...], ...] = ()
) -> frozenset[str]:
    """All sequences that are the same design as one, itself included."""
    orders = [*symmetries, *([tuple(range(len(sequence) - 1, -1, -1))] if mirror else [])]
    found, fresh = {sequence}, [sequence]
    while fresh:
        last = fresh.pop()
        for order in orders:
            image = "".join(last[i] for i in order)
            if image not in found:
                found.add(image)
                fresh.append(image)
    return frozenset(found)


class Interface(BaseModel):
    """Two crystals that touch, of which only what they are in bulk is known.

    Which of them is on which side makes no difference: what the models of `oracle.interfaces` let
    through is the same both ways.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["interface"] = "interface"
    crystals: tuple[Crystal, Crystal]
    """Sorted by digest, in whatever order they are given."""

    @field_validator("crystals")
    @classmethod
    def _sorted(cls, given: tuple[Crystal, Crystal]) -> tuple[Crystal, Crystal]:
        first, second = given
        return given if first.digest <= second.digest else (second, first)

    @property
    def formula(self) -> str:
        """Both formulas, in alphabetical order, for instance ``MgO | NaCl``."""
        return " | ".join(sorted(crystal.formula for crystal in self.crystals))

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the digests of both crystals."""
        return digest_of({"kind": self.kind, "crystals": [c.digest for c in self.crystals]})


Material = Annotated[Crystal | Superlattice | Interface, Field(discriminator="kind")]


def crystals_of(material: Material) -> tuple[Crystal, ...]:
    """The crystals that a material consists of as such: one, both of an interface, or none."""
    if isinstance(material, Interface):
        return material.crystals
    return (material,) if isinstance(material, Crystal) else ()


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of a JSON-serialisable value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def wrapped_positions(positions: Array) -> Array:
    """Fractional coordinates in [0, 1), with numerical noise just below 1 taken as 0."""
    wrapped = np.round(positions % 1.0, STORED_DECIMALS) % 1.0
    return np.where(wrapped > 1.0 - 0.5 * 10.0**-POSITION_DECIMALS, 0.0, wrapped)


def rounded_positions(positions: Array) -> NDArray[np.int64]:
    """Wrapped coordinates as integers in units of the digest's resolution."""
    scale = 10**POSITION_DECIMALS
    return np.asarray(np.floor(wrapped_positions(positions) * scale + 0.5).astype(np.int64) % scale)
