"""Supercells that keep the symmetry of a crystal and hold its atoms far from their own images.

A supercell of repetitions along the conventional vectors is seldom the best. Of two cells with
equally many atoms the one whose shortest lattice vector is longer determines force constants of
longer range, and a cell that lacks operations of the point group breaks the symmetry of the
constants, which symmetrising afterwards hides but does not undo. So all sublattices are looked at
(Hermite normal forms; A. Santoro and A. D. Mighell, Acta Cryst. A 28, 284 (1972)), those that the
point group does not map onto themselves are left out, and the smallest one that is wide enough is
taken.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
_DENSEST = np.sqrt(2)
"""Cubed shortest vector over volume of a lattice is at most this (face-centred cubic; Gauss)."""
_ROUNDED = 3  # digits of Å to which lengths are compared
_EQUAL = 1e-5  # Å; lengths that differ by less are equal
_SHELLS = 1.001  # relative; vectors up to here count as equally short
_CHUNK = 20_000  # sublattices looked at together
_TOGETHER = 1_000_000  # pairs of a sublattice and a vector looked at together


@dataclass(frozen=True)
class Sublattice:
    """A sublattice of a crystal's lattice.

    Args:
        matrix: (3, 3), rows: its reduced vectors in primitive ones, determinant positive.
        distance: length of its shortest vector, Å: how far an atom is from its nearest image.
        images: how many vectors are as short.
    """

    matrix: Integers
    distance: float
    images: int

    @property
    def multiplicity(self) -> int:
        """Primitive cells in one of its cells."""
        return round(float(np.linalg.det(self.matrix)))


def symmetric_supercell(
    cell: Array, rotations: Integers, n_atoms: int, length: float, most_atoms: int
) -> Sublattice:
    """The smallest supercell of full point symmetry that is as wide as is asked.

    Args:
        cell: (3, 3), row vectors of a primitive cell, Å.
        rotations: (n, 3, 3), of its space group, on columns of fractional coordinates.
        n_atoms: of the primitive cell.
        length: Å, least distance of an atom from its own images.
        most_atoms: where that length would need more, the widest supercell within is taken; the
            primitive cell itself where that has more.
    """
    key = (
        tuple(np.round(cell, 9).ravel().tolist()),
        tuple(np.unique(rotations.reshape(-1, 9), axis=0).ravel().tolist()),
        max(1, most_atoms // n_atoms),
        length,
    )
    return _chosen(*key)


@functools.lru_cache(maxsize=256)
def _chosen(
    cell: tuple[float, ...], rotations: tuple[int, ...], largest: int, length: float
) -> Sublattice:
    vectors = np.array(cell).reshape(3, 3)
    generators = _generators(np.array(rotations, dtype=np.int64).reshape(-1, 3, 3))
    volume = abs(float(np.linalg.det(vectors)))
    points = _Points.within(vectors, (_DENSEST * volume * largest) ** (1 / 3) + 0.1)
    smallest = max(1, int(np.ceil(length**3 / _DENSEST / volume - 1e-6)))
    for multiplicity in range(smallest, largest + 1):
        found = _best(vectors, generators, points, multiplicity)
        if found is not None and found.distance >= length - 10.0**-_ROUNDED:
            return found
    best: Sublattice | None = None
    for multiplicity in range(largest, 0, -1):  # none is so wide: the widest
        bound = (_DENSEST * volume * multiplicity) ** (1 / 3)
        if best is not None and bound < best.distance:
            break
        found = _best(vectors, generators, points, multiplicity)
        if found is not None and (best is None or _rank(found) >= _rank(best)):
            best = found
    assert best is not None  # the lattice itself is one
    return best


def _rank(lattice: Sublattice) -> tuple[float, int]:
    """Sorts by distance, then by how few images are as near."""
    return round(lattice.distance, _ROUNDED), -lattice.images


@dataclass(frozen=True)
class _Points:
    """Vectors of the primitive lattice but zero, by length.

    Args:
        indices: (n, 3), in primitive vectors.
        lengths: (n,), Å.
    """

    indices: Integers
    lengths: Array

    @classmethod
    def within(cls, cell: Array, radius: float) -> _Points:
        """All vectors up to a radius, one of each pair of opposite ones."""
        most = np.ceil(radius * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int)
        ranges = [np.arange(-n, n + 1) for n in most]
        indices = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
        indices = indices[len(indices) // 2 + 1 :]  # opposite ones come in mirrored order
        lengths = np.linalg.norm(indices @ cell, axis=1)
        order = np.argsort(lengths, kind="stable")
        order = order[lengths[order] <= radius]
        return cls(indices[order], lengths[order])


def _best(
    cell: Array, generators: Integers, points: _Points, multiplicity: int
) -> Sublattice | None:
    """The widest symmetric sublattice of a multiplicity, or None."""
    best: tuple[tuple[float, int], float, Integers] | None = None
    for forms in _hermite_forms(multiplicity):
        kept = forms[_invariant(forms, generators, multiplicity)]
        for few in np.array_split(kept, 1 + len(kept) * len(points.lengths) // _TOGETHER):
            inside = ~np.any(points.indices @ _adjugate(few) % multiplicity, axis=2)
            shortest = points.lengths[np.argmax(inside, axis=1)]
            near = points.lengths <= shortest[:, None] * _SHELLS
            images = 2 * np.sum(inside & near, axis=1)
            for k in np.lexsort((images, -np.round(shortest, _ROUNDED)))[:1]:
                rank = round(float(shortest[k]), _ROUNDED), -int(images[k])
                if best is None or rank > best[0]:
                    best = rank, float(shortest[k]), few[k]
    if best is None:
        return None
    (_, images), distance, form = best
    return Sublattice(_reduced(form, cell), distance, -images)


def _reduced(form: Integers, cell: Array) -> Integers:
    """Shortest vectors (3, 3) of a sublattice in primitive ones, as rows, determinant positive.

    Many are equally short in a symmetric crystal. Which are taken follows from their integers, and
    not from how their lengths are rounded, which differs from run to run: the order of the atoms
    depends on it, and so do the random displacements of each.

    Args:
        form: (3, 3), rows: vectors of the sublattice in primitive ones.
        cell: (3, 3), row vectors of the primitive cell, Å.
    """
    reduced, _ = minkowski_reduce(form @ cell)
    longest = float(np.linalg.norm(reduced, axis=1).max())
    points = _Points.within(reduced, longest * _SHELLS)
    turned = np.rint(points.indices @ reduced @ np.linalg.inv(cell)).astype(np.int64)
    leading = turned[np.arange(len(turned)), np.argmax(turned != 0, axis=1)]
    turned *= np.sign(leading)[:, None]
    shells = np.cumsum(np.diff(points.lengths, prepend=points.lengths[0]) > _EQUAL)
    order = np.lexsort((*-turned.T[::-1], np.abs(turned).sum(axis=1), shells))
    determinant = round(abs(float(np.linalg.det(form))))
    rows = turned[order]
    # All third vectors at once: in a long cell, thousands lie in the plane of the two shortest.
    for first, second in itertools.combinations(range(len(rows)), 2):
        found = rows[second + 1 :] @ np.cross(rows[first], rows[second])
        fitting = np.flatnonzero(np.abs(found) == determinant)
        if len(fitting):
            third = second + 1 + fitting[0]
            matrix = rows[[first, second, third]]
            return np.asarray(matrix if found[fitting[0]] > 0 else matrix[[1, 0, 2]])
    raise AssertionError("three shortest vectors of a lattice are a basis of it")


def _hermite_forms(determinant: int) -> Iterator[Integers]:
    """All row-style Hermite normal forms (n, 3, 3) of a determinant, some at a time."""
    waiting: list[Integers] = []
    for a in _divisors(determinant):
        for c in _divisors(determinant // a):
            f = determinant // a // c
            b, d, e = np.meshgrid(np.arange(c), np.arange(f), np.arange(f), indexing="ij")
            forms = np.zeros((b.size, 3, 3), dtype=np.int64)
            forms[:, 0, 0], forms[:, 1, 1], forms[:, 2, 2] = a, c, f
            forms[:, 0, 1], forms[:, 0, 2], forms[:, 1, 2] = b.ravel(), d.ravel(), e.ravel()
            waiting.append(forms)
            if sum(map(len, waiting)) >= _CHUNK:
                yield np.concatenate(waiting)
                waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def _generators(group: Integers) -> Integers:
    """Rotations of a group (n, 3, 3) whose products are all of it."""
    found: list[Integers] = []
    reached = {np.eye(3, dtype=np.int64).tobytes()}
    for rotation in group:
        if rotation.tobytes() in reached:
            continue
        found.append(rotation)
        new = reached
        while new:  # all products of what is reached with the generators
            known = [np.frombuffer(each, dtype=np.int64).reshape(3, 3) for each in new]
            new = {(a @ b).tobytes() for a in known for b in found} - reached
            reached |= new
    return np.array(found, dtype=np.int64).reshape(-1, 3, 3)


def _invariant(forms: Integers, generators: Integers, determinant: int) -> NDArray[np.bool_]:
    """Which sublattices every rotation maps onto themselves (n,)."""
    kept, inverse = np.arange(len(forms)), _adjugate(forms)
    for rotation in generators:
        # Rows v of a sublattice become v R^T, and are in it again where v R^T H^-1 is integer.
        turned = forms[kept] @ rotation.T @ inverse[kept]
        kept = kept[~np.any(turned % determinant, axis=(1, 2))]
    mask = np.zeros(len(forms), dtype=bool)
    mask[kept] = True
    return mask


def _adjugate(matrices: Integers) -> Integers:
    """Adjugates (..., 3, 3) of integer matrices: their inverses times their determinants."""
    a, b, c = matrices[..., 0, :], matrices[..., 1, :], matrices[..., 2, :]
    return np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=-1)
