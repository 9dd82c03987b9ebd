"""What can be measured: crystals and layer sequences, each in one canonical form.

Equal materials must meet by themselves, whatever cell, origin, atom order or orientation they
were written in, because an evaluation is looked up by the digest of its material.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from typing import Annotated, Any, Literal

import numpy as np
import spglib
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from pymatgen.core import Element, Lattice, Structure

from oracle.errors import OracleError

SYMPREC = 1e-2  # Å; positions closer than this to a symmetric arrangement are taken as symmetric
_LENGTH_DECIMALS = 3  # Å, in the digest only
_ANGLE_DECIMALS = 2  # degrees, in the digest only
_POSITION_DECIMALS = 4  # fractional, in the digest only
_STORED_DECIMALS = 9  # of the canonical form itself
_CHUNK = 200_000  # atoms in the descriptions compared at once: bounds memory for large cells

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
        return _canonical(structure)[0]

    def structure(self) -> Structure:
        """The primitive cell as a pymatgen structure."""
        return Structure(Lattice(self.lattice), list(self.species), list(self.positions))

    def conventional(self) -> Structure:
        """The standardised conventional cell (International Tables setting, idealised)."""
        cell = spglib.standardize_cell(_spglib_cell(self.structure()), symprec=SYMPREC)
        if cell is None:
            return self.structure()
        lattice, positions, numbers = cell
        order = np.argsort(numbers, kind="stable")
        symbols = [Element.from_Z(int(numbers[i])).symbol for i in order]
        return Structure(Lattice(lattice), symbols, positions[order])

    @property
    def formula(self) -> str:
        """Reduced formula, for instance ``NaCl``."""
        return str(self.structure().composition.reduced_formula)

    @functools.cached_property
    def spacegroup(self) -> tuple[str, int]:
        """International symbol and number, for instance ``("Fm-3m", 225)``."""
        return spacegroup_of(self.structure())

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the rounded canonical form: equal for physically equal crystals."""
        a, b, c, alpha, beta, gamma = Lattice(self.lattice).parameters
        key = {
            "kind": self.kind,
            "lengths": [round(x, _LENGTH_DECIMALS) for x in (a, b, c)],
            "angles": [round(x, _ANGLE_DECIMALS) for x in (alpha, beta, gamma)],
            "species": self.species,
            "positions": _rounded(np.array(self.positions)).tolist(),
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
        return cls(
            sequence=min(sequence, sequence[::-1]) if mirror else sequence, mirror=mirror
        )

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


def spacegroup_of(structure: Structure) -> tuple[str, int]:
    """International symbol and number of a structure's space group at `SYMPREC`."""
    dataset = spglib.get_symmetry_dataset(_spglib_cell(structure), symprec=SYMPREC)
    return ("P1", 1) if dataset is None else (str(dataset.international), int(dataset.number))


def canonicalize(structure: Structure) -> tuple[Crystal, Array]:
    """Canonical primitive cell, and the rotation that takes the given frame into its frame.

    The cell is reduced to the primitive one, idealised at `SYMPREC` and Niggli-reduced. What
    is left open, the automorphisms of the lattice (at most 48) and the origin, is settled by
    taking the alphabetically smallest list of atoms. Enantiomorphs are thus equal: they
    conduct heat alike.

    Returns:
        The crystal and an orthogonal matrix ``R (3, 3)``: a vector ``v`` of the given frame
        is ``R @ v`` in the frame of ``conventional()``.
    """
    crystal, to_canonical = _canonical(structure)
    dataset = spglib.get_symmetry_dataset(_spglib_cell(structure), symprec=SYMPREC)
    rotation = np.eye(3) if dataset is None else np.asarray(dataset.std_rotation_matrix)
    return crystal, _conventional_rotation(crystal) @ _orthogonal(to_canonical) @ rotation


def _canonical(structure: Structure) -> tuple[Crystal, Array]:
    """Canonical form, and the map (3, 3) from spglib's standardised frame to that of its cell."""
    _check_ordered(structure)
    cell = _spglib_cell(structure)
    primitive = spglib.standardize_cell(cell, to_primitive=True, symprec=SYMPREC) or cell
    lattice, positions, numbers = (np.asarray(part) for part in primitive)
    reduced = spglib.niggli_reduce(lattice)
    basis = lattice if reduced is None else np.asarray(reduced)
    in_basis = positions @ lattice @ np.linalg.inv(basis)
    transform, origin, order = _smallest_description(basis, in_basis, numbers)
    chosen = _wrapped((in_basis - in_basis[origin]) @ np.linalg.inv(transform))[order]
    rows = Lattice.from_parameters(*Lattice(transform @ basis).parameters).matrix
    crystal = Crystal(
        lattice=tuple(tuple(round(float(x), _STORED_DECIMALS) for x in row) for row in rows),  # type: ignore[arg-type]
        species=tuple(Element.from_Z(int(numbers[i])).symbol for i in order),
        positions=tuple(tuple(float(x) for x in row) for row in chosen),  # type: ignore[arg-type]
    )
    return crystal, np.linalg.solve(transform @ basis, rows).T


def _conventional_rotation(crystal: Crystal) -> Array:
    """Rotation (3, 3) from the frame of the canonical cell to that of the conventional one."""
    dataset = spglib.get_symmetry_dataset(_spglib_cell(crystal.structure()), symprec=SYMPREC)
    return np.eye(3) if dataset is None else np.asarray(dataset.std_rotation_matrix)


def _orthogonal(matrix: Array) -> Array:
    """The orthogonal matrix nearest to a nearly orthogonal one (polar decomposition)."""
    u, _, vt = np.linalg.svd(matrix)
    return np.asarray(u @ vt)


def _spglib_cell(structure: Structure) -> tuple[Array, Array, list[int]]:
    numbers = [site.specie.Z for site in structure]
    return structure.lattice.matrix, structure.frac_coords, numbers


def _check_ordered(structure: Structure) -> None:
    if not structure.is_ordered:
        raise OracleError(
            "read",
            f"{structure.composition.reduced_formula} has partial occupancies; "
            "give an ordered structure (one element per site)",
        )
    if len(structure) > 1:
        distances = structure.distance_matrix + np.eye(len(structure)) * 10.0
        if distances.min() < 0.5:
            raise OracleError(
                "read",
                f"two atoms of {structure.composition.reduced_formula} are "
                f"{distances.min():.2f} Å apart; expected at least 0.5 Å: check the file",
            )


@functools.cache
def _unimodular() -> NDArray[np.int64]:
    """All integer matrices (n, 3, 3) with entries -1, 0, 1 and determinant ±1.

    They hold every automorphism of a Niggli-reduced lattice.
    """
    matrices = np.array(list(itertools.product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    determinants = np.rint(np.linalg.det(matrices)).astype(int)
    return np.asarray(matrices[np.abs(determinants) == 1], dtype=np.int64)


def _automorphisms(basis: Array) -> NDArray[np.int64]:
    """Integer matrices M (n, 3, 3) for which ``M @ basis`` has the same metric as ``basis``."""
    metric = basis @ basis.T
    tolerance = 2 * SYMPREC * np.sqrt(np.trace(metric))
    matrices = _unimodular()
    transformed = matrices @ metric @ matrices.transpose(0, 2, 1)
    keep = np.abs(transformed - metric).max(axis=(1, 2)) < tolerance
    return np.asarray(matrices[keep])


def _wrapped(positions: Array) -> Array:
    """Fractional coordinates in [0, 1), with numerical noise just below 1 taken as 0."""
    wrapped = np.round(positions % 1.0, _STORED_DECIMALS) % 1.0
    return np.where(wrapped > 1.0 - 0.5 * 10.0**-_POSITION_DECIMALS, 0.0, wrapped)


def _rounded(positions: Array) -> NDArray[np.int64]:
    """Wrapped coordinates as integers in units of the digest's resolution."""
    scale = 10**_POSITION_DECIMALS
    return np.asarray(np.floor(_wrapped(positions) * scale + 0.5).astype(np.int64) % scale)


def _smallest_description(
    basis: Array, positions: Array, numbers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int, NDArray[np.int64]]:
    """Automorphism, index of the atom at the origin, and order of the atoms, all canonical."""
    counts = {z: int(np.sum(numbers == z)) for z in np.unique(numbers)}
    rarest = min(counts, key=lambda z: (counts[z], z))
    origins = np.flatnonzero(numbers == rarest)
    matrices = _automorphisms(basis)
    # One integer per atom that sorts like (number, x, y, z): all descriptions of a chunk of
    # automorphisms are compared at once.
    base = 10**_POSITION_DECIMALS
    weights = np.array([base**2, base, 1])
    chunk = max(1, _CHUNK // (len(origins) * len(numbers)))
    best: tuple[tuple[int, ...], NDArray[np.int64], int, NDArray[np.int64]] | None = None
    for start in range(0, len(matrices), chunk):
        part = matrices[start : start + chunk]
        turned = positions @ np.linalg.inv(part)
        points = _rounded(turned[:, None] - turned[:, origins][:, :, None])
        codes = numbers.astype(np.int64) * base**3 + points @ weights
        orders = np.argsort(codes, axis=2, kind="stable")
        keys = np.take_along_axis(codes, orders, axis=2).reshape(-1, len(numbers))
        first = int(np.lexsort(keys.T[::-1])[0])
        key = tuple(keys[first].tolist())
        if best is None or key < best[0]:
            at, origin = divmod(first, len(origins))
            best = (key, part[at], int(origins[origin]), orders[at, origin])
    assert best is not None  # the identity is always among the automorphisms
    return best[1], best[2], best[3]
