"""Structure prototypes and how they are decorated with elements."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.composition import Composition
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from agents.chemistry.chemistry import bond_length, neutral_charges
from agents.spaces.settings import PROTOTYPE_NAMES
from oracle.materials.canonical import canonical_rows
from oracle.materials.crystal import Crystal

_TEMPLATE_BOND = 2.5  # Å, shortest distance in a template; realistic because SYMPREC is absolute
_SHELL = 1.2  # the first shell reaches to this multiple of the shortest distance
# Dummy elements for the slots of a template, by increasing atomic number.
_DUMMIES = tuple(Element.from_Z(z).symbol for z in range(3, 33))

Point = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Prototype:
    """A structure whose slots are to be filled with elements.

    Args:
        name: as in a config.
        structure: any cell; its first, second, ... dummy elements are the slots.
        roles: ``cation`` or ``anion`` for each slot; None allows either in any slot.
        closed_shell: whether decorations are accepted by their valence count (half-Heuslers)
            instead of by charges.
    """

    name: str
    structure: Structure
    roles: tuple[str, ...] | None = None
    closed_shell: bool = False

    @functools.cached_property
    def stoichiometry(self) -> tuple[int, ...]:
        """Atoms per formula unit, one number per slot."""
        counts = [
            sum(site.specie.symbol == dummy for site in self.structure)
            for dummy in _DUMMIES[: len(self.structure.composition)]
        ]
        divisor = math.gcd(*counts)
        return tuple(n // divisor for n in counts)

    @functools.cached_property
    def contacts(self) -> tuple[tuple[int, int, float, tuple[int, int]], ...]:
        """(slot, slot, shortest distance in the template (Å), coordination of both) per pair."""
        primitive = self.structure.get_primitive_structure()
        slots = np.array([_DUMMIES.index(site.specie.symbol) for site in primitive])
        n = len(self.stoichiometry)
        neighbours = [primitive.get_neighbors(site, 2.5 * _TEMPLATE_BOND) for site in primitive]

        def distances(of: int, to: int) -> list[NDArray[np.float64]]:
            """Sorted distances from each atom of one slot to the atoms of another."""
            return [
                np.sort([x.nn_distance for x in around if x.specie.symbol == _DUMMIES[to]])
                for around, slot in zip(neighbours, slots, strict=True)
                if slot == of
            ]

        def shell(of: int, to: int) -> int:
            per_atom = [d for d in distances(of, to) if len(d)]
            return max((int(np.sum(d <= _SHELL * d[0])) for d in per_atom), default=0)

        pairs = []
        for i in range(n):
            for j in range(i, n):
                nearest = [float(d[0]) for d in distances(i, j) if len(d)]
                if nearest:
                    pairs.append((i, j, min(nearest), (shell(i, j), shell(j, i))))
        return tuple(pairs)

    @functools.cached_property
    def atoms(self) -> int:
        """Number of atoms in the primitive cell."""
        return len(self.template(tuple(range(len(self.stoichiometry))))[0].species)

    def template(self, ranks: tuple[int, ...]) -> tuple[Crystal, tuple[int, ...]]:
        """Canonical form for slots with elements of this order by atomic number.

        Returns:
            The crystal with dummy elements, and the slot of each of its atoms.
        """
        return _template(self, ranks)

    def decorate(self, elements: Sequence[str], charges: Sequence[int] | None = None) -> Crystal:
        """The crystal with these elements in the slots, at an estimated lattice parameter.

        Equal to `Crystal.from_structure` of the same structure at a hundredth of the cost, because
        the symmetry of a decorated prototype depends only on the order of its atomic numbers.

        Args:
            elements: distinct symbols, one for each slot.
            charges: of the elements, or None if unknown.
        """
        numbers = [Element(s).Z for s in elements]
        ranks = tuple(int(r) for r in np.argsort(np.argsort(numbers)))
        crystal, slots = self.template(ranks)
        lengths = Lattice(crystal.lattice).parameters
        wanted = lengths[0] * self.scale(elements, charges)
        factor = round(wanted, 3) / lengths[0]  # avoids the edges of the digest's rounding
        a, b, c, *angles = lengths
        return Crystal(
            lattice=canonical_rows([a * factor, b * factor, c * factor, *angles]),
            species=tuple(elements[slot] for slot in slots),
            positions=crystal.positions,
        )

    def scale(self, elements: Sequence[str], charges: Sequence[int] | None = None) -> float:
        """Linear scale of the template at which the closest contact has its bond length.

        With charges, only contacts of opposite charges count; without, those of any two slots.
        """
        q = tuple(charges) if charges is not None else (0,) * len(elements)
        factors = [
            bond_length(elements[i], elements[j], (q[i], q[j]), coordination) / distance
            for i, j, distance, coordination in self.contacts
            if charges is None or q[i] * q[j] < 0
        ]
        return max(factors)


@functools.cache
def _template(prototype: Prototype, ranks: tuple[int, ...]) -> tuple[Crystal, tuple[int, ...]]:
    names: Any = {_DUMMIES[slot]: _DUMMIES[rank] for slot, rank in enumerate(ranks)}
    slot_of = {_DUMMIES[rank]: slot for slot, rank in enumerate(ranks)}
    ordered = prototype.structure.copy()
    ordered.replace_species(names)
    crystal = Crystal.from_structure(ordered)
    return crystal, tuple(slot_of[s] for s in crystal.species)


def _built(
    name: str,
    lattice: Lattice,
    sites: Sequence[Sequence[Point]],
    roles: tuple[str, ...] | None,
    *,
    closed_shell: bool = False,
) -> Prototype:
    """A prototype from its primitive cell and the positions of each slot."""
    species = [_DUMMIES[slot] for slot, points in enumerate(sites) for _ in points]
    structure = Structure(lattice, species, [point for points in sites for point in points])
    return _sized(name, structure, roles, closed_shell=closed_shell)


def _sized(
    name: str, structure: Structure, roles: tuple[str, ...] | None, *, closed_shell: bool = False
) -> Prototype:
    """The prototype, scaled so that its shortest distance is that of templates."""
    shortest = min(n.nn_distance for site in structure for n in structure.get_neighbors(site, 12.0))
    structure = structure.copy()
    structure.scale_lattice(structure.volume * (_TEMPLATE_BOND / shortest) ** 3)
    return Prototype(name, structure, roles, closed_shell)


_AB = ("cation", "anion")
_BA = ("anion", "cation")
_ORIGIN: Point = (0.0, 0.0, 0.0)
_HALF: Point = (0.5, 0.5, 0.5)
_QUARTER: Point = (0.25, 0.25, 0.25)
_THREE_QUARTERS: Point = (0.75, 0.75, 0.75)


@functools.cache
def named_prototypes() -> dict[str, Prototype]:
    """The named prototypes, with ideal values of their free parameters."""
    cubic = Lattice.cubic(5.0)
    fcc = Lattice([[0.0, 2.5, 2.5], [2.5, 0.0, 2.5], [2.5, 2.5, 0.0]])
    fluorite = [[_ORIGIN], [_QUARTER, _THREE_QUARTERS]]
    perovskite: list[list[Point]] = [
        [_ORIGIN],
        [_HALF],
        [(0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5)],
    ]
    table = (
        _built("rocksalt", fcc, [[_ORIGIN], [_HALF]], _AB),
        _built("cscl", cubic, [[_ORIGIN], [_HALF]], _AB),
        _built("zincblende", fcc, [[_ORIGIN], [_QUARTER]], _AB),
        _built(
            "wurtzite",
            Lattice.hexagonal(3.0, 3.0 * math.sqrt(8 / 3)),
            [_hexagonal(0.0, 0.5), _hexagonal(3 / 8, 7 / 8)],
            _AB,
        ),
        _built(
            "nickel-arsenide",
            Lattice.hexagonal(3.0, 4.6),
            [[_ORIGIN, (0.0, 0.0, 0.5)], _hexagonal(0.25, 0.75)],
            _AB,
        ),
        _built("fluorite", fcc, fluorite, _AB),
        _built("antifluorite", fcc, fluorite, _BA),
        _built("rutile", Lattice.tetragonal(4.6, 2.96), _rutile(0.305), _AB),
        _built("cadmium-iodide", *_layered(), _AB),
        _built("anti-cadmium-iodide", *_layered(), _BA),
        _built("half-heusler", fcc, [[_ORIGIN], [_QUARTER], [_HALF]], None, closed_shell=True),
        _built("perovskite", cubic, perovskite, ("cation", "cation", "anion")),
    )
    by_name = {prototype.name: prototype for prototype in table}
    assert tuple(by_name) == PROTOTYPE_NAMES  # what the settings allow
    return by_name


def _hexagonal(low: float, high: float) -> list[Point]:
    """The two sites of hexagonal stacking, at two heights."""
    return [(1 / 3, 2 / 3, low), (2 / 3, 1 / 3, high)]


def _layered() -> tuple[Lattice, list[list[Point]]]:
    return Lattice.hexagonal(4.0, 6.4), [[_ORIGIN], _hexagonal(0.25, 0.75)]


def _rutile(x: float) -> list[list[Point]]:
    near: list[Point] = [(x, x, 0.0), (1 - x, 1 - x, 0.0)]
    centred: list[Point] = [(0.5 + x, 0.5 - x, 0.5), (0.5 - x, 0.5 + x, 0.5)]
    return [[_ORIGIN, _HALF], near + centred]


@functools.cache
def prototype(name: str) -> Prototype:
    """A prototype by the name it has in a config.

    Raises:
        ValueError: no prototype has the given AFLOW label.
    """
    if not name.startswith("aflow:"):
        return named_prototypes()[name]
    # The import reads the whole library, which takes seconds.
    from pymatgen.analysis.prototypes import (  # type: ignore[attr-defined]  # not in __all__
        AFLOW_PROTOTYPE_LIBRARY,
    )

    label = name.removeprefix("aflow:")
    for entry in AFLOW_PROTOTYPE_LIBRARY:
        if entry["tags"]["aflow"] == label:
            structure = entry["snl"].structure.get_primitive_structure()
            symbols = dict.fromkeys(site.specie.symbol for site in structure)
            structure.replace_species(dict(zip(symbols, _DUMMIES, strict=False)))
            return _sized(name, structure, None)
    letters = label.partition("_")[0]
    near = sorted(
        entry["tags"]["aflow"]
        for entry in AFLOW_PROTOTYPE_LIBRARY
        if entry["tags"]["aflow"].partition("_")[0] == letters
    )
    raise ValueError(
        f"{label!r} is not in the AFLOW prototype library of pymatgen; "
        f"labels of formula {letters}: {', '.join(near) or 'none'}"
    )


def competitors(crystal: Crystal, extra: Sequence[str] = ()) -> dict[str, Crystal]:
    """The same composition in every other prototype of its stoichiometry.

    Different assignments of the elements to slots that give different structures (half-Heuslers)
    compete as well. The crystal itself, recognised by its structure whatever its lattice parameter,
    is left out.

    Args:
        crystal: the crystal whose competitors are listed.
        extra: names of further prototypes (``aflow:...``) in addition to the named ones.

    Returns:
        Name of the prototype (with the elements in the order of its slots where there are
        several orders) to the crystal.
    """
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher(scale=True, primitive_cell=False)
    structure = crystal.structure()
    composition = structure.composition.reduced_composition
    assigned = neutral_charges(composition)
    others: dict[str, Crystal] = {}
    digests: set[str] = set()
    for name in dict.fromkeys((*PROTOTYPE_NAMES, *extra)):
        candidate = prototype(name)
        orders = _orders(candidate, composition)
        for elements in orders:
            ionic = assigned is not None and not candidate.closed_shell
            charges = [assigned[s] for s in elements] if ionic and assigned else None
            other = candidate.decorate(elements, charges)
            if other.digest not in digests and not matcher.fit(structure, other.structure()):
                digests.add(other.digest)
                suffix = f" {'-'.join(elements)}" if len(orders) > 1 else ""
                others[name + suffix] = other
    return others


def _orders(candidate: Prototype, composition: Composition) -> list[tuple[str, ...]]:
    """Possible assignments of the elements of a composition to the slots of a prototype.

    Where slots have roles, no cation is more electronegative than an anion.
    """
    symbols = sorted(e.symbol for e in composition.elements)
    wanted = candidate.stoichiometry
    if len(symbols) != len(wanted):
        return []
    orders = []
    for order in itertools.permutations(symbols):
        if any(abs(composition[s] - n) > 1e-6 for s, n in zip(order, wanted, strict=True)):
            continue
        scale: dict[str, list[float]] = {"cation": [], "anion": []}
        for symbol, role in zip(order, candidate.roles or (), strict=False):
            scale[role].append(float(Element(symbol).X))
        if not candidate.roles or max(scale["cation"]) <= min(scale["anion"]):
            orders.append(order)
    return orders
