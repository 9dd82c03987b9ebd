"""Crystals as sentences: elements, numbers of atoms, space group, sites, cell and coordinates.

A crystal is written as answers to questions that follow each other: which elements, in the order of
electronegativity; how many atoms of each in the primitive cell; which space group; which Wyckoff
positions hold them; the shape of the conventional cell; the free coordinates. `sketched` asks them
and admits an answer only if it agrees with the settings of the space and, once the elements are
known, if the sentence can still end as a crystal of it. So whatever answers, at random or by a
model, can only say what was asked for, or, where elements have no composition, nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.lattice import Lattice

from agents.chemistry.chemistry import by_electronegativity
from agents.spaces.random_crystals import numbers_of_atoms
from agents.spaces.settings import CrystalSpaceSettings
from agents.spaces.site_description import SiteDescription
from agents.spaces.wyckoff_sites import Array, Site, centring, crystal_system, positions

END = 0  # the answer that no further element follows
MOST_ATOMS = 64  # of one element in the primitive cell
_RATIO_STEP, _RATIO_RANGE = 0.05, 2.0  # of the logarithm of b/a and c/a
_ANGLE_STEP, _LEAST_ANGLE, _MOST_ANGLE = 1.5, 60.0, 150.0  # degrees
_FLAT = 0.02  # square of the volume of a cell of unit vectors, below which it counts as none
_COORDINATES = 48  # so that halves, thirds, quarters and eighths are hit
_SHAPES: tuple[tuple[int, ...], ...] = ((1, 2, 3, 4, 5), (1, 2, 4), (1, 2), (2,), (2,), ())
"""Parameters (a, b, c, alpha, beta, gamma by number) that are free, by crystal system; a follows
from the volume."""


class Kind(IntEnum):
    """What is asked."""

    ELEMENT = 0
    COUNT = 1
    GROUP = 2
    POSITION = 3
    RATIO = 4
    ANGLE = 5
    COORDINATE = 6


WORDS: dict[Kind, int] = {
    Kind.ELEMENT: 104,
    Kind.COUNT: MOST_ATOMS + 1,
    Kind.GROUP: 231,
    Kind.POSITION: 27,
    Kind.RATIO: 2 * round(_RATIO_RANGE / _RATIO_STEP) + 1,
    Kind.ANGLE: round((_MOST_ANGLE - _LEAST_ANGLE) / _ANGLE_STEP) + 1,
    Kind.COORDINATE: _COORDINATES,
}
"""Number of possible answers to each kind of question; answers are integers from 0."""


@dataclass(frozen=True, eq=False)
class Question:
    """A question, and what is known as it is asked.

    Args:
        kind: what is asked.
        admits: whether an answer is possible.
        element: atomic number of the element concerned; 0 for none.
        left: atoms of this element that have no place yet.
        group: number of the space group; 0 as long as it is not known.
        position: index of the Wyckoff position whose coordinate is asked, the general one first.
        axis: number of the lattice parameter or coordinate.
    """

    kind: Kind
    admits: Callable[[int], bool]
    element: int = 0
    left: int = 0
    group: int = 0
    position: int = 0
    axis: int = 0


Dialogue = Generator[Question, int, SiteDescription | None]


def sketched(settings: CrystalSpaceSettings, rng: np.random.Generator) -> Dialogue:
    """Ask for a crystal of a space.

    The result has a conventional cell of any volume. It is None where the lattice parameters that
    were answered form no cell.

    Args:
        settings: elements, sizes and space groups of the crystals.
        rng: places parameters within the interval that an answer means.
    """
    symbols = yield from _elements(settings)
    options = numbers(tuple(symbols), settings)
    group, sites = yield from _sites(symbols, options, frozenset(settings.groups))
    lattice = yield from _cell(group, rng)
    free = yield from _coordinates(group, sites, rng)
    return None if lattice is None else SiteDescription(group, sites, lattice, free)


def answers(crystal: SiteDescription, *, complete: bool = True) -> tuple[list[Question], list[int]]:
    """The questions that lead to a crystal, and their answers, none of which is checked.

    Args:
        crystal: its sites in any order.
        complete: whether cell and coordinates are asked for, too.

    Raises:
        ValueError: the crystal has more atoms than there are words for.
    """
    symbols = by_electronegativity({site.element for site in crystal.sites})
    # Of each element, the positions of highest symmetry first.
    order = sorted(
        range(len(crystal.sites)),
        key=lambda k: (symbols.index(crystal.sites[k].element), -crystal.sites[k].position),
    )
    crystal = SiteDescription(
        crystal.group,
        tuple(crystal.sites[k] for k in order),
        crystal.lattice,
        tuple(crystal.free[k] for k in order) if complete else (),
    )
    counts = tuple(_atoms(crystal, symbol) for symbol in symbols)
    if max(counts) > MOST_ATOMS:
        raise ValueError(f"{max(counts)} atoms of one element; expected at most {MOST_ATOMS}")
    words = [*_chemistry(crystal, symbols), *(_geometry(crystal) if complete else ())]
    dialogue = _repeated(symbols, counts, crystal, complete=complete)
    questions = [next(dialogue)]
    for word in words[:-1]:
        questions.append(dialogue.send(word))
    return questions, words


def _repeated(
    symbols: Sequence[str], counts: tuple[int, ...], crystal: SiteDescription, *, complete: bool
) -> Dialogue:
    """The dialogue about a known crystal."""
    for _ in range(len(symbols) + 1):
        yield Question(Kind.ELEMENT, _anything)
    group, sites = yield from _sites(symbols, np.array([counts]), frozenset({crystal.group}))
    if complete:
        rng = np.random.default_rng(0)
        yield from _cell(group, rng)
        yield from _coordinates(group, sites, rng)
    return None


def _chemistry(crystal: SiteDescription, symbols: Sequence[str]) -> Iterator[int]:
    yield from map(number_of, symbols)
    yield END
    for symbol in symbols:
        yield _atoms(crystal, symbol)
    yield crystal.group
    for site in crystal.sites:
        yield site.position


def _geometry(crystal: SiteDescription) -> Iterator[int]:
    parameters = crystal.lattice.parameters
    for axis in _SHAPES[crystal_system(crystal.group)]:
        if axis < 3:
            kind, steps = Kind.RATIO, math.log(parameters[axis] / parameters[0]) / _RATIO_STEP
            steps += WORDS[kind] // 2
        else:
            kind, steps = Kind.ANGLE, (parameters[axis] - _LEAST_ANGLE) / _ANGLE_STEP
        yield min(max(round(steps), 0), WORDS[kind] - 1)
    for site, free in zip(crystal.sites, crystal.free, strict=True):
        for axis in positions(crystal.group)[site.position].axes:
            yield round(float(free[axis]) * _COORDINATES) % _COORDINATES


def _elements(settings: CrystalSpaceSettings) -> Generator[Question, int, list[str]]:
    allowed = by_electronegativity(settings.allowed)
    fewest, most = settings.components
    rank = {number_of(symbol): place for place, symbol in enumerate(allowed)}
    chosen: list[str] = []

    def admits(word: int) -> bool:
        if word == END:
            return len(chosen) >= fewest and len(numbers(tuple(chosen), settings)) > 0
        if word not in rank or len(chosen) == most:
            return False
        later = not chosen or rank[word] > rank[number_of(chosen[-1])]
        enough = len(chosen) + len(allowed) - rank[word] >= fewest
        return later and enough and not settings.forbids([*chosen, allowed[rank[word]]])

    while True:
        word = yield Question(Kind.ELEMENT, admits)
        if word == END:
            return chosen
        chosen.append(allowed[rank[word]])


def _sites(
    symbols: Sequence[str], options: NDArray[np.integer[Any]], groups: frozenset[int]
) -> Generator[Question, int, tuple[int, tuple[Site, ...]]]:
    """Numbers of atoms, the space group, and its positions that hold them."""
    counts: tuple[int, ...] = ()
    for place, symbol in enumerate(symbols):
        left = set(options[:, place].tolist())
        word = yield Question(Kind.COUNT, left.__contains__, element=number_of(symbol))
        options = options[options[:, place] == word]
        counts = (*counts, word)
    group = yield Question(
        Kind.GROUP, lambda word: word in groups and can_hold(word, counts), left=sum(counts)
    )
    table = positions(group)
    sites: list[Site] = []
    for place, symbol in enumerate(symbols):
        left_over = counts[place]
        while left_over:
            admits = _fitting(group, (left_over, *counts[place + 1 :]), tuple(sites))
            word = yield Question(
                Kind.POSITION, admits, element=number_of(symbol), left=left_over, group=group
            )
            sites.append(Site(symbol, word))
            left_over -= table[word].multiplicity // centring(group)
    return group, tuple(sites)


def _cell(group: int, rng: np.random.Generator) -> Generator[Question, int, Lattice | None]:
    """The conventional cell, its first parameter 1 Å; None if the angles form none."""
    system = crystal_system(group)
    parameters = [1.0, 1.0, 1.0, 90.0, 90.0, 120.0 if system == 4 else 90.0]
    for axis in _SHAPES[system]:
        kind = Kind.RATIO if axis < 3 else Kind.ANGLE
        word = yield Question(kind, _anything, group=group, axis=axis)
        within = word + rng.uniform(-0.5, 0.5)
        if kind is Kind.RATIO:
            parameters[axis] = math.exp((within - WORDS[kind] // 2) * _RATIO_STEP)
        else:
            parameters[axis] = _LEAST_ANGLE + within * _ANGLE_STEP
    if system == 3 or system == 4:
        parameters[1] = parameters[0]
    cosines = [math.cos(math.radians(angle)) for angle in parameters[3:]]
    squared = 1 - sum(c * c for c in cosines) + 2 * math.prod(cosines)
    return Lattice.from_parameters(*parameters) if squared > _FLAT else None


def _coordinates(
    group: int, sites: Sequence[Site], rng: np.random.Generator
) -> Generator[Question, int, tuple[Array, ...]]:
    everything = []
    for site in sites:
        free = np.zeros(3)
        for axis in positions(group)[site.position].axes:
            word = yield Question(
                Kind.COORDINATE,
                _anything,
                element=number_of(site.element),
                group=group,
                position=site.position,
                axis=axis,
            )
            free[axis] = (word + rng.uniform(-0.5, 0.5)) / _COORDINATES
        everything.append(free)
    return tuple(everything)


@functools.lru_cache(maxsize=500)
def numbers(symbols: tuple[str, ...], settings: CrystalSpaceSettings) -> NDArray[np.int16]:
    """Atoms (n, k) of each of k elements in the primitive cells that the space allows.

    Of compositions in one formula unit or several, those that a space group can hold.

    Args:
        symbols: of the elements, in any order.
        settings: of the space.
    """
    order = tuple(sorted(symbols, key=settings.allowed.index))
    reduced = numbers_of_atoms(order, settings)[:, [order.index(symbol) for symbol in symbols]]
    whole = [
        units * reduced[reduced.sum(axis=1) * units <= settings.max_atoms]
        for units in range(1, settings.max_atoms // len(symbols) + 1)
    ]
    cells = np.concatenate([np.zeros((0, len(symbols)), dtype=np.int16), *whole])
    cells = cells[cells.max(axis=1, initial=0) <= MOST_ATOMS]
    held = [any(can_hold(g, tuple(one)) for g in settings.groups) for one in cells.tolist()]
    return cells[np.array(held, dtype=bool)]


def can_hold(group: int, counts: tuple[int, ...]) -> bool:
    """Whether the positions of a group can hold numbers of atoms of several elements.

    A position without free coordinates holds one element at most once.

    Args:
        group: number of the space group.
        counts: atoms of each element in the primitive cell.
    """
    return _fits(group, tuple(sorted(counts)), ())


def _fitting(group: int, left: tuple[int, ...], sites: tuple[Site, ...]) -> Callable[[int], bool]:
    """Whether the first of several elements may be at a position, so that all others still fit."""
    table, cells = positions(group), centring(group)
    used = [site.position for site in sites if not table[site.position].freedom]

    def admits(word: int) -> bool:
        if word >= len(table) or word in used:
            return False
        rest = left[0] - table[word].multiplicity // cells
        fixed = [*used, word] if not table[word].freedom else used
        taken = tuple(sorted(table[k].multiplicity // cells for k in fixed))
        return rest >= 0 and _fits(group, tuple(sorted((rest, *left[1:]))), taken)

    return admits


@functools.lru_cache(maxsize=200_000)
def _fits(group: int, left: tuple[int, ...], taken: tuple[int, ...]) -> bool:
    """Whether numbers of atoms fit beside fixed positions of these multiplicities."""
    if not left:
        return True
    if left[0] == 0:
        return _fits(group, left[1:], taken)
    for multiplicity, number in _multiplicities(group):
        if multiplicity > left[0] or taken.count(multiplicity) == number:
            continue
        rest = tuple(sorted((left[0] - multiplicity, *left[1:])))
        more = taken if number < 0 else tuple(sorted((*taken, multiplicity)))
        if _fits(group, rest, more):
            return True
    return False


@functools.lru_cache(maxsize=230)
def _multiplicities(group: int) -> tuple[tuple[int, int], ...]:
    """Multiplicities in the primitive cell, and how many fixed positions have them; -1: no limit.

    Where a position with free coordinates has the same one, fixed positions add nothing.
    """
    cells = centring(group)
    free = {one.multiplicity // cells for one in positions(group) if one.freedom}
    fixed = [one.multiplicity // cells for one in positions(group) if not one.freedom]
    limited = [(each, fixed.count(each)) for each in sorted(set(fixed) - free)]
    return (*((each, -1) for each in sorted(free)), *limited)


def _atoms(crystal: SiteDescription, symbol: str) -> int:
    """Atoms of an element in the primitive cell."""
    table = positions(crystal.group)
    whole = sum(
        table[site.position].multiplicity for site in crystal.sites if site.element == symbol
    )
    return whole // centring(crystal.group)


def _anything(word: int) -> bool:  # the signature of all rules
    return True


@functools.cache
def number_of(symbol: str) -> int:
    """Atomic number of an element."""
    from pymatgen.core.periodic_table import Element

    return int(Element(symbol).Z)
