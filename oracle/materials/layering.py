"""Layers cut from crystals and stacked on one another, and the operations that map them to layers.

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
_SQUARE = 1e-3  # largest cosine at which the stacking axis counts as perpendicular


@dataclass(frozen=True)
class Sites:
    """Atoms of one conventional cell.

    Args:
        cell: (3, 3), row vectors, Å.
        positions: (n, 3), fractional in [0, 1), sorted by height.
        symbols: (n,).
    """

    cell: Array
    positions: Array
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class Operation:
    """An isometry of the layers that keeps or reverses the stacking axis.

    In fractional coordinates of the in-plane lattice, ``x -> x @ rotation + shift``. Heights are
    kept or, where `reverses`, mirrored within each layer.
    """

    rotation: Integers
    shift: Array
    reverses: bool


def sites_of(cell: Array, positions: Array, symbols: tuple[str, ...]) -> Sites:
    """The atoms of a cell, sorted by height.

    Raises:
        OracleError: stage ``read``; the stacking axis is not perpendicular to the plane.
    """
    unit = cell / np.linalg.norm(cell, axis=1)[:, None]
    slanted = np.abs(unit[2] @ unit[:2].T).max()
    if slanted > _SQUARE:
        raise OracleError(
            "read",
            f"the third axis of the conventional cell of {''.join(symbols)} is at "
            f"{np.degrees(np.arccos(slanted)):.1f}° to the plane; expected 90°: layers can be cut "
            "from cubic, tetragonal, orthorhombic and hexagonal crystals",
        )
    wrapped = positions % 1.0
    wrapped = np.where(wrapped > 1.0 - _CLOSE, wrapped - 1.0, wrapped)
    order = np.lexsort((wrapped[:, 1].round(4), wrapped[:, 0].round(4), wrapped[:, 2].round(4)))
    return Sites(cell, wrapped[order], tuple(symbols[i] for i in order))


@functools.lru_cache(maxsize=64)
def sites(crystal: Crystal) -> Sites:
    """Atoms of the idealised conventional cell, sorted by height."""
    structure = crystal.conventional()
    symbols = tuple(site.specie.symbol for site in structure)
    return sites_of(structure.lattice.matrix, structure.frac_coords, symbols)


def in_plane_basis(cells: tuple[Sites, ...]) -> Array:
    """Row vectors (2, 2) of the smallest in-plane lattice that all crystals share.

    They are in fractions of the conventional in-plane vectors, and Lagrange-Gauss reduced.
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
    # Ties are broken by direction, so that the choice does not depend on numerical noise.
    order = sorted(range(len(points)), key=lambda i: (round(lengths[i], 4), *(-points[i]).round(4)))
    a = points[order[0]]
    for i in order[1:]:
        b = points[i]
        area = a[0] * b[1] - a[1] * b[0]
        if area > _CLOSE and a @ metric @ b < _CLOSE * lengths[order[0]] + 1e-9:
            return np.array([a, b])
    raise AssertionError("a lattice has two independent vectors")


def reduced(cell: Sites, basis: Array) -> Sites:
    """The atoms of one primitive in-plane cell; positions in its basis, heights unchanged."""
    inverse = np.linalg.inv(basis)
    indices: list[int] = []
    distinct: list[Array] = []
    for i, position in enumerate(cell.positions):
        flat = position[:2] @ inverse
        flat = (flat + _CLOSE) % 1.0 - _CLOSE
        if not any(
            abs(position[2] - other[2]) < _CLOSE and _same(flat, other[:2]) for other in distinct
        ):
            indices.append(i)
            distinct.append(np.array([*flat, position[2]]))
    full = np.eye(3)
    full[:2, :2] = basis
    return Sites(full @ cell.cell, np.array(distinct), tuple(cell.symbols[i] for i in indices))


def operations(cells: tuple[Sites, ...]) -> tuple[Operation, ...]:
    """Operations that map every crystal's layer onto itself, with the same shift for all.

    Args:
        cells: all in the same in-plane lattice (after `reduced`).
    """
    allowed = []
    for reverses in (False, True):
        for rotation in _lattice_rotations(cells[0].cell[:2]):
            for shift in _shifts(cells[0], rotation, reverses):
                if all(_maps(cell, rotation, shift, reverses) for cell in cells):
                    allowed.append(Operation(rotation, shift, reverses))
                    break
    return tuple(allowed)


@functools.lru_cache(maxsize=64)
def reversible(layers: tuple[Crystal, ...]) -> bool:
    """Whether any sequence of these layers equals its reverse, turned upside down.

    It does if one isometry turns the layer of every material upside down and maps it onto itself.
    Diamond and rock salt have such an isometry. Zinc blende along [001] has none, because its
    layer begins with one element and ends with the other.

    Raises:
        OracleError: stage ``read``; see `sites_of`.
    """
    cells = tuple(sites(crystal) for crystal in layers)
    return any(operation.reverses for operation in operations(cells))


def periodic(layers: Sequence[Crystal], lead: Crystal, in_plane: float | None) -> Crystal:
    """The crystal whose cell is a sequence of layers, each with its own volume per atom.

    Args:
        layers: one conventional cell of each is stacked, in this order.
        lead: its in-plane lattice is that of all layers.
        in_plane: lattice parameter in the plane, Å; None takes the lead's.

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
    """Integer matrices W for which ``x -> x @ W`` is an isometry of the plane, identity first."""
    metric = rows @ rows.T
    scale = np.abs(metric).max()
    rotations = []
    for entries in itertools.product((0, 1, -1), repeat=4):
        matrix = np.array(entries, dtype=np.int64).reshape(2, 2)
        if np.abs(matrix @ metric @ matrix.T - metric).max() < 1e-4 * scale:
            rotations.append(matrix)
    rotations.sort(key=lambda m: not np.array_equal(m, np.eye(2)))
    return rotations


def _shifts(cell: Sites, rotation: Integers, reverses: bool) -> list[Array]:
    """Shifts that take the first atom to one of the same element at the right height."""
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
    """Whether an operation maps the atoms of a layer onto atoms of the same elements."""
    return permutation(cell, Operation(rotation, shift, reverses)) is not None


def permutation(cell: Sites, operation: Operation) -> tuple[int, ...] | None:
    """The index that each atom of a layer is mapped to; None if one meets no equal atom."""
    images = cell.positions[:, :2] @ operation.rotation + operation.shift
    targets: list[int] = []
    for i, height in enumerate(_heights(cell, operation.reverses)):
        equal_atoms = [
            j
            for j, symbol in enumerate(cell.symbols)
            if symbol == cell.symbols[i]
            and abs(cell.positions[j, 2] - height) < _CLOSE
            and _same(images[i], cell.positions[j, :2])
        ]
        if not equal_atoms:
            return None
        targets.append(equal_atoms[0])
    return tuple(targets)


def _same(a: Array, b: Array) -> bool:
    """Whether two in-plane positions are equal up to lattice vectors."""
    difference = a - b
    return bool(np.abs(difference - np.round(difference)).max() < _CLOSE)
