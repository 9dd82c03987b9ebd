"""Conversion between the axes of a structure file and those in which its crystal is computed.

A crystal is computed in its canonical conventional cell, so that equal crystals give equal results.
A user, however, states supercells and meshes along the axes of a file.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oracle.materials.canonical import centring, orthogonal, point_group
from oracle.materials.crystal import Crystal, canonicalize
from oracle.runtime.errors import OracleError

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

    from oracle.phonons.settings import Matrix, PhononSettings

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Mesh = tuple[int, int, int]
_DENOMINATOR = 6  # in all centrings, lattice points are at halves or thirds of the cell vectors
_SYMPREC = 1e-5  # Å; a conventional cell is symmetric up to rounding
_OFF = 0.25  # largest deviation of a coordinate, in units of 1 / _DENOMINATOR
_CENTRINGS = {
    "P": np.eye(3),
    "A": np.array([[2, 0, 0], [0, 1, -1], [0, 1, 1]]) / 2,
    "C": np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 2]]) / 2,
    "F": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2,
    "I": np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2,
    "R": np.array([[2, -1, -1], [1, 1, -2], [1, 1, 1]]) / 3,
}
"""Columns: phonopy's primitive vectors in terms of the conventional ones, for each centring."""
_PERMUTATIONS = tuple(np.eye(3, dtype=np.int64)[list(p)] for p in itertools.permutations(range(3)))


@dataclass(frozen=True)
class Axes:
    """A file's lattice, expressed in that of its canonical crystal.

    Args:
        rotation: (3, 3), takes vectors from the file's frame to that of
            ``Crystal.conventional()``; orthogonal, not necessarily proper.
        lattice: (3, 3), rows: the file's vectors, rotated accordingly (and all inverted if
            needed), in terms of the conventional ones; multiples of 1/6.
        conventional: (3, 3), rows: vectors of the conventional cell, oriented and ordered as in the
            file, in terms of the canonical ones; unimodular. They are the file's own vectors if
            these are vectors of a conventional cell or multiples of such. Otherwise they are the
            vectors of the standard cell: in the order that is nearest to the file's or, if the file
            has a primitive cell, which implies no order, as they are.
        primitive: (3, 3), rows: vectors of the primitive cell, along whose reciprocal vectors
            mesh points are counted, in terms of the conventional ones.
    """

    rotation: Array
    lattice: Array
    conventional: Integers
    primitive: Array

    def supercell(self, matrix: Matrix) -> Matrix:
        """A supercell of the file's conventional cell, as rows in terms of the canonical one."""
        if self._canonical:
            return matrix
        return _ordered(np.array(matrix) @ self.conventional)

    def supercell_in_file(self, matrix: Matrix) -> Matrix:
        """The inverse of `supercell`: the same lattice, though its vectors may change order."""
        if self._canonical:
            return matrix
        return _ordered(np.rint(np.array(matrix) @ np.linalg.inv(self.conventional)))

    def mesh(self, mesh: Mesh) -> Mesh:
        """A mesh along the file's reciprocal axes, converted to those of the primitive cell.

        Raises:
            OracleError: stage ``read``; no mesh along the axes of the primitive cell is equal.
        """
        converted = _diagonal(np.diag(mesh) @ self._mesh_basis)
        if converted is None:
            raise OracleError(
                "read",
                f"mesh: {list(mesh)} points along the reciprocal axes of the given cell do not "
                "form a mesh along those of the standard primitive cell; expected three equal "
                "integers, or a structure in its standard setting",
            )
        return converted

    def mesh_in_file(self, mesh: Mesh) -> Mesh | None:
        """The inverse of `mesh`; None where the file's axes cannot express it."""
        return _diagonal(np.diag(mesh) @ np.linalg.inv(self._mesh_basis))

    def reduced(self, q_point: tuple[float, float, float]) -> tuple[float, float, float]:
        """Coordinates of a q point in reciprocal vectors of the file's lattice.

        Args:
            q_point: in reciprocal vectors of the primitive cell.
        """
        turned = self.lattice @ np.linalg.inv(self.primitive) @ np.array(q_point)
        x, y, z = (round(float(v), 12) + 0.0 for v in turned)
        return x, y, z

    def settings(self, in_file: PhononSettings) -> PhononSettings:
        """Settings for the oracle, from settings that refer to the axes of the file.

        Raises:
            OracleError: stage ``read``; see `mesh`.
        """
        update: dict[str, Any] = {
            name: self.supercell(matrix)
            for name in ("fc2_supercell", "fc3_supercell")
            if (matrix := getattr(in_file, name)) is not None
        }
        if in_file.mesh is not None:
            update["mesh"] = self.mesh(in_file.mesh)
        return in_file.model_copy(update=update)

    def record(self, provenance: dict[str, Any]) -> dict[str, Any]:
        """The supercells and mesh that were used, along the file's axes, as JSON.

        Args:
            provenance: of the evaluation, along the canonical axes.
        """
        settings = provenance.get("settings", {})
        used = {
            "fc2_supercell": provenance.get("fc2_supercell") or settings.get("fc2_supercell"),
            "fc3_supercell": provenance.get("supercell") or settings.get("fc3_supercell"),
        }
        supercells: dict[str, Any] = {
            name: None if matrix is None else self._in_file(np.array(matrix))
            for name, matrix in used.items()
        }
        mesh = provenance.get("mesh") or settings.get("mesh")
        mesh_in_file = None if mesh is None else self.mesh_in_file(tuple(mesh))
        return supercells | {
            "mesh": None if mesh_in_file is None else list(mesh_in_file),
            "conventional": self.conventional.tolist(),
            "lattice": self.lattice.tolist(),
            "rotation": self.rotation.tolist(),
        }

    def _in_file(self, used: Array) -> Any:
        """A supercell in the file's axes; of a centred lattice it may hold halves or thirds."""
        if np.array_equal(used, np.rint(used)):
            return _lists(self.supercell_in_file(_lists(np.rint(used))))
        rows = _rational(used @ np.linalg.inv(self.conventional))
        assert rows is not None  # a product of multiples and a unimodular matrix
        return rows.tolist()

    @property
    def _canonical(self) -> bool:
        return np.array_equal(self.conventional, np.eye(3))

    @property
    def _mesh_basis(self) -> Array:
        """The file's vectors in terms of the primitive ones if they span a primitive cell.

        Otherwise its conventional vectors.
        """
        in_primitive = self.lattice @ np.linalg.inv(self.primitive)
        if abs(abs(np.linalg.det(in_primitive)) - 1) < 1e-6:
            return np.rint(in_primitive)
        return self.conventional.astype(float)


def axes_of(structure: Structure) -> tuple[Crystal, Axes]:
    """The canonical crystal of a structure, and the structure's axes in terms of the crystal's.

    Raises:
        OracleError: stage ``read``; partial occupancies, unknown elements, overlapping atoms.
    """
    crystal, rotation = canonicalize(structure)
    conventional = crystal.conventional()
    cell = conventional.lattice.matrix
    lattice = _rational(structure.lattice.matrix @ rotation.T @ np.linalg.inv(cell))
    if lattice is None:
        raise OracleError(
            "read",
            f"{crystal.formula}: its lattice differs from that of its symmetrised form by more "
            "than the tolerance; give a symmetric structure",
        )
    primitive = primitive_vectors(conventional)
    operations = point_group(conventional)
    # Of all choices that symmetry allows, the one nearest to the given axes is taken, and tensors
    # are rotated in the same way: computed ones are symmetric only up to numerical errors.
    sign, operation = min(
        itertools.product((1, -1), operations),
        key=lambda m: _distance(m[0] * lattice @ m[1].T),
    )
    turned = sign * lattice @ operation.T
    in_frame = np.linalg.solve(cell, operation.T @ cell)  # rows v of the frame become v @ it
    return crystal, Axes(
        rotation=orthogonal(in_frame.T @ rotation),
        lattice=turned + 0.0,
        conventional=_conventional(turned, cell, primitive),
        primitive=primitive,
    )


def _distance(lattice: Array) -> tuple[float, list[list[float]]]:
    """Distance from the unit matrix, then the matrix itself, which breaks ties."""
    return round(float(np.abs(lattice - np.eye(3)).sum()), 6), lattice.tolist()


def primitive_vectors(conventional: Structure) -> Array:
    """Rows: vectors of phonopy's primitive cell, in terms of those of a conventional cell.

    They equal those of phonopy's `guess_primitive_matrix`. phonopy is not imported, because to read
    a stored evaluation nothing else needs it.
    """
    letter, to_standard = centring(conventional, _SYMPREC)
    return np.asarray((np.linalg.inv(to_standard) @ _CENTRINGS[letter]).T)


def _rational(coordinates: Array) -> Array | None:
    scaled = coordinates * _DENOMINATOR
    if np.abs(scaled - np.rint(scaled)).max() > _OFF:
        return None
    return np.asarray(np.rint(scaled) / _DENOMINATOR)


def _conventional(lattice: Array, cell: Array, primitive: Array) -> Integers:
    """The conventional cell of a file, see `Axes.conventional`.

    Args:
        lattice: (3, 3), the file's vectors in terms of the rows of `cell`.
        cell: (3, 3), row vectors, Å.
        primitive: (3, 3), in terms of the rows of `cell`.
    """
    integers = np.rint(lattice).astype(np.int64)
    if np.abs(lattice - integers).max() < 1e-6:
        shortest = integers // np.gcd.reduce(integers, axis=1)[:, None]
        if abs(round(float(np.linalg.det(shortest)))) == 1:
            return np.asarray(shortest)
    if abs(np.linalg.det(lattice)) < abs(np.linalg.det(primitive)) + 1e-6:
        return np.eye(3, dtype=np.int64)
    unit = cell / np.linalg.norm(cell, axis=1)[:, None]
    directions = lattice @ cell
    directions = directions / np.linalg.norm(directions, axis=1)[:, None]
    cosines = [float(np.abs(np.sum(directions * (p @ unit), axis=1)).sum()) for p in _PERMUTATIONS]
    return _PERMUTATIONS[int(np.argmax(np.round(cosines, 6)))]


def _ordered(matrix: NDArray[Any]) -> Matrix:
    """A right-handed basis of the same lattice, diagonal or else with the largest trace."""
    integers = np.rint(matrix).astype(np.int64)
    diagonal = _diagonal(integers.astype(float))
    if diagonal is not None:
        return _lists(np.diag(diagonal))
    best = max(
        (m for m in _same_lattice(integers) if np.linalg.det(m) > 0),
        key=lambda m: (int(np.trace(m)), m.tolist()),
    )
    return _lists(best)


def _same_lattice(matrix: Integers) -> Iterator[Integers]:
    """The rows of a matrix in all orders and with all signs."""
    for permutation in _PERMUTATIONS:
        for signs in itertools.product((1, -1), repeat=3):
            yield np.diag(signs) @ permutation @ matrix


def _diagonal(basis: Array) -> Mesh | None:
    """Diagonal of the diagonal matrix whose rows span the same lattice, or None without one."""
    integers = np.rint(basis).astype(np.int64)
    size = abs(round(float(np.linalg.det(basis))))
    # The adjugate over the determinant gives the order of each unit vector among the cosets.
    adjugate = np.rint(np.linalg.inv(basis) * size).astype(np.int64)
    a, b, c = (size // int(np.gcd.reduce([size, *row])) for row in adjugate)
    if np.abs(basis - integers).max() > 1e-6 or a * b * c != size:
        return None
    return a, b, c


def _lists(matrix: Any) -> Any:
    return tuple(tuple(int(n) for n in row) for row in matrix)
