"""Examples from which the generative model learns what crystals look like, all from packages.

Three sources, none of which is complete by itself: the prototypes of AFLOW's library (Mehl et al.,
Comput. Mater. Sci. 136, S1, 2017, as packaged in pymatgen), with elements exchanged for similar
ones; which Wyckoff positions are occupied together in 68,000 crystals of the Materials Project (the
statistics that pyxtal ships: Fredericks, Parrish, Sayre and Zhu, Comput. Phys. Commun. 261, 107810,
2021), with elements put on them so that charges cancel; and random symmetric crystals that are well
packed. Charges are those that SMACT counts in the ICSD.
"""

from __future__ import annotations

import csv
import functools
import importlib.resources
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.composition import Composition
from pymatgen.core.lattice import Lattice

from agents.chemistry.chemistry import (
    default_elements,
    dissimilarity,
    electronegativity,
    neutral_charges,
)
from agents.spaces.random_crystals import drawn
from agents.spaces.settings import CrystalSpaceSettings
from agents.spaces.site_description import SiteDescription, sites_of
from agents.spaces.wyckoff_sites import Site, centring, positions
from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError

_LARGEST = 32  # atoms in the primitive cell of an example
_ALIKE = 8.0  # decay length of the likelihood of an exchange on Pettifor's scale
_KEPT = 0.2  # share of the examples that keep their elements
_TRIES = 40  # exchanges until charges cancel
_DRAWS = 300  # sets of ions until charges cancel
_DIVISIONS = 6  # of sites between elements
_COMPONENTS = (0.03, 0.42, 0.45, 0.10)  # shares of examples with 1, 2, ... elements
_TOLERANCE = 0.25  # Pauling; by how much an anion may be less electronegative than a cation


@dataclass(frozen=True, eq=False)
class Example:
    """A crystal to learn from.

    Args:
        crystal: its sites and cell.
        complete: whether cell and coordinates mean something.
    """

    crystal: SiteDescription
    complete: bool


def prototypes() -> list[SiteDescription]:
    """The prototypes of AFLOW's library with at most 32 atoms in the primitive cell."""
    from pymatgen.analysis.prototypes import (  # type: ignore[attr-defined]
        AFLOW_PROTOTYPE_LIBRARY,
    )

    found = []
    for entry in AFLOW_PROTOTYPE_LIBRARY:
        try:
            crystal = Crystal.from_structure(entry["snl"].structure)
        except OracleError:
            continue
        if len(crystal.species) <= _LARGEST:
            found.append(sites_of(crystal))
    return found


def decorated_prototypes(rng: np.random.Generator) -> Iterator[Example]:
    """Prototypes in random order, without end, with other elements on their sites."""
    library = prototypes()
    while True:
        one = library[int(rng.integers(len(library)))]
        other = one if rng.random() < _KEPT else _exchanged(one, rng)
        if other is not None:
            yield Example(other, complete=True)


def occupations(rng: np.random.Generator) -> Iterator[Example]:
    """Sites that are occupied together in known crystals, without end, with neutral elements."""
    table, weights = _occupied()
    while True:
        group, sites = table[int(rng.choice(len(table), p=weights))]
        occupied = _divided(group, sites, rng)
        if occupied is not None:
            nowhere = tuple(np.zeros(3) for _ in occupied)
            yield Example(SiteDescription(group, occupied, Lattice.cubic(1.0), nowhere), False)


def random_examples(rng: np.random.Generator, max_atoms: int = 12) -> Iterator[Example]:
    """Well-packed crystals with random positions, without end."""
    settings = CrystalSpaceSettings(elements=default_elements(), max_atoms=max_atoms)
    for crystal in drawn(settings, rng):
        if crystal is not None:
            yield Example(sites_of(crystal), complete=True)


def _exchanged(crystal: SiteDescription, rng: np.random.Generator) -> SiteDescription | None:
    """Other elements on the same sites, similar ones rather; neutral if the crystal was."""
    old = list(dict.fromkeys(site.element for site in crystal.sites))
    counts = _counts(crystal)
    neutral = neutral_charges(Composition(counts), "any") is not None
    for _ in range(_TRIES):
        new = dict(zip(old, (_similar(symbol, rng) for symbol in old), strict=True))
        if len(set(new.values())) < len(old):
            continue
        composition = Composition({new[symbol]: number for symbol, number in counts.items()})
        if not neutral or neutral_charges(composition, "common") is not None:
            sites = tuple(Site(new[site.element], site.position) for site in crystal.sites)
            return SiteDescription(crystal.group, sites, crystal.lattice, crystal.free)
    return None


def _similar(symbol: str, rng: np.random.Generator) -> str:
    elements, weights = similarities(symbol)
    return elements[int(rng.choice(len(elements), p=weights))]


@functools.cache
def similarities(symbol: str) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Elements that may take the place of one, and how likely each does."""
    elements = default_elements(lanthanides=True)
    weights = np.array([np.exp(-dissimilarity(symbol, other) / _ALIKE) for other in elements])
    return elements, weights / weights.sum()


def _counts(crystal: SiteDescription) -> dict[str, int]:
    """Atoms of each element in the primitive cell."""
    counts: Counter[str] = Counter()
    for site in crystal.sites:
        multiplicity = positions(crystal.group)[site.position].multiplicity
        counts[site.element] += multiplicity // centring(crystal.group)
    return dict(counts)


@functools.cache
def _occupied() -> tuple[list[tuple[int, tuple[int, ...]]], NDArray[np.float64]]:
    """Space groups with the positions that are occupied together, and how often they are drawn."""
    table: list[tuple[int, tuple[int, ...]]] = []
    often: list[int] = []
    file = importlib.resources.files("pyxtal.database") / "spg_num_wps_mp.csv"
    with file.open() as lines:
        for row in csv.DictReader(lines):
            group = int(row["spg"])
            if int(row["n_atoms"]) <= _LARGEST * centring(group):
                table.append((group, tuple(int(index) for index in row["wps"].split("-"))))
                often.append(int(row["count"]))
    # The most frequent ones are known from the prototypes.
    weights = np.sqrt(np.array(often, dtype=np.float64))
    return table, weights / weights.sum()


def _divided(group: int, sites: Sequence[int], rng: np.random.Generator) -> tuple[Site, ...] | None:
    """Elements for occupied positions, whose charges cancel; None if none were found."""
    table, cells = positions(group), centring(group)
    for _ in range(_DIVISIONS):
        number = min(1 + int(rng.choice(len(_COMPONENTS), p=_COMPONENTS)), len(sites))
        owner = rng.permutation(
            np.concatenate([np.arange(number), rng.integers(number, size=len(sites) - number)])
        )
        counts = np.zeros(number, dtype=int)
        for index, one in zip(sites, owner, strict=True):
            counts[one] += table[index].multiplicity // cells
        symbols = _neutral(counts, rng)
        if symbols is not None:
            return tuple(Site(symbols[o], k) for k, o in zip(sites, owner, strict=True))
    return None


def _neutral(counts: NDArray[np.int_], rng: np.random.Generator) -> list[str] | None:
    """Distinct elements, by how often their ions are found, whose charges cancel."""
    symbols, charges, weights = _ions()
    if len(counts) == 1:
        return [symbols[int(rng.choice(len(symbols), p=weights))]]
    drawn = rng.choice(len(symbols), p=weights, size=(_DRAWS, len(counts)))
    for row in drawn[(charges[drawn] * counts).sum(axis=1) == 0]:
        chosen = [symbols[int(ion)] for ion in row]
        positive = [electronegativity(symbols[int(i)]) for i in row if charges[i] > 0]
        negative = [electronegativity(symbols[int(i)]) for i in row if charges[i] < 0]
        if len(set(chosen)) == len(counts) and max(positive) <= min(negative) + _TOLERANCE:
            return chosen
    return None


@functools.cache
def _ions() -> tuple[list[str], NDArray[np.int_], NDArray[np.float64]]:
    """Elements and charges of ions, and how often they are drawn."""
    file = importlib.resources.files("smact") / "data" / "oxidation_states_icsd24_counts.json"
    usual = set(default_elements(lanthanides=True))
    rows = [
        (row["element"], int(row["oxidation_state"]), float(row["results_count"]))
        for row in json.loads(file.read_text())
        if row["element"] in usual and row["oxidation_state"] and row["results_count"] >= 10
    ]
    # Oxygen is in most entries; anions and cations are drawn equally often.
    weights = np.sqrt(np.array([count for _, _, count in rows]))
    charges = np.array([charge for _, charge, _ in rows])
    for sign in (charges > 0, charges < 0):
        weights[sign] /= 2 * weights[sign].sum()
    return [symbol for symbol, _, _ in rows], charges, weights
