"""Which prototype a crystal belongs to, by symmetry alone."""

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
"""Space-group number, and the orbits of each element."""


def family_of(crystal: Crystal) -> str | None:
    """Name of the prototype with the crystal's composition, space group and site symmetries.

    Where slots have roles, no cation may be more electronegative than an anion, which distinguishes
    fluorites from antifluorites. Free parameters (axial ratios, internal coordinates) are not
    compared.

    Returns:
        A name in `agents.spaces.settings.PROTOTYPE_NAMES`, or None if no prototype matches.
    """
    symbols = tuple(dict.fromkeys(crystal.species))
    known = _known(len(symbols), len(crystal.species))
    if not known:
        return None  # a fast test that excludes most crystals of a large pool
    crystal_sites = _sites(crystal)
    for order in itertools.permutations(range(len(symbols))):
        group, orbits = crystal_sites
        sites = group, tuple(orbits[i] for i in order)
        for candidate in known.get(sites, ()):
            if _fits(candidate, tuple(symbols[i] for i in order)):
                return candidate.name
    return None


def _fits(candidate: Prototype, symbols: tuple[str, ...]) -> bool:
    """Whether the elements can have the roles (cation or anion) of a prototype's slots."""
    scale: dict[str, list[float]] = {"cation": [], "anion": []}
    for symbol, role in zip(symbols, candidate.roles or (), strict=False):
        # Noble gases have no electronegativity, and `Element.X` warns of that.
        scale[role].append(float(Element(symbol).data.get("X") or math.nan))
    return not candidate.roles or max(scale["cation"]) <= min(scale["anion"])


def _sites(crystal: Crystal) -> Sites:
    symbols = list(dict.fromkeys(crystal.species))
    numbers = [symbols.index(s) + 1 for s in crystal.species]
    cell = (crystal.lattice, crystal.positions, numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
    if dataset is None:
        return 1, tuple(((n, "1"),) for n in Counter(numbers).values())
    orbits: list[Orbits] = []
    for number in range(1, len(symbols) + 1):
        members = [i for i, n in enumerate(numbers) if n == number]
        sizes = Counter(int(dataset.equivalent_atoms[i]) for i in members)
        orbits.append(
            tuple(sorted((n, dataset.site_symmetry_symbols[i]) for i, n in sizes.items()))
        )
    return int(dataset.number), tuple(orbits)


@functools.cache
def _known(elements: int, atoms: int) -> dict[Sites, tuple[Prototype, ...]]:
    """Prototypes with these numbers, of atoms in the primitive cell, by space group and sites."""
    table: dict[Sites, tuple[Prototype, ...]] = {}
    for candidate in named_prototypes().values():
        # Named prototypes are defined by their primitive cells.
        if (len(candidate.stoichiometry), len(candidate.structure)) != (elements, atoms):
            continue
        crystal, slots = candidate.template(tuple(range(elements)))
        first = list(dict.fromkeys(slots))  # slots in the order of the crystal's elements
        group, orbits = _sites(crystal)
        sites = group, tuple(orbits[first.index(slot)] for slot in range(elements))
        table[sites] = (*table.get(sites, ()), candidate)
    return table
