"""Similarity among the crystals or compositions of a list: structure type, elements, volume."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from agents.chemistry.chemistry import dissimilarity, pettifor
from agents.spaces.index import Index
from oracle.materials.composition import Composition
from oracle.materials.crystal import Crystal

_SWAPS = 64  # most neighbours of each sort
_FALLBACK = 12  # nearest crystals by descriptor, used when none is one substitution away

StructureType = tuple[int, tuple[float, ...], tuple[int, ...], tuple[int, ...]]
Formula = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class _Entry:
    kind: StructureType
    formula: Formula
    volume: float  # Å³ per atom


class CrystalIndex(Index):
    """Similarity among the crystals of a space.

    Args:
        members: crystals by their index in the space.
    """

    def __init__(self, members: Mapping[int, Any]) -> None:
        self._entries = self._described(members)
        self._by_kind: dict[StructureType, list[int]] = {}
        self._by_formula: dict[Formula, list[int]] = {}
        self._swaps: dict[tuple[StructureType, Formula, float], list[int]] = {}
        for at, entry in self._entries.items():
            self._by_kind.setdefault(entry.kind, []).append(at)
            self._by_formula.setdefault(entry.formula, []).append(at)
            for rest, count in _leave_one_out(entry.formula):
                self._swaps.setdefault((entry.kind, rest, count), []).append(at)
        self._rows = list(self._entries)

    def _described(self, members: Mapping[int, Any]) -> dict[int, _Entry]:
        """What is compared of each member."""
        return _entries(members)

    def neighbours(self, at: int) -> list[int]:
        """Members of the same structure type with one element exchanged, similar elements first.

        Then other structures of the same formula. Without either, the nearest members by mean and
        spread on Pettifor's scale, and by volume.
        """
        entry = self._entries[at]
        distance: dict[int, float] = {}
        for rest, count in _leave_one_out(entry.formula):
            (removed,) = set(entry.formula) - set(rest)
            for other in self._swaps[entry.kind, rest, count]:
                if other == at:
                    continue
                changed = set(self._entries[other].formula) - set(rest)
                new = next(iter(changed))[0] if changed else removed[0]
                step = dissimilarity(removed[0], new)
                distance[other] = min(step, distance.get(other, np.inf))
        swaps = sorted(distance, key=lambda i: (distance[i], i))[:_SWAPS]
        same = [i for i in self._by_formula[entry.formula] if i != at and i not in distance]
        nearby = swaps + same[:_SWAPS]
        return nearby or self._nearest(at)

    def crossings(self, at: int, other: int, rng: np.random.Generator) -> list[int]:
        """Members with the structure type of one parent and elements of both, in random order."""
        first, second = self._entries[at], self._entries[other]
        symbols = {s for s, _ in first.formula} | {s for s, _ in second.formula}
        members: dict[int, None] = {}
        for kind, elements in ((first.kind, second.formula), (second.kind, first.formula)):
            for member in self._by_formula.get(elements, ()):
                if self._entries[member].kind == kind:
                    members[member] = None
        for parent in (first, second):
            for rest, count in _leave_one_out(parent.formula):
                for member in self._swaps[parent.kind, rest, count]:
                    if all(s in symbols for s, _ in self._entries[member].formula):
                        members[member] = None
        mixed = [i for i in members if i not in (at, other)]
        return [mixed[i] for i in rng.permutation(len(mixed))]

    def strained(self, at: int) -> list[int]:
        """Members of the same structure type, closest in volume per atom first."""
        entry = self._entries[at]
        same = [i for i in self._by_kind[entry.kind] if i != at]
        change = {i: abs(np.log(self._entries[i].volume / entry.volume)) for i in same}
        return sorted(same, key=lambda i: (change[i], i))[:_SWAPS]

    def _nearest(self, at: int) -> list[int]:
        """The nearest other members by descriptor."""
        k = min(_FALLBACK + 1, len(self._rows))
        _, rows = self._tree.query(_descriptor(self._entries[at]), k=k)
        nearest = (self._rows[int(i)] for i in np.atleast_1d(rows))
        return [i for i in nearest if i != at]

    @functools.cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(np.array([_descriptor(self._entries[at]) for at in self._rows]))


class CompositionIndex(CrystalIndex):
    """Similarity among compositions: amounts take the place of structure types.

    Args:
        members: compositions by their index in the space.
    """

    def _described(self, members: Mapping[int, Any]) -> dict[int, _Entry]:
        """What is compared of each member; none has a volume."""
        entries: dict[int, _Entry] = {}
        one: Composition
        for at, one in members.items():
            counts = tuple(sorted(amount for _, amount in one.amounts))
            entries[at] = _Entry((0, counts, (), ()), one.amounts, 1.0)
        return entries


def _entries(members: Mapping[int, Crystal]) -> dict[int, _Entry]:
    """Structure type and composition of canonical cells, without a symmetry analysis.

    The type consists of the number of atoms, the counts of the elements, the lattice angles
    (rounded to 5°) and the distances of the atoms from the first one (rounded to a tenth of the
    cube root of the volume).
    """
    by_size: dict[int, list[int]] = {}
    for at, crystal in members.items():
        by_size.setdefault(len(crystal.species), []).append(at)
    entries: dict[int, _Entry] = {}
    for atoms, same in by_size.items():
        rows = np.array([members[at].lattice for at in same])  # (m, 3, 3)
        places = np.array([members[at].positions for at in same])  # (m, atoms, 3)
        volumes = np.abs(np.linalg.det(rows))
        lengths = np.linalg.norm(rows, axis=2)
        metric = rows @ rows.transpose(0, 2, 1)
        cosines = metric / (lengths[:, :, None] * lengths[:, None, :])
        angles = np.degrees(np.arccos(np.clip(cosines[:, *np.triu_indices(3, 1)], -1, 1)))
        steps = places - places[:, :1]
        steps -= np.round(steps)
        distances = np.linalg.norm(steps @ rows, axis=2) / np.cbrt(volumes)[:, None]
        angle_keys = np.sort(np.rint(angles / 5).astype(int), axis=1).tolist()
        distance_keys = np.sort(np.rint(10 * distances).astype(int), axis=1).tolist()
        for i, at in enumerate(same):
            formula = _formula(members[at].species)
            counts = tuple(sorted(n for _, n in formula))
            kind = (atoms, counts, tuple(angle_keys[i]), tuple(distance_keys[i]))
            entries[at] = _Entry(kind, formula, float(volumes[i]) / atoms)
    return {at: entries[at] for at in members}


def _formula(species: tuple[str, ...]) -> Formula:
    counts: dict[str, int] = {}
    for symbol in species:
        counts[symbol] = counts.get(symbol, 0) + 1
    divisor = math.gcd(*counts.values())
    return tuple(sorted((s, n // divisor) for s, n in counts.items()))


def _leave_one_out(formula: Formula) -> list[tuple[Formula, float]]:
    """The formula without each of its elements in turn, with the count of the removed element."""
    return [(formula[:i] + formula[i + 1 :], n) for i, (_, n) in enumerate(formula)]


def _descriptor(entry: _Entry) -> NDArray[np.float64]:
    """(3,): mean and spread on Pettifor's scale, divided by 10, and 10 times the log volume."""
    scale = np.array([pettifor(s) for s, _ in entry.formula]) / 10.0
    weights = np.array([n for _, n in entry.formula], dtype=float)
    mean = float(np.average(scale, weights=weights))
    spread = float(np.sqrt(np.average((scale - mean) ** 2, weights=weights)))
    return np.array([mean, spread, 10.0 * np.log(entry.volume)])
