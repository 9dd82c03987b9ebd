"""Crossover by cut and splice: part of the cell from one crystal, the rest from another.

As introduced for clusters by Deaven and Ho, Phys. Rev. Lett. 75, 288 (1995), and for crystals by
Glass, Oganov and Hansen, Comput. Phys. Commun. 175, 713 (2006). Cuts go through atoms that both
parents have at the origin, and what is almost symmetric is made so: parents of some symmetry would
otherwise have children with none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import spglib
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from agents.spaces.wyckoff_sites import Array
from oracle.materials.crystal import Crystal

_SHARES = (0.35, 0.65)  # of the first parent
_EDGE = 1e-3  # fractional; atoms this close to a cut are beyond it
_TOLERANCES = (0.6, 0.4, 0.25, 0.1, 0.01)  # Å, within which atoms count as equivalent
_ASSIGNED = 4096  # ways to put elements on orbits that are tried, at most

Composed = Callable[[dict[str, int]], bool]
"""Whether a composition may be, given by the atoms of each element."""


def spliced(
    first: Crystal,
    second: Crystal,
    may_be: Composed,
    rng: np.random.Generator,
) -> Structure | None:
    """A child of two crystals, of as high a symmetry as it nearly has.

    If its composition may not be, elements of the parents are put on its orbits such that one that
    may be arises and the fewest atoms change.

    Args:
        first: one parent.
        second: the other.
        may_be: whether a composition is allowed.
        rng: source of all randomness.

    Returns:
        A primitive cell, whose volume has no meaning; None if the cut leaves atoms on one side
        only, or no composition may be.
    """
    joined = _joined(first, second, rng)
    if joined is None:
        return None
    child, orbits = _symmetrised(joined)
    elements = sorted({*first.species, *second.species})
    species = _assigned(_symbols(child), orbits, elements, may_be, rng)
    return None if species is None else Structure(child.lattice, species, child.frac_coords)


def _joined(first: Crystal, second: Crystal, rng: np.random.Generator) -> Structure | None:
    """The lower part of the first crystal below the upper part of the second."""
    share = float(rng.uniform(*_SHARES))
    (cell, lower, below), (other, upper, above) = (_turned(one, rng) for one in (first, second))
    kept, added = lower[:, 2] < share - _EDGE, upper[:, 2] >= share - _EDGE
    if not kept.any() or not added.any():
        return None
    weight = float(rng.choice([0.0, 0.5, 1.0]))
    parameters = (1 - weight) * np.array(cell.parameters) + weight * np.array(other.parameters)
    lattice = Lattice.from_parameters(*parameters)
    species = [*itertools.compress(below, kept), *itertools.compress(above, added)]
    return Structure(lattice, species, np.concatenate([lower[kept], upper[added]]))


def _turned(crystal: Crystal, rng: np.random.Generator) -> tuple[Lattice, Array, Sequence[str]]:
    """The crystal with its axes in another order and some atom at the origin, at unit density.

    Fractional coordinates just below 1 are given as ones just below 0.
    """
    order = rng.permutation(3)
    rows, points = np.array(crystal.lattice)[order], np.array(crystal.positions)[:, order]
    points = (points - points[int(rng.integers(len(points)))] + _EDGE) % 1.0 - _EDGE
    return Lattice(rows).scale(float(len(points))), points, crystal.species


def _symmetrised(joined: Structure) -> tuple[Structure, list[int]]:
    """The primitive cell of ideal symmetry, and for each atom the first one equivalent to it."""
    numbers = [site.specie.Z for site in joined]
    usual = joined.copy()
    usual.scale_lattice(20.0 * len(joined))  # Å³; tolerances are lengths
    cell = (usual.lattice.matrix, usual.frac_coords, numbers)
    for tolerance in _TOLERANCES:
        standard = spglib.standardize_cell(cell, to_primitive=True, symprec=tolerance)
        if standard is None:
            continue
        found = spglib.get_symmetry_dataset(standard, symprec=0.01)
        if found is not None and found.number > 1:
            rows, points, kinds = standard
            symbols = [Element.from_Z(int(z)).symbol for z in kinds]
            return Structure(Lattice(rows), symbols, points), found.equivalent_atoms.tolist()
    return usual, list(range(len(usual)))


def _assigned(
    species: Sequence[str],
    orbits: Sequence[int],
    elements: Sequence[str],
    may_be: Composed,
    rng: np.random.Generator,
) -> list[str] | None:
    """Elements of the atoms, the same on each orbit, of a composition that may be."""
    names = sorted(set(orbits))
    given = [species[orbit] for orbit in names]
    sizes = [orbits.count(orbit) for orbit in names]
    if len(elements) ** len(names) > _ASSIGNED:
        ways = [tuple(given)]
    else:
        ways = list(itertools.product(elements, repeat=len(names)))
        changed = np.array(
            [
                sum(n for old, new, n in zip(given, way, sizes, strict=True) if old != new)
                for way in ways
            ]
        )
        ways = [ways[int(i)] for i in np.lexsort((rng.random(len(ways)), changed))]
    for way in ways:
        counts: dict[str, int] = {}
        for symbol, n in zip(way, sizes, strict=True):
            counts[symbol] = counts.get(symbol, 0) + n
        if may_be(counts):
            return [way[names.index(orbit)] for orbit in orbits]
    return None


def _symbols(structure: Structure) -> list[str]:
    return [site.specie.symbol for site in structure]
