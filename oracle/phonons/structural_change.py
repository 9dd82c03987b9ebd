"""Whether a crystal is still the same structure after relaxation, and what has changed.

Relaxation is continuous: every atom, and every image of it, can be followed from the given to the
relaxed cell. So structures are compared bond by bond, and no mapping between them has to be
searched for, as between two unrelated structures. Bonds have weights that fall smoothly with their
length, because a count of neighbours within a sharp radius changes by several where a whole shell
of neighbours crosses that radius.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

from oracle.materials.canonical import spacegroup_of
from oracle.phonons.doubts import NOTICEABLE

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
_BROKEN = 1.2
"""Factor on its length beyond which a bond counts as broken, or its inverse as new."""
_REARRANGED = 0.2
"""Share of the bonds of one atom that may be broken or new in the same structure. It is a third
between zincblende and rocksalt, and a quarter between rocksalt and caesium chloride or graphite and
diamond."""
_SLIGHT = 0.03
"""Relative change of a bond up to which a higher symmetry is the same structure, given with noise
in its coordinates. The bonds of ferroelectric BaTiO3 change by 8 % towards the cubic structure."""
_SCALED = 0.02
"""Relative change of shape up to which growth is that of a guessed lattice parameter."""
_COORDINATION = 0.1
"""Relative change of an effective coordination number that is worth a caution."""
_FARTHEST = 1.8  # bonds longer than this multiple of an atom's mean one have weights below 1e-14
_ROUNDS = 200


@dataclass(frozen=True)
class StructuralChange:
    """What relaxation has changed.

    Args:
        verdict: how the structure has become another one, or None where it is still the given one.
        noticeable: what has changed noticeably although the structure is the same.
    """

    verdict: str | None
    noticeable: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Bonds:
    """Bonds of two structures of the same atoms, each seen from both of its atoms.

    Args:
        pairs: (m, 5), index of an atom, of its neighbour, and the neighbour's lattice translation.
        lengths: (2, m), in the first and in the second structure, Å.
        weights: (2, m), see `_mean_lengths`.
    """

    pairs: Integers
    lengths: Array
    weights: Array

    @property
    def stretches(self) -> Array:
        """Factors (m,) on the lengths, relative to the median factor of all pronounced bonds."""
        factors = self.lengths[1] / self.lengths[0]
        return factors / float(np.median(factors[self.weights[0] > 0.5]))

    def per_atom(self, values: Array, n_atoms: int) -> Array:
        """Sums (n_atoms,) of values (m,) over the bonds of each atom."""
        return np.asarray(np.bincount(self.pairs[:, 0], values, n_atoms), dtype=np.float64)


def structural_change(before: Atoms, after: Atoms, volume_change: float) -> StructuralChange:
    """Compare a relaxed structure with the given one.

    It is another structure if its volume has changed by more than a limit; if more than a fifth of
    an atom's bonds are broken or new; or if its space group has changed and its bonds by more than
    noise in the given coordinates explains.

    Args:
        before: the given structure.
        after: the relaxed one, with the same atoms in the same order; positions are not wrapped
            into the cell, so that atoms can be followed.
        volume_change: relative change of volume beyond which it counts as another structure.
    """
    ratio = float(after.get_volume() / before.get_volume())
    if abs(ratio - 1.0) > volume_change:
        return StructuralChange(f"its volume changed by {100 * (ratio - 1):+.0f} %")
    bonds = _bonds(before, after)
    reason = _rearranged(before, bonds)
    if reason is not None:
        return StructuralChange(reason)
    changes = [*_sizes(before, after), *_coordinations(before, bonds)]
    names, numbers = zip(*(spacegroup_of(_pymatgen(a)) for a in (before, after)), strict=True)
    if numbers[0] != numbers[1]:
        if np.abs(bonds.stretches[bonds.weights[0] > 0.1] - 1.0).max() > _SLIGHT:
            return StructuralChange(f"its space group changed from {names[0]} to {names[1]}")
        changes.append(f"space group from {names[0]} to {names[1]}")
    return StructuralChange(None, tuple(changes))


def _bonds(before: Atoms, after: Atoms) -> _Bonds:
    """All bonds that have a weight in one of the structures."""
    pairs, means = zip(*(_near(atoms) for atoms in (before, after)), strict=True)
    either = np.unique(np.concatenate(pairs), axis=0)
    first, second, shifts = either[:, 0], either[:, 1], either[:, 2:]
    lengths = np.array(
        [
            np.linalg.norm(
                atoms.positions[second] - atoms.positions[first] + shifts @ atoms.cell.array, axis=1
            )
            for atoms in (before, after)
        ]
    )
    return _Bonds(
        either, lengths, np.array([_weights(lengths[k], means[k][first]) for k in (0, 1)])
    )


def _near(atoms: Atoms) -> tuple[Integers, Array]:
    """Pairs (m, 5) of atoms near enough for a bond, and mean bond lengths (n_atoms,), Å."""
    radius = 4.0
    while True:
        first, second, shifts, distances = neighbor_list("ijSd", atoms, radius)
        nearest = np.full(len(atoms), np.inf)
        np.minimum.at(nearest, first, distances)
        if np.isfinite(nearest).all():
            mean = _mean_lengths(first, distances, nearest)
            if mean.max() * _FARTHEST < radius:
                near = distances < _FARTHEST * mean[first]
                return np.column_stack([first, second, shifts])[near], mean
        radius *= 1.5


def _mean_lengths(first: Integers, distances: Array, nearest: Array) -> Array:
    """Mean bond length (n_atoms,) of each atom, Å.

    The weight of a neighbour at the distance d is ``exp(1 - (d / m)⁶)``, where m is the mean of all
    distances with the same weights; the sum of the weights is the effective coordination number
    (R. Hoppe, Z. Kristallogr. 150, 23 (1979)). The mean is found as a fixed point.
    """
    mean = nearest
    for _ in range(_ROUNDS):
        weights = _weights(distances, mean[first])
        sums = np.bincount(first, weights, len(mean))
        updated = np.bincount(first, weights * distances, len(mean)) / sums
        if np.abs(updated - mean).max() < 1e-9:
            break
        mean = updated
    return mean


def _weights(distances: Array, mean: Array) -> Array:
    return np.exp(1.0 - (distances / mean) ** 6)


def _rearranged(atoms: Atoms, bonds: _Bonds) -> str | None:
    """Which atom has lost or gained too many of its bonds, or None."""
    broken = bonds.weights[0] * (bonds.stretches > _BROKEN)
    new = bonds.weights[1] * (bonds.stretches < 1.0 / _BROKEN)
    lost, gained, total = (
        bonds.per_atom(values, len(atoms)) for values in (broken, new, bonds.weights.max(axis=0))
    )
    share = (lost + gained) / total
    worst = int(np.argmax(share.round(6)))  # the first of equivalent atoms
    if share[worst] <= _REARRANGED:
        return None
    return (
        f"{atoms.symbols[worst]} lost {lost[worst]:.1f} bonds and gained {gained[worst]:.1f} "
        f"of {total[worst]:.1f}"
    )


def _sizes(before: Atoms, after: Atoms) -> list[str]:
    """Noticeable changes of the volume and of lattice parameters.

    Uniform scaling does not count: lattice parameters of hypothetical crystals are guesses. Where a
    structure was given, see `oracle.phonons.doubts.scaling`. The shape must have been kept more
    closely in growth, since layers move apart where the potential lacks an attraction.
    """
    lengths = after.cell.lengths() / before.cell.lengths()
    factors = {"volume": float(after.get_volume() / before.get_volume())} | {
        name: float(factor) for name, factor in zip("abc", lengths, strict=True)
    }
    distortion = np.abs(lengths / factors["volume"] ** (1 / 3) - 1).max()
    if distortion < (_SCALED if factors["volume"] > 1 else NOTICEABLE):
        return []
    return [
        f"{what} by {100 * (factor - 1):+.0f} %"
        for what, factor in factors.items()
        if abs(factor - 1) > NOTICEABLE
    ]


def _coordinations(atoms: Atoms, bonds: _Bonds) -> list[str]:
    """The largest noticeable change of an effective coordination number, if there is one."""
    before, after = (bonds.per_atom(weights, len(atoms)) for weights in bonds.weights)
    worst = int(np.argmax(np.abs(after / before - 1).round(6)))
    if abs(after[worst] / before[worst] - 1) <= _COORDINATION:
        return []
    return [
        f"effective coordination number of {atoms.symbols[worst]} from {before[worst]:.1f} to "
        f"{after[worst]:.1f}"
    ]


def _pymatgen(atoms: Atoms) -> Structure:
    return Structure(
        atoms.cell.array, atoms.get_chemical_symbols(), atoms.get_scaled_positions(wrap=False)
    )
