"""The canonical form of a crystal: one choice of cell, origin, orientation and order of atoms."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import spglib
from numpy.typing import NDArray
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from oracle.materials.crystal_checks import Unusable, check_crystal
from oracle.materials.rounding import (
    POSITION_DECIMALS,
    STORED_DECIMALS,
    SYMPREC,
    Array,
    Vector,
    rounded_positions,
    wrapped_positions,
)
from oracle.runtime.errors import OracleError

_TOLERANCES = (1e-6, 1e-5, 1e-4, 1e-3)  # Å, tried before SYMPREC
_Cell = tuple[Array, Array, list[int]]
_CHUNK = 200_000  # atoms in the descriptions compared at once; bounds the memory for large cells


def conventional_cell(structure: Structure) -> Structure:
    """The standardised conventional cell (International Tables setting, idealised)."""
    cell = _spglib_cell(structure)
    standardised = spglib.standardize_cell(cell, symprec=_tolerance(cell))
    if standardised is None:
        return structure
    lattice, positions, numbers = standardised
    order = np.argsort(numbers, kind="stable")
    symbols = [Element.from_Z(int(numbers[i])).symbol for i in order]
    return Structure(Lattice(lattice), symbols, positions[order])


def spacegroup_of(structure: Structure) -> tuple[str, int]:
    """International symbol and number of a structure's space group at `SYMPREC`."""
    dataset = _symmetry(_spglib_cell(structure), SYMPREC)
    return ("P1", 1) if dataset is None else (str(dataset.international), int(dataset.number))


def point_group(structure: Structure) -> NDArray[np.int64]:
    """Rotations (n, 3, 3) of a structure's space group; they act on fractional column vectors."""
    cell = _spglib_cell(structure)
    dataset = _symmetry(cell, _tolerance(cell))
    if dataset is None:
        return np.eye(3, dtype=np.int64)[None]
    return np.unique(np.asarray(dataset.rotations, dtype=np.int64), axis=0)


def centring(structure: Structure, tolerance: float) -> tuple[str, Array]:
    """Centring of a structure's lattice, and the change of basis to the standard cell.

    Args:
        structure: any.
        tolerance: Å.

    Returns:
        One of the letters P, A, C, F, I, R, and spglib's transformation matrix (3, 3).
    """
    dataset = _symmetry(_spglib_cell(structure), tolerance)
    if dataset is None:
        return "P", np.eye(3)
    return str(dataset.international)[0], np.asarray(dataset.transformation_matrix)


class CanonicalCell(NamedTuple):
    """The canonical primitive cell of a crystal.

    Args:
        lattice: row vectors, Å.
        species: symbols, one per atom.
        positions: fractional coordinates in [0, 1), one per atom.
        from_standard: (3, 3), maps spglib's standardised Cartesian frame to that of the cell.
    """

    lattice: tuple[Vector, Vector, Vector]
    species: tuple[str, ...]
    positions: tuple[Vector, ...]
    from_standard: Array


def canonical_cell(structure: Structure) -> CanonicalCell:
    """The canonical primitive cell.

    The cell is reduced to the primitive one, idealised at `SYMPREC` and Niggli-reduced. This
    leaves the automorphisms of the lattice (at most 48) and the origin undetermined; of all
    these descriptions, the one with the lexicographically smallest list of atoms is taken.
    Enantiomorphs are thus equal: they conduct heat alike.

    Raises:
        OracleError: stage ``read``; partial occupancies, unknown elements, overlapping atoms.
    """
    _check(structure)
    cell = _spglib_cell(structure)
    primitive = spglib.standardize_cell(cell, to_primitive=True, symprec=_tolerance(cell)) or cell
    lattice, positions, numbers = (np.asarray(part) for part in primitive)
    reduced = spglib.niggli_reduce(lattice)
    basis = lattice if reduced is None else np.asarray(reduced)
    in_basis = positions @ lattice @ np.linalg.inv(basis)
    transform, origin, order = _smallest_description(basis, in_basis, numbers)
    canonical_positions = wrapped_positions(
        (in_basis - in_basis[origin]) @ np.linalg.inv(transform)
    )[order]
    rows = canonical_rows(Lattice(transform @ basis).parameters)
    return CanonicalCell(
        lattice=rows,
        species=tuple(Element.from_Z(int(numbers[i])).symbol for i in order),
        positions=tuple((float(x), float(y), float(z)) for x, y, z in canonical_positions),
        from_standard=np.linalg.solve(transform @ basis, np.array(rows)).T,
    )


def canonical_rows(parameters: Sequence[float]) -> tuple[Vector, Vector, Vector]:
    """Row vectors (Å) of a lattice as they are stored.

    The parameters are rounded, not the rows that follow from them. Rounding the rows would change
    their lengths, and the canonical form of a canonical form would differ in its last digit; so
    might choices that symmetry leaves open, such as that of phono3py's tetrahedra.

    Args:
        parameters: a, b, c (Å) and alpha, beta, gamma (degrees).
    """
    rounded = [round(x, STORED_DECIMALS) for x in parameters]
    a, b, c = (
        (float(x), float(y), float(z)) for x, y, z in Lattice.from_parameters(*rounded).matrix
    )
    return a, b, c


def _tolerance(cell: _Cell) -> float:
    """The smallest tolerance (Å) at which spglib finds the same symmetry as at `SYMPREC`.

    spglib treats an origin within the tolerance of a lattice point as lying on it, and so moves the
    atoms even of a perfectly symmetric crystal, by up to the tolerance.
    """
    widest = _symmetry(cell, SYMPREC)
    for tolerance in _TOLERANCES:
        dataset = _symmetry(cell, tolerance)
        if None not in (dataset, widest) and dataset.hall_number == widest.hall_number:
            return tolerance
    return SYMPREC


def standard_rotation(structure: Structure) -> Array:
    """Rotation (3, 3) from the Cartesian frame of a structure to that of its conventional cell."""
    cell = _spglib_cell(structure)
    dataset = _symmetry(cell, _tolerance(cell))
    return np.eye(3) if dataset is None else np.asarray(dataset.std_rotation_matrix)


def orthogonal(matrix: Array) -> Array:
    """The orthogonal matrix nearest to a nearly orthogonal one (polar decomposition)."""
    u, _, vt = np.linalg.svd(matrix)
    return np.asarray(u @ vt)


def _spglib_cell(structure: Structure) -> _Cell:
    numbers = [site.specie.Z for site in structure]
    return structure.lattice.matrix, structure.frac_coords, numbers


def _symmetry(cell: _Cell, tolerance: float) -> Any:
    """What spglib finds for a cell, not to be changed; None where it finds nothing."""
    lattice, positions, numbers = cell
    return _remembered(
        np.asarray(lattice, dtype=np.float64).tobytes(),
        np.asarray(positions, dtype=np.float64).tobytes(),
        tuple(numbers),
        tolerance,
    )


@functools.lru_cache(maxsize=64)
def _remembered(
    lattice: bytes, positions: bytes, numbers: tuple[int, ...], tolerance: float
) -> Any:
    """Symmetry of a cell given as bytes, like `_symmetry`.

    One search takes spglib up to 0.03 s, and canonical form, rotation, axes and point group of a
    crystal ask for the same few.
    """
    return spglib.get_symmetry_dataset(
        (np.frombuffer(lattice).reshape(3, 3), np.frombuffer(positions).reshape(-1, 3), numbers),
        symprec=tolerance,
    )


def _check(structure: Structure) -> None:
    try:
        check_crystal(structure)
    except Unusable as problem:
        raise OracleError("read", str(problem)) from problem


@functools.cache
def _unimodular() -> NDArray[np.int64]:
    """All integer matrices (n, 3, 3) with entries -1, 0, 1 and determinant ±1.

    They include every automorphism of a Niggli-reduced lattice.
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


def _smallest_description(
    basis: Array, positions: Array, numbers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int, NDArray[np.int64]]:
    """Automorphism, index of the atom at the origin, and order of the atoms, all canonical."""
    counts = {z: int(np.sum(numbers == z)) for z in np.unique(numbers)}
    rarest = min(counts, key=lambda z: (counts[z], z))
    origins = np.flatnonzero(numbers == rarest)
    matrices = _automorphisms(basis)
    # One integer per atom that sorts like (atomic number, x, y, z), so that all descriptions of a
    # chunk of automorphisms can be compared at once.
    base = 10**POSITION_DECIMALS
    weights = np.array([base**2, base, 1])
    chunk = max(1, _CHUNK // (len(origins) * len(numbers)))
    best: tuple[tuple[int, ...], NDArray[np.int64], int, NDArray[np.int64]] | None = None
    for start in range(0, len(matrices), chunk):
        part = matrices[start : start + chunk]
        turned = positions @ np.linalg.inv(part)
        points = rounded_positions(turned[:, None] - turned[:, origins][:, :, None])
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
