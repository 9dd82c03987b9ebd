"""What can be measured: crystals and layer sequences, each in one canonical form.

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
from pydantic import BaseModel, ConfigDict, Field

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


class Superlattice(BaseModel):
    """A sequence of layers between two leads; one character per layer names its material."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["superlattice"] = "superlattice"
    sequence: str = Field(min_length=1)
    mirror: bool = False
    """Whether a sequence and its reverse are the same design (equal leads on both sides)."""

    @classmethod
    def from_sequence(cls, sequence: str, *, mirror: bool = False) -> Superlattice:
        """The canonical form: of a mirror pair, the alphabetically smaller."""
        return cls(sequence=min(sequence, sequence[::-1]) if mirror else sequence, mirror=mirror)

    @property
    def formula(self) -> str:
        """The sequence itself."""
        return self.sequence

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical sequence."""
        return digest_of(self.model_dump())


Material = Annotated[Crystal | Superlattice, Field(discriminator="kind")]


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
