"""Random crystals with a given space group: symmetric by construction, of the asked chemistry.

A draw chooses elements, a charge-neutral composition, a space group, Wyckoff positions that hold
the numbers of atoms, and free coordinates until the atoms fill the cell as in real crystals.
The volume is the one that the bond lengths of neighbours ask for (Chu, Pham, Wolverton and Ong,
Comput. Mater. Sci. 146, 184, 2018), as pymatgen predicts it.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray
from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from agents.chemistry.chemistry import neutral_charges, neutral_counts, oxidation_states
from agents.spaces.settings import CrystalSpaceSettings
from agents.spaces.wyckoff_sites import built, centring, random_lattice, random_sites
from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError

Numbers = NDArray[np.int16]
_TRIES = 12  # space groups that are tried for a composition
_PLACED = 30  # choices of free coordinates
_FILLED, _USUAL = 0.2, 0.55
"""Share of the volume within covalent radii: the least one, where the closest two atoms touch, and
the usual one (5th and 50th percentile of the prototypes of AFLOW's library in pymatgen)."""


def drawn(settings: CrystalSpaceSettings, rng: np.random.Generator) -> Iterator[Crystal | None]:
    """Random crystals without end, None where atoms did not fit; not all belong to the space.

    Args:
        settings: elements, sizes and space groups of the crystals.
        rng: source of all randomness.
    """
    while True:
        chosen = _some_composition(settings, rng)
        placed = None
        for _ in range(_TRIES if chosen else 0):
            group = int(rng.choice(settings.groups))
            placed = _placed(chosen, group, settings.max_atoms, rng)
            if placed is not None:
                break
        yield None if placed is None else sized(placed)


def check_compositions(settings: CrystalSpaceSettings) -> None:
    """See that there is a composition.

    Raises:
        ValueError: there is none.
    """
    fewest, most = settings.components
    sets = itertools.chain.from_iterable(
        itertools.combinations(settings.allowed, number) for number in range(fewest, most + 1)
    )
    charged = settings.oxidation_states != "none"
    cations, anions = (
        {s for s in settings.allowed if charged and any(sign * q > 0 for q in _states(s, settings))}
        for sign in (1, -1)
    )
    if not any(
        len(numbers_of_atoms(elements, settings))
        for elements in sets
        if not charged or (cations & set(elements) and anions & set(elements))
    ):
        raise ValueError(
            f"no composition of {fewest} to {most} of the elements {', '.join(settings.allowed)} "
            f"is neutral within {settings.max_atoms} atoms and allowed; give more elements, or "
            "oxidation_states: none"
        )


def _some_composition(settings: CrystalSpaceSettings, rng: np.random.Generator) -> dict[str, int]:
    """Atoms of each element in a formula unit; empty where the elements drawn allow none."""
    fewest, most = settings.components
    number = int(rng.integers(fewest, min(most, len(settings.allowed)) + 1))
    drawn = np.sort(rng.choice(len(settings.allowed), number, replace=False))
    elements = tuple(settings.allowed[int(i)] for i in drawn)
    possible = numbers_of_atoms(elements, settings)
    if not len(possible):
        return {}
    chosen = possible[int(rng.integers(len(possible)))].tolist()
    return dict(zip(elements, chosen, strict=True))


@functools.lru_cache(maxsize=500)
def numbers_of_atoms(elements: tuple[str, ...], settings: CrystalSpaceSettings) -> Numbers:
    """Atoms (n, k) of each of k elements in all reduced compositions that the space allows."""
    if settings.forbids(elements) or len(elements) > settings.max_atoms:
        return np.zeros((0, len(elements)), dtype=np.int16)
    counts = _reduced_counts(len(elements), settings.max_atoms)
    if settings.oxidation_states != "none":
        counts = counts[neutral_counts(elements, counts, settings.oxidation_states)]
    return counts


def _states(symbol: str, settings: CrystalSpaceSettings) -> tuple[int, ...]:
    rule = settings.oxidation_states
    return () if rule == "none" else oxidation_states(symbol, rule)


def is_neutral(counts: dict[str, int], settings: CrystalSpaceSettings) -> bool:
    """Whether the charges of a composition cancel, or need not."""
    rule = settings.oxidation_states
    return rule == "none" or neutral_charges(Composition(counts), rule) is not None


def sized(structure: Structure) -> Crystal | None:
    """The crystal at its predicted volume, which does not depend on the one it has.

    None where no volume or no symmetry can be found, or most of the cell would be empty.
    """
    # The import reads a table of bond lengths.
    from pymatgen.analysis.structure_prediction.volume_predictor import DLSVolumePredictor

    spheres = sum(_sphere(site.specie.symbol) for site in structure)
    usual = structure.copy()
    usual.scale_lattice(spheres / _USUAL)
    unlimited: dict[str, Any] = {"min_scaling": None, "max_scaling": None}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predictor = DLSVolumePredictor(**unlimited)  # type: ignore[no-untyped-call]
            volume = float(predictor.predict(usual))
            if spheres / volume < _FILLED / 2:
                return None
            usual.scale_lattice(volume)
            return Crystal.from_structure(usual)
    except (OracleError, ValueError, KeyError, IndexError, TypeError):
        return None


def _placed(
    counts: dict[str, int], group: int, max_atoms: int, rng: np.random.Generator
) -> Structure | None:
    """Atoms placed at random, in a primitive cell of at most so many; None where it fails."""
    formula_units = int(rng.integers(1, max_atoms // sum(counts.values()) + 1))
    factor = formula_units * centring(group)
    sites = random_sites({s: n * factor for s, n in counts.items()}, group, rng)
    if sites is None:
        return None
    volume = factor * sum(n * _sphere(s) for s, n in counts.items()) / _USUAL
    for _ in range(_PLACED):
        free = [rng.random(3) for _ in sites]
        structure = built(group, sites, random_lattice(group, rng).scale(volume), free)
        if is_well_packed(structure):
            return structure
    return None


def is_well_packed(structure: Structure) -> bool:
    """Whether no two atoms are much closer than others, so that the rest would be empty."""
    if len(structure) == 1:
        return True
    radii = np.array([covalent_radii[site.specie.Z] for site in structure])
    distances = structure.distance_matrix
    np.fill_diagonal(distances, min(structure.lattice.abc))
    closest = float((distances / (radii[:, None] + radii[None, :])).min())
    filled = sum(_sphere(site.specie.symbol) for site in structure) / structure.volume
    return filled * closest**3 > _FILLED


def _sphere(symbol: str) -> float:
    """Volume within the covalent radius, Å³."""
    return float(4 / 3 * np.pi * covalent_radii[Element(symbol).Z] ** 3)


@functools.lru_cache(maxsize=8)
def _reduced_counts(number: int, most: int) -> Numbers:
    """Atoms (n, number) of so many elements, at most `most` in all, without common divisor."""
    # Sums of the first, the first two, ... numbers, which are all sets of so many up to `most`.
    flat = itertools.chain.from_iterable(itertools.combinations(range(1, most + 1), number))
    sums = np.fromiter(flat, dtype=np.int16).reshape(-1, number)
    each = np.diff(sums, axis=1, prepend=np.int16(0))
    return np.asarray(each[np.gcd.reduce(each, axis=1) == 1])
