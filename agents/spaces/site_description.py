"""A crystal as a space group, occupied Wyckoff positions and their free parameters.

The inverse of `agents.spaces.wyckoff_sites.built`, in the settings of that module. Symmetry and the
standardised cell are spglib's (Togo, Shinohara and Tanaka, Sci. Technol. Adv. Mater. Meth. 4,
2384822, 2024).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import spglib
from numpy.typing import NDArray
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from agents.spaces.wyckoff_sites import Array, Position, Site, built, positions
from oracle.materials.crystal import Crystal
from oracle.materials.rounding import SYMPREC

_TWENTY_FOURTHS = 24  # translations of space groups are multiples of 1/24
_SHIFTS = np.array(list(itertools.product(range(-2, 3), repeat=3)), dtype=np.float64)
"""Lattice vectors (125, 3) by which a point may differ from the one that a formula gives."""

_Operations = frozenset[tuple[tuple[int, ...], tuple[int, ...]]]


@dataclass(frozen=True, eq=False)
class SiteDescription:
    """A crystal by its occupied Wyckoff positions.

    Args:
        group: number of the space group.
        sites: occupied positions.
        lattice: of the conventional cell, Å.
        free: (3,) coordinates for each site, of which only the free ones count.
    """

    group: int
    sites: tuple[Site, ...]
    lattice: Lattice
    free: tuple[Array, ...]

    def structure(self) -> Structure:
        """The conventional cell."""
        return built(self.group, self.sites, self.lattice, self.free)


def sites_of(crystal: Crystal) -> SiteDescription:
    """The Wyckoff positions that a crystal occupies, of the group found within `SYMPREC`.

    The crystal that `SiteDescription.structure` gives back has ideal symmetry; atoms move by less
    than about `SYMPREC`. Where symmetry cannot be told, all atoms are on general positions of P1.

    Args:
        crystal: any.
    """
    numbers = [Element(symbol).Z for symbol in crystal.species]
    cell = (np.array(crystal.lattice), np.array(crystal.positions), numbers)
    found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
    if found is not None and found.number > 1:
        # The settings of spglib's default differ, as in the origin of Fd-3m.
        standard = spglib.get_symmetry_dataset(
            cell, symprec=SYMPREC, hall_number=_hall_number(int(found.number))
        )
        if standard is not None:
            described = _described(
                int(standard.number),
                Lattice(standard.std_lattice),
                np.asarray(standard.std_positions, dtype=np.float64),
                np.asarray(standard.std_types),
            )
            if described is not None:
                return described
    return SiteDescription(
        1,
        tuple(Site(symbol, 0) for symbol in crystal.species),
        Lattice(crystal.lattice),
        tuple(np.array(each) for each in crystal.positions),
    )


def _described(
    group: int, lattice: Lattice, points: Array, numbers: NDArray[np.int64]
) -> SiteDescription | None:
    """The description of a standardised cell; None if an orbit fits on no position."""
    sites: list[Site] = []
    free: list[Array] = []
    for orbit in _orbits(group, lattice, points, numbers):
        fitted = _fitted(group, lattice, points[orbit])
        if fitted is None:
            return None
        sites.append(Site(Element.from_Z(int(numbers[orbit[0]])).symbol, fitted[0]))
        free.append(fitted[1])
    return SiteDescription(group, tuple(sites), lattice, tuple(free))


def _orbits(
    group: int, lattice: Lattice, points: Array, numbers: NDArray[np.int64]
) -> Iterator[list[int]]:
    """Indices of the atoms that symmetry makes equivalent, orbit by orbit."""
    general = positions(group)[0]
    left = set(range(len(points)))
    while left:
        first = min(left)
        alike = sorted(i for i in left if numbers[i] == numbers[first])
        apart = _distances(lattice, general.points(points[first]), points[alike])
        orbit = [alike[i] for i in sorted(set(apart.argmin(axis=1).tolist()))]
        left -= {first, *orbit}
        yield orbit


def _fitted(group: int, lattice: Lattice, orbit: Array) -> tuple[int, Array] | None:
    """The position that an orbit (n, 3) is on, and its free coordinates (3,).

    The first point of the position is put on each atom in turn, and what it leaves undetermined is
    zero. Of several choices, that with the smallest coordinates is taken.
    """
    best: tuple[int, Array] | None = None
    least = SYMPREC
    for index, position in enumerate(positions(group)):
        if position.multiplicity != len(orbit):
            continue
        for free in _candidates(position, orbit, lattice):
            apart = _distances(lattice, position.points(free), orbit)
            farthest = float(max(apart.min(axis=0).max(), apart.min(axis=1).max()))
            if farthest < least:
                best, least = (index, free), farthest
                if least < SYMPREC / 100:
                    return best
    return best


def _candidates(position: Position, orbit: Array, lattice: Lattice) -> Iterator[Array]:
    """Free coordinates (3,) for which the first point of a position is on an atom of an orbit."""
    rotation, translation = position.rotations[0], position.translations[0]
    inverse = np.linalg.pinv(rotation)
    wanted = orbit[:, None, :] - translation + _SHIFTS  # (atoms, shifts, 3)
    free = wanted @ inverse.T
    missed = np.linalg.norm((free @ rotation.T - wanted) @ lattice.matrix, axis=-1)
    for atom in range(len(orbit)):
        fits = np.flatnonzero(missed[atom] < SYMPREC)
        if len(fits):
            smallest = np.abs(free[atom, fits] - 0.25).max(axis=-1).argmin()
            yield np.asarray(free[atom, fits[smallest]])


def _distances(lattice: Lattice, first: Array, second: Array) -> Array:
    """Distances (n, m), Å, of points from the nearest image of others."""
    steps = first[:, None, :] - second[None, :, :]
    return np.asarray(np.linalg.norm((steps - np.round(steps)) @ lattice.matrix, axis=-1))


@functools.lru_cache(maxsize=230)
def _hall_number(group: int) -> int:
    """Spglib's number of the setting that the tables of Wyckoff positions have.

    Raises:
        RuntimeError: none of its settings has the operations of the tables.
    """
    general = positions(group)[0]
    wanted = _operations(general.rotations, general.translations)
    for number, kind in _settings():
        if kind == group:
            database = spglib.get_symmetry_from_database(number)
            if _operations(database["rotations"], database["translations"]) == wanted:
                return number
    raise RuntimeError(
        f"space group {group}: spglib {spglib.__version__} has no setting with the operations of "
        "pyxtal's table; expected one, so install versions of both that pyproject.toml allows"
    )


@functools.cache
def _settings() -> tuple[tuple[int, int], ...]:
    """Spglib's numbers of all settings, with those of their space groups."""
    return tuple(
        (number, int(spglib.get_spacegroup_type(number).number)) for number in range(1, 531)
    )


def _operations(rotations: Array, translations: Array) -> _Operations:
    """Symmetry operations as exact numbers, modulo lattice vectors."""
    turned = np.rint(rotations).astype(int).reshape(-1, 9)
    shifted = np.rint(np.asarray(translations) * _TWENTY_FOURTHS).astype(int) % _TWENTY_FOURTHS
    pairs = zip(turned.tolist(), shifted.tolist(), strict=True)
    return frozenset((tuple(turn), tuple(shift)) for turn, shift in pairs)
