"""Which prototype a crystal of the user's own is an instance of, by symmetry alone."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter

import spglib
from pymatgen.core.periodic_table import Element

from agents.spaces.prototype_table import Prototype, named_prototypes
from oracle.materials.crystal import Crystal
from oracle.materials.rounding import SYMPREC

Orbits = tuple[tuple[int, str], ...]
"""(atoms in the primitive cell, site symmetry) of each orbit, sorted."""
Sites = tuple[int, tuple[Orbits, ...]]
"""Number of the space group, and the orbits of each kind of atom."""


def family_of(crystal: Crystal) -> str | None:
    """Name of the prototype with the crystal's composition, space group and site symmetries.

    Where slots have roles, no cation may be more electronegative than an anion, which tells
    fluorites from antifluorites. Free parameters (a ratio of axes, a height) are not compared.

    Returns:
        A name of `agents.spaces.settings.PROTOTYPE_NAMES`, or None where it is none of them.
    """
    symbols = tuple(dict.fromkeys(crystal.species))
    if (len(symbols), len(crystal.species)) not in _sizes():
        return None  # most crystals of a large pool are told apart by this alone
    found = _sites(crystal)
    for order in itertools.permutations(range(len(symbols))):
        group, orbits = found
        sites = group, tuple(orbits[i] for i in order)
        for candidate in _known().get(sites, ()):
            if _fits(candidate, tuple(symbols[i] for i in order)):
                return candidate.name
    return None


def _fits(candidate: Prototype, symbols: tuple[str, ...]) -> bool:
    """Whether the elements on a prototype's slots can have the roles of these."""
    scale: dict[str, list[float]] = {"cation": [], "anion": []}
    for symbol, role in zip(symbols, candidate.roles or (), strict=False):
        # Of noble gases there is none, and asking `Element.X` for it warns.
        scale[role].append(float(Element(symbol).data.get("X") or math.nan))
    return not candidate.roles or max(scale["cation"]) <= min(scale["anion"])


def _sites(crystal: Crystal) -> Sites:
    symbols = list(dict.fromkeys(crystal.species))
    numbers = [symbols.index(s) + 1 for s in crystal.species]
    cell = (crystal.lattice, crystal.positions, numbers)
    found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
    if found is None:
        return 1, tuple(((n, "1"),) for n in Counter(numbers).values())
    orbits: list[Orbits] = []
    for number in range(1, len(symbols) + 1):
        members = [i for i, n in enumerate(numbers) if n == number]
        sizes = Counter(int(found.equivalent_atoms[i]) for i in members)
        orbits.append(tuple(sorted((n, found.site_symmetry_symbols[i]) for i, n in sizes.items())))
    return int(found.number), tuple(orbits)


@functools.cache
def _known() -> dict[Sites, tuple[Prototype, ...]]:
    """Prototypes by what their slots look like."""
    table: dict[Sites, tuple[Prototype, ...]] = {}
    for candidate in named_prototypes().values():
        crystal, slots = candidate.template(tuple(range(len(candidate.stoichiometry))))
        first = list(dict.fromkeys(slots))  # slots in the order of the crystal's elements
        group, orbits = _sites(crystal)
        sites = group, tuple(orbits[first.index(slot)] for slot in range(len(first)))
        table[sites] = (*table.get(sites, ()), candidate)
    return table


@functools.cache
def _sizes() -> frozenset[tuple[int, int]]:
    """(elements, atoms of the primitive cell) of all prototypes."""
    return frozenset((len(p.stoichiometry), p.atoms) for p in named_prototypes().values())
