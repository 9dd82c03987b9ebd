"""How crystals are cut into layers that lie on one another, and which operations respect that.

A layer is one conventional cell: its third axis is the stacking axis and must be perpendicular to
the other two. Only pymatgen and spglib are needed, no potential.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
_CLOSE = 1e-3  # fractional; sites nearer than this are the same
_SQUARE = 1e-3  # cosine; the stacking axis is perpendicular up to this


@dataclass(frozen=True)
class Sites:
    """Atoms of one conventional cell.

    Args:
        cell: (3, 3), row vectors, Å.
        positions: (n, 3), fractional in [0, 1), by rising height.
        symbols: (n,).
    """

    cell: Array
    positions: Array
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class Operation:
    """An isometry of the layers that keeps the stacking axis or turns it round.

    In fractional coordinates of the in-plane lattice, ``x -> x @ rotation + shift``; heights stay,
    or are mirrored within each layer where `reverses`.
    """

    rotation: Integers
    shift: Array
    reverses: bool


def sites_of(cell: Array, positions: Array, symbols: tuple[str, ...]) -> Sites:
    """Atoms by rising height.

    Raises:
        OracleError: stage ``read``; the stacking axis is not perpendicular to the plane.
    """
    unit = cell / np.linalg.norm(cell, axis=1)[:, None]
    slanted = np.abs(unit[2] @ unit[:2].T).max()
    if slanted > _SQUARE:
        raise OracleError(
            "read",
            f"the third axis of the conventional cell of {''.join(symbols)} stands "
            f"{np.degrees(np.arccos(slanted)):.1f}° to the plane; expected 90°: layers can be cut "
            "from cubic, tetragonal, orthorhombic and hexagonal crystals",
        )
    wrapped = positions % 1.0
    wrapped = np.where(wrapped > 1.0 - _CLOSE, wrapped - 1.0, wrapped)
    order = np.lexsort((wrapped[:, 1].round(4), wrapped[:, 0].round(4), wrapped[:, 2].round(4)))
    return Sites(cell, wrapped[order], tuple(symbols[i] for i in order))


@functools.lru_cache(maxsize=64)
def sites(crystal: Crystal) -> Sites:
    """Atoms of the idealised conventional cell, by rising height."""
    structure = crystal.conventional()
    symbols = tuple(site.specie.symbol for site in structure)
    return sites_of(structure.lattice.matrix, structure.frac_coords, symbols)


def in_plane_basis(cells: tuple[Sites, ...]) -> Array:
    """Rows (2, 2) of the smallest in-plane lattice that all crystals share.

    Given in fractions of the conventional in-plane vectors; Lagrange-Gauss reduced.
    """
    first = cells[0]
    level = np.abs(first.positions[:, 2] - first.positions[0, 2]) < _CLOSE
    steps = [p[:2] - first.positions[0, :2] for p in first.positions[level][0:]]
    shifts = [s for s in steps if all(_maps(c, np.eye(2, dtype=np.int64), s, False) for c in cells)]
    metric = first.cell[:2] @ first.cell[:2].T
    corners = list(itertools.product((-1.0, 0.0, 1.0), repeat=2))
    points = [np.array(s) % 1.0 + np.array(c) for s in shifts for c in corners]
    points = [p for p in points if np.abs(p).max() > _CLOSE]
    lengths = [float(p @ metric @ p) for p in points]
    # Ties are broken by direction, so that the choice does not hang on noise.
    order = sorted(range(len(points)), key=lambda i: (round(lengths[i], 4), *(-points[i]).round(4)))
    a = points[order[0]]
    for i in order[1:]:
        b = points[i]
        area = a[0] * b[1] - a[1] * b[0]
        if area > _CLOSE and a @ metric @ b < _CLOSE * lengths[order[0]] + 1e-9:
            return np.array([a, b])
    raise AssertionError("a lattice has two independent vectors")


def reduced(cell: Sites, basis: Array) -> Sites:
    """The atoms of one primitive in-plane cell; positions in that basis, heights as before."""
    inverse = np.linalg.inv(basis)
    kept: list[int] = []
    found: list[Array] = []
    for i, position in enumerate(cell.positions):
        flat = position[:2] @ inverse
        flat = (flat + _CLOSE) % 1.0 - _CLOSE
        if not any(
            abs(position[2] - other[2]) < _CLOSE and _same(flat, other[:2]) for other in found
        ):
            kept.append(i)
            found.append(np.array([*flat, position[2]]))
    full = np.eye(3)
    full[:2, :2] = basis
    return Sites(full @ cell.cell, np.array(found), tuple(cell.symbols[i] for i in kept))


def operations(cells: tuple[Sites, ...]) -> tuple[Operation, ...]:
    """Operations that map every crystal's layer onto itself, with one shift for all.

    Args:
        cells: all in one in-plane lattice (after `reduced`).
    """
    found = []
    for reverses in (False, True):
        for rotation in _lattice_rotations(cells[0].cell[:2]):
            for shift in _shifts(cells[0], rotation, reverses):
                if all(_maps(cell, rotation, shift, reverses) for cell in cells):
                    found.append(Operation(rotation, shift, reverses))
                    break
    return tuple(found)


@functools.lru_cache(maxsize=64)
def reversible(layers: tuple[Crystal, ...]) -> bool:
    """Whether a sequence of these layers that is turned round is the same seen from behind.

    So where an isometry maps the layer of every material onto itself upside down: in diamond
    and rocksalt it exists, in zincblende along [001] it does not, because the layer ends with
    the other element than it begins with.

    Raises:
        OracleError: stage ``read``; see `sites_of`.
    """
    cells = tuple(sites(crystal) for crystal in layers)
    return any(operation.reverses for operation in operations(cells))


def periodic(layers: Sequence[Crystal], lead: Crystal, in_plane: float | None) -> Crystal:
    """The crystal whose cell is a sequence of layers, each of its own volume per atom.

    Args:
        layers: a conventional cell of each, in their order.
        lead: gives the plane.
        in_plane: Å, lattice parameter in the plane; None takes the lead's.

    Raises:
        OracleError: stage ``read``; see `sites_of`.
    """
    from pymatgen.core.structure import Structure

    plane = sites(lead).cell[:2]
    if in_plane is not None:
        plane = plane * in_plane / np.linalg.norm(plane[0])
    area = np.linalg.norm(np.cross(*plane))
    height, points = 0.0, []
    symbols: list[str] = []
    for layer in map(sites, layers):
        thickness = float(abs(np.linalg.det(layer.cell)) / area)
        flat = layer.positions[:, :2] @ plane
        flat[:, 2] = height + layer.positions[:, 2] * thickness
        points.append(flat)
        symbols += layer.symbols
        height += thickness
    cell = np.vstack([plane, [0.0, 0.0, height]])
    return Crystal.from_structure(
        Structure(cell, symbols, np.vstack(points), coords_are_cartesian=True)
    )


def _lattice_rotations(rows: Array) -> list[Integers]:
    """Integer matrices W with ``x -> x @ W`` an isometry of the plane; the identity first."""
    metric = rows @ rows.T
    scale = np.abs(metric).max()
    found = []
    for entries in itertools.product((0, 1, -1), repeat=4):
        matrix = np.array(entries, dtype=np.int64).reshape(2, 2)
        if np.abs(matrix @ metric @ matrix.T - metric).max() < 1e-4 * scale:
            found.append(matrix)
    found.sort(key=lambda m: not np.array_equal(m, np.eye(2)))
    return found


def _shifts(cell: Sites, rotation: Integers, reverses: bool) -> list[Array]:
    """Shifts that take the first atom to one of its kind at the right height."""
    heights = _heights(cell, reverses)
    image = cell.positions[0, :2] @ rotation
    return [
        cell.positions[j, :2] - image
        for j in range(len(cell.symbols))
        if cell.symbols[j] == cell.symbols[0]
        and abs(cell.positions[j, 2] - heights[0]) < _CLOSE
    ]  # fmt: skip


def _heights(cell: Sites, reverses: bool) -> Array:
    heights = cell.positions[:, 2]
    return heights.min() + heights.max() - heights if reverses else heights


def _maps(cell: Sites, rotation: Integers, shift: Array, reverses: bool) -> bool:
    """Whether an operation maps the atoms of a layer onto atoms of their kind."""
    return permutation(cell, Operation(rotation, shift, reverses)) is not None


def permutation(cell: Sites, operation: Operation) -> tuple[int, ...] | None:
    """Where each atom of a layer goes, or None where one finds no atom of its kind."""
    images = cell.positions[:, :2] @ operation.rotation + operation.shift
    found: list[int] = []
    for i, height in enumerate(_heights(cell, operation.reverses)):
        match = [
            j
            for j, symbol in enumerate(cell.symbols)
            if symbol == cell.symbols[i]
            and abs(cell.positions[j, 2] - height) < _CLOSE
            and _same(images[i], cell.positions[j, :2])
        ]
        if not match:
            return None
        found.append(match[0])
    return tuple(found)


def _same(a: Array, b: Array) -> bool:
    """Whether two in-plane positions are equal up to lattice vectors."""
    difference = a - b
    return bool(np.abs(difference - np.round(difference)).max() < _CLOSE)
