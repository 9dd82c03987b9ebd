"""What every kind of material has; and the crystal, which all others are made of."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from oracle.materials.rounding import Array, Vector, rounded_positions
from oracle.runtime.digests import digest_of

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

_LENGTH_DECIMALS = 3  # Å, in the digest only
_ANGLE_DECIMALS = 2  # degrees, in the digest only


class BaseMaterial(BaseModel):
    """Something that can be measured, in its canonical form: equal materials have equal digests.

    To add a kind, derive a class with a `kind` of its own, and add it to
    `oracle.materials.material.MATERIALS`.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    """Name of the kind."""

    @property
    @abstractmethod
    def formula(self) -> str:
        """What it is called in tables and file names."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """SHA-256 that physically equal materials share."""

    @property
    def is_defined(self) -> bool:
        """Whether it says all that computing with it needs."""
        return True

    def constituents(self) -> tuple[Crystal, ...]:
        """The crystals that it consists of as such: one, both of an interface, or none."""
        return ()

    def ingredients(self) -> tuple[Crystal, ...]:
        """The crystals whose potential is needed to measure it."""
        return self.constituents()

    def contents(self) -> tuple[Mapping[str, float], ...]:
        """Atoms of each element, of each part whose composition is known."""
        return tuple(Counter(crystal.species) for crystal in self.constituents())


class Crystal(BaseMaterial):
    """A crystal as its canonical primitive cell; build it with `Crystal.from_structure`.

    Its tensors are given in the Cartesian frame of `conventional()`.
    """

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
        from oracle.materials.canonical import canonical_cell

        cell = canonical_cell(structure)
        return cls(lattice=cell.lattice, species=cell.species, positions=cell.positions)

    def structure(self) -> Structure:
        """The primitive cell as a pymatgen structure."""
        # pymatgen takes half a second to import; queries of stored results do without it.
        from pymatgen.core.lattice import Lattice
        from pymatgen.core.structure import Structure

        return Structure(Lattice(self.lattice), list(self.species), list(self.positions))

    def constituents(self) -> tuple[Crystal, ...]:
        """The crystal itself."""
        return (self,)

    def conventional(self) -> Structure:
        """The standardised conventional cell (International Tables setting, idealised)."""
        from oracle.materials.canonical import conventional_cell

        return conventional_cell(self.structure())

    @property
    def formula(self) -> str:
        """Reduced formula, for instance ``NaCl``."""
        from oracle.materials.crystal_checks import formula_of

        return formula_of(self.structure())

    @functools.cached_property
    def spacegroup(self) -> tuple[str, int]:
        """International symbol and number, for instance ``("Fm-3m", 225)``."""
        from oracle.materials.canonical import spacegroup_of

        return spacegroup_of(self.structure())

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the rounded canonical form; physically equal crystals have the same."""
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


def canonicalize(structure: Structure) -> tuple[Crystal, Array]:
    """The canonical crystal of a structure, and the rotation between their frames.

    Returns:
        The crystal, and an orthogonal matrix ``R (3, 3)``: a vector ``v`` in the frame of the
        structure is ``R @ v`` in the frame of ``conventional()``.

    Raises:
        OracleError: as for `Crystal.from_structure`.
    """
    from oracle.materials.canonical import canonical_cell, orthogonal, standard_rotation

    cell = canonical_cell(structure)
    crystal = Crystal(lattice=cell.lattice, species=cell.species, positions=cell.positions)
    back = standard_rotation(crystal.structure()) @ orthogonal(cell.from_standard)
    return crystal, back @ standard_rotation(structure)
