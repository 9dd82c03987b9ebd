"""How the axes of a given file lie in those in which its crystal is computed.

A crystal is computed in its canonical conventional cell, so that equal crystals meet; a user counts
repetitions and points along the axes of a file. Here one is turned into the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oracle.materials.canonical import orthogonal, point_group
from oracle.materials.crystal import Crystal, canonicalize
from oracle.runtime.errors import OracleError

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

    from oracle.phonons.settings import Matrix, PhononSettings

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Mesh = tuple[int, int, int]
_DENOMINATOR = 6  # lattice points of all centrings are halves or thirds of conventional vectors
_OFF = 0.25  # of 1 / _DENOMINATOR, by which a coordinate may miss
_PERMUTATIONS = tuple(np.eye(3, dtype=np.int64)[list(p)] for p in itertools.permutations(range(3)))


@dataclass(frozen=True)
class Axes:
    """A file's lattice in that of its canonical crystal.

    Args:
        rotation: (3, 3), takes vectors of the file's frame to the frame of
            ``Crystal.conventional()``; orthogonal, not necessarily proper.
        lattice: (3, 3), rows: the file's vectors, so turned and if need be all inverted, in
            conventional ones; multiples of 1/6.
        conventional: (3, 3), rows: vectors of the conventional cell as the file orients and orders
            them, in canonical ones; unimodular. They are the file's own vectors wherever those
            span a conventional cell or multiples of its vectors, else those of the standard
            cell, in the order in which they lie nearest to the file's (as they are where the file
            holds a primitive cell, which shows no such order).
        primitive: (3, 3), rows: vectors of the primitive cell, along whose reciprocal vectors
            points of a mesh are counted, in conventional ones.
    """

    rotation: Array
    lattice: Array
    conventional: Integers
    primitive: Array

    def supercell(self, given: Matrix) -> Matrix:
        """A supercell of the file's conventional cell, in rows of the canonical one."""
        if self._canonical:
            return given
        return _ordered(np.array(given) @ self.conventional)

    def supercell_in_file(self, used: Matrix) -> Matrix:
        """The inverse of `supercell`; the same lattice, though its vectors may change order."""
        if self._canonical:
            return used
        return _ordered(np.rint(np.array(used) @ np.linalg.inv(self.conventional)))

    def mesh(self, given: Mesh) -> Mesh:
        """A mesh along the file's reciprocal axes, along those of the canonical primitive cell.

        Raises:
            OracleError: stage ``read``; it is none along those.
        """
        found = _diagonal(np.diag(given) @ self._mesh_basis)
        if found is None:
            raise OracleError(
                "read",
                f"mesh: {list(given)} points along the reciprocal axes of the given cell are no "
                "mesh along those of the standard primitive cell; expected three equal integers, "
                "or a structure in its standard setting",
            )
        return found

    def mesh_in_file(self, used: Mesh) -> Mesh | None:
        """The inverse of `mesh`; None where the file's axes cannot express it."""
        return _diagonal(np.diag(used) @ np.linalg.inv(self._mesh_basis))

    def reduced(self, q_point: tuple[float, float, float]) -> tuple[float, float, float]:
        """Coordinates in reciprocal vectors of the file's lattice.

        Args:
            q_point: in reciprocal vectors of the primitive cell.
        """
        turned = self.lattice @ np.linalg.inv(self.primitive) @ np.array(q_point)
        x, y, z = (round(float(v), 12) + 0.0 for v in turned)
        return x, y, z

    def settings(self, given: PhononSettings) -> PhononSettings:
        """Settings as the oracle takes them, from what was given for the axes of the file.

        Raises:
            OracleError: stage ``read``; see `mesh`.
        """
        update: dict[str, Any] = {
            name: self.supercell(matrix)
            for name in ("fc2_supercell", "fc3_supercell")
            if (matrix := getattr(given, name)) is not None
        }
        if given.mesh is not None:
            update["mesh"] = self.mesh(given.mesh)
        return given.model_copy(update=update)

    def record(self, provenance: dict[str, Any]) -> dict[str, Any]:
        """What was used, told in the file's axes, as JSON.

        Args:
            provenance: of the evaluation, in canonical axes.
        """
        settings = provenance.get("settings", {})
        used = {
            "fc2_supercell": provenance.get("fc2_supercell") or settings.get("fc2_supercell"),
            "fc3_supercell": provenance.get("supercell") or settings.get("fc3_supercell"),
        }
        told: dict[str, Any] = {
            name: None if matrix is None else _lists(self.supercell_in_file(matrix))
            for name, matrix in used.items()
        }
        mesh = provenance.get("mesh") or settings.get("mesh")
        found = None if mesh is None else self.mesh_in_file(tuple(mesh))
        return told | {
            "mesh": None if found is None else list(found),
            "conventional": self.conventional.tolist(),
            "lattice": self.lattice.tolist(),
            "rotation": self.rotation.tolist(),
        }

    @property
    def _canonical(self) -> bool:
        return np.array_equal(self.conventional, np.eye(3))

    @property
    def _mesh_basis(self) -> Array:
        """The file's vectors in primitive ones where they are primitive, else its conventional."""
        in_primitive = self.lattice @ np.linalg.inv(self.primitive)
        if abs(abs(np.linalg.det(in_primitive)) - 1) < 1e-6:
            return np.rint(in_primitive)
        return self.conventional.astype(float)


def axes_of(given: Structure) -> tuple[Crystal, Axes]:
    """The canonical crystal of a structure, and how the structure's axes lie in its own.

    Raises:
        OracleError: stage ``read``; partial occupancies, unknown elements, overlapping atoms.
    """
    crystal, rotation = canonicalize(given)
    conventional = crystal.conventional()
    cell = conventional.lattice.matrix
    lattice = _rational(given.lattice.matrix @ rotation.T @ np.linalg.inv(cell))
    if lattice is None:
        raise OracleError(
            "read",
            f"{crystal.formula}: its lattice is not that of its symmetric form within "
            "tolerance; give a symmetric structure",
        )
    primitive = primitive_vectors(conventional)
    operations = point_group(conventional)
    # Whatever symmetry leaves open is settled so that as much as possible stays as it is given, and
    # for the tensors with the lattice: computed ones are symmetric up to numerical errors only.
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
    """From the unit matrix, with something to settle ties."""
    return round(float(np.abs(lattice - np.eye(3)).sum()), 6), lattice.tolist()


def primitive_vectors(conventional: Structure) -> Array:
    """Rows: vectors of the primitive cell that phonopy takes, in those of a conventional cell."""
    from phonopy.structure.cells import guess_primitive_matrix

    from oracle.phonons.atomic_data import phonopy_cell

    symbols = [site.specie.symbol for site in conventional]
    cell = phonopy_cell(conventional.lattice.matrix, conventional.frac_coords, symbols)
    return np.asarray(guess_primitive_matrix(cell, symprec=1e-5)).T


def _rational(coordinates: Array) -> Array | None:
    scaled = coordinates * _DENOMINATOR
    if np.abs(scaled - np.rint(scaled)).max() > _OFF:
        return None
    return np.asarray(np.rint(scaled) / _DENOMINATOR)


def _conventional(lattice: Array, cell: Array, primitive: Array) -> Integers:
    """The conventional cell of a file, see `Axes`.

    Args:
        lattice: (3, 3), the file's vectors in rows of `cell`.
        cell: (3, 3), Å.
        primitive: (3, 3), in rows of `cell`.
    """
    whole = np.rint(lattice).astype(np.int64)
    if np.abs(lattice - whole).max() < 1e-6:
        shortest = whole // np.gcd.reduce(whole, axis=1)[:, None]
        if abs(round(float(np.linalg.det(shortest)))) == 1:
            return np.asarray(shortest)
    if abs(np.linalg.det(lattice)) < abs(np.linalg.det(primitive)) + 1e-6:
        return np.eye(3, dtype=np.int64)
    unit = cell / np.linalg.norm(cell, axis=1)[:, None]
    given = lattice @ cell
    given = given / np.linalg.norm(given, axis=1)[:, None]
    nearest = [float(np.abs(np.sum(given * (p @ unit), axis=1)).sum()) for p in _PERMUTATIONS]
    return _PERMUTATIONS[int(np.argmax(np.round(nearest, 6)))]


def _ordered(matrix: NDArray[Any]) -> Matrix:
    """Rows (a right-handed basis of the same lattice) as near to a positive diagonal as may be."""
    integers = np.rint(matrix).astype(np.int64)
    straight = _diagonal(integers.astype(float))
    if straight is not None:
        return _lists(np.diag(straight))
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
    """The diagonal matrix whose rows span the same lattice (within integers), or None."""
    whole = np.rint(basis).astype(np.int64)
    size = abs(round(float(np.linalg.det(basis))))
    # The adjugate over the determinant: the order of each unit vector among the cosets.
    adjugate = np.rint(np.linalg.inv(basis) * size).astype(np.int64)
    a, b, c = (size // int(np.gcd.reduce([size, *row])) for row in adjugate)
    if np.abs(basis - whole).max() > 1e-6 or a * b * c != size:
        return None
    return a, b, c


def _lists(matrix: Any) -> Any:
    return tuple(tuple(int(n) for n in row) for row in matrix)
