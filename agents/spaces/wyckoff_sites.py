"""Crystals from space groups, occupied Wyckoff positions and free parameters.

The tables of Wyckoff positions are those of pyxtal, in the standard settings of the International
Tables (hexagonal axes for trigonal groups).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

Array = NDArray[np.float64]
_ATTEMPTS = 6  # random fillings before numbers of atoms count as impossible
_STRETCH = 0.45  # standard deviation of the logarithm of a ratio of lattice parameters
_TILT = 15.0  # degrees, largest deviation from a right angle
_SYSTEMS = (2, 15, 74, 142, 194)  # last triclinic, monoclinic, ... hexagonal group


@dataclass(frozen=True, eq=False)
class Position:
    """A Wyckoff position.

    Args:
        letter: of the International Tables.
        rotations: (multiplicity, 3, 3), acting on the free coordinates of the first point.
        translations: (multiplicity, 3).
        freedom: number of free coordinates.
    """

    letter: str
    rotations: Array
    translations: Array
    freedom: int

    @property
    def multiplicity(self) -> int:
        """Points in the conventional cell."""
        return len(self.rotations)

    @property
    def axes(self) -> tuple[int, ...]:
        """Which of the three coordinates are free."""
        return tuple(int(k) for k in np.flatnonzero(self.rotations[0].any(axis=0)))

    def points(self, free: Array) -> Array:
        """All points (multiplicity, 3), fractional, from coordinates (3,) of which some count."""
        return np.asarray((self.rotations @ free + self.translations) % 1.0)


@dataclass(frozen=True)
class Site:
    """An occupied Wyckoff position: the element, and the index of the position in its group."""

    element: str
    position: int


@functools.lru_cache(maxsize=230)
def positions(group: int) -> tuple[Position, ...]:
    """The Wyckoff positions of a space group, the general one first."""
    from pyxtal.symmetry import Group

    table = []
    for one in Group(group):
        matrices = np.array([operation.affine_matrix for operation in one.ops])
        table.append(
            Position(
                one.letter,
                matrices[:, :3, :3],
                matrices[:, :3, 3],
                int(np.linalg.matrix_rank(matrices[0, :3, :3])),
            )
        )
    return tuple(table)


@functools.lru_cache(maxsize=230)
def centring(group: int) -> int:
    """Number of primitive cells in the conventional one."""
    from pyxtal.symmetry import Group

    number = {"A": 2, "B": 2, "C": 2, "I": 2, "F": 4, "R": 3}
    return number.get(Group(group, quick=True).symbol[0], 1)


def crystal_system(group: int) -> int:
    """Triclinic, monoclinic, orthorhombic, tetragonal, hexagonal (and trigonal), cubic, from 0."""
    return int(np.searchsorted(_SYSTEMS, group))


def random_sites(
    counts: Mapping[str, int], group: int, rng: np.random.Generator
) -> tuple[Site, ...] | None:
    """Wyckoff positions that hold these numbers of atoms, drawn at random; None if none is found.

    Positions without free coordinates hold one element at most once.

    Args:
        counts: atoms of each element in the conventional cell.
        group: number of the space group.
        rng: source of all randomness.
    """
    table = positions(group)
    for _ in range(_ATTEMPTS):
        sites: list[Site] = []
        for element, wanted in counts.items():
            left = wanted
            while left:
                used = {site.position for site in sites}
                possible = [
                    k
                    for k, one in enumerate(table)
                    if one.multiplicity <= left and (one.freedom or k not in used)
                ]
                if not possible:
                    break
                chosen = possible[int(rng.integers(len(possible)))]
                sites.append(Site(element, chosen))
                left -= table[chosen].multiplicity
            if left:
                break
        else:
            return tuple(sites)
    return None


def random_lattice(group: int, rng: np.random.Generator) -> Lattice:
    """A lattice of the group's crystal system and of 1 Å³, with random ratios and angles."""
    a, b, c = np.exp(rng.normal(scale=_STRETCH, size=3))
    tilts = 90.0 + rng.uniform(-_TILT, _TILT, size=3)
    system = crystal_system(group)
    lattice = (
        lambda: Lattice.from_parameters(a, b, c, *tilts),
        lambda: Lattice.monoclinic(a, b, c, 90.0 + abs(tilts[1] - 90.0)),
        lambda: Lattice.orthorhombic(a, b, c),
        lambda: Lattice.tetragonal(a, c),
        lambda: Lattice.hexagonal(a, c),
        lambda: Lattice.cubic(1.0),
    )[system]()
    return lattice.scale(1.0)


def built(group: int, sites: Sequence[Site], lattice: Lattice, free: Sequence[Array]) -> Structure:
    """The conventional cell of a crystal.

    Args:
        group: number of the space group.
        sites: occupied positions.
        lattice: of the conventional cell.
        free: (3,) coordinates for each site, of which only the free ones count.
    """
    table = positions(group)
    points = [table[site.position].points(each) for site, each in zip(sites, free, strict=True)]
    species = [site.element for site, each in zip(sites, points, strict=True) for _ in each]
    return Structure(lattice, species, np.concatenate(points))
