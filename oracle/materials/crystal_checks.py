"""Checks that a structure, from any source, is a crystal that can be computed as it is meant."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.core.periodic_table import DummySpecies, Element
from pymatgen.core.structure import Structure

OVERLAP = 0.5
"""Å; in no solid are two nuclei closer than this."""

_ISOTOPES = {"D": "deuterium", "T": "tritium"}
_LABEL = re.compile(r"([DT])(?![A-Za-z])")
_NUMBERED = re.compile(r"(\d+)([A-Z][a-z]?)(?![a-z])")
_FARTHEST = 0.3  # relative; masses of isotopes but those of hydrogen are nearer to the natural mass
_ANOTHER = 0.05  # relative; a stated mass that deviates more is no careless rounding
_MASS_TOLERANCE = 2e-3  # relative; tables of natural masses differ by less, pure isotopes by more


class Unusable(ValueError):
    """Why a structure is refused, in one line without the name of its source.

    The line says what was found, what was expected and what to do.
    """


@dataclass(frozen=True)
class Reading:
    """A structure, and what a user should know about how it was read.

    Args:
        structure: as it was meant, in the frame of its source.
        remarks: one line for each decision that reading required.
    """

    structure: Structure
    remarks: tuple[str, ...] = ()


def check_crystal(structure: Structure) -> None:
    """Refuse a structure that would be computed as another material than it describes.

    Raises:
        Unusable: dummy atoms, isotopes or masses of isotopes, not periodic in three directions, no
            volume, numbers that are not finite, partial occupancies, overlapping atoms.
    """
    check_elements(structure)
    _check_masses(structure)
    check_periodicity(structure.lattice.pbc, structure.lattice.matrix)
    if not np.isfinite(structure.frac_coords).all():
        raise Unusable("a position is not a finite number; expected three for each atom")
    if not structure.is_ordered:
        raise Unusable(
            f"{formula_of(structure)} has partial occupancies; "
            "expected one element per site: give an ordered structure"
        )
    # `is_valid` does not look at the distance between an atom and its own periodic images.
    shortest = min(structure.lattice.get_lll_reduced_lattice().abc)
    if shortest < OVERLAP or not structure.is_valid(tol=OVERLAP):
        raise Unusable(
            f"two atoms of {formula_of(structure)} are less than {OVERLAP} Å apart; "
            "expected at least that: check lattice, units, symmetry and rounded coordinates"
        )


def formula_of(structure: Structure) -> str:
    """The reduced formula of a structure, for instance ``NaCl``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some elements have no electronegativity
        return str(structure.composition.reduced_formula)


def check_elements(structure: Structure) -> None:
    """Refuse isotopes and dummy atoms.

    Dummy atoms are recognised by class, since their Z is a hash that differs between processes.
    pymatgen cannot name the formula of some of them, and gives isotopes the element's symbol.

    Raises:
        Unusable: names the symbol.
    """
    for species in {key for site in structure for key in site.species}:
        if isinstance(species, DummySpecies):
            raise Unusable(f"{species.symbol!r} is not an element; expected symbols such as Na")
        name = getattr(species, "element", species).name
        if name in _ISOTOPES:
            raise isotope_refused(name)
    for site in structure:
        # In pymatgen's dictionaries, only the label still shows that a site is an isotope.
        label = _LABEL.match(str(site.label))
        if label and any(species.symbol == "H" for species in site.species):
            raise isotope_refused(label[1])
        numbered = _NUMBERED.match(str(site.label))
        if numbered and any(species.symbol == numbered[2] for species in site.species):
            check_mass_number(int(numbered[1]), numbered[2])


def natural_mass(symbol: str) -> float | None:
    """Natural mass of an element, u; None where there is no such element."""
    return float(Element(symbol).atomic_mass) if Element.is_valid_symbol(symbol) else None


def stated_isotope(symbol: str, mass: float) -> Unusable | None:
    """The refusal of a mass in u that only an isotope can have; None for any other number."""
    natural = natural_mass(symbol)
    if natural is None or abs(mass - natural) <= _ANOTHER * natural:
        return None
    if abs(mass - natural) > (2.1 if symbol == "H" else _FARTHEST) * natural:
        return None
    return _mass_refused(symbol, mass, natural)


def check_mass_number(number: int, symbol: str) -> None:
    """Refuse an isotope that is named by its mass number, as in ``6Li``.

    Mass numbers of isotopes whose mass is the natural one, as that of 23Na, change nothing. Other
    numbers before a symbol are no mass numbers.

    Raises:
        Unusable: names the isotope.
    """
    natural = natural_mass(symbol)
    if natural is None or (number, symbol) == (1, "H"):
        return
    largest = 2.1 if symbol == "H" else _FARTHEST
    if _MASS_TOLERANCE * natural < abs(number - natural) < largest * natural:
        raise Unusable(
            f"{number}{symbol} is an isotope of {symbol}, but calculations use natural masses; "
            f"expected elements: write {symbol} where the natural isotopes are meant"
        )


def check_periodicity(periodic: Iterable[Any], cell: Any) -> None:
    """Refuse slabs, wires and molecules by their periodic flags, and cells without volume.

    Args:
        periodic: one flag for each of the three directions.
        cell: (3, 3), row vectors, Å.

    Raises:
        Unusable: not periodic in three directions, or no volume.
    """
    rows = np.asarray(cell, dtype=float)
    if not np.isfinite(rows).all():
        raise Unusable("its lattice is not made of finite numbers; expected three vectors in Å")
    lengths = np.linalg.norm(rows, axis=1)
    directions = int(np.sum(np.asarray(list(periodic), dtype=bool) & (lengths > 1e-6)))
    if directions < 3:
        raise Unusable(
            f"it is periodic in {directions} of 3 directions; expected a crystal: "
            "give a lattice and pbc in all directions"
        )
    if abs(np.linalg.det(rows)) < 1e-6 * float(np.prod(lengths)):
        raise Unusable("its lattice has no volume; expected three vectors that span a cell")


def isotope_refused(symbol: str) -> Unusable:
    """The refusal of ``D`` and ``T``."""
    return Unusable(
        f"{symbol} is {_ISOTOPES.get(symbol, 'an isotope')}, an isotope of H, but calculations use "
        "natural masses; expected elements: write H where the natural isotopes are meant"
    )


def _check_masses(structure: Structure) -> None:
    """Refuse atoms whose stated masses are not those of the natural elements."""
    if "masses" not in structure.site_properties:
        return
    for site in structure:
        stated = site.properties.get("masses")
        natural = float(Element(site.specie.symbol).atomic_mass) if site.is_ordered else None
        if stated is None or natural is None or np.isnan(float(stated)):
            continue
        if abs(float(stated) - natural) > _MASS_TOLERANCE * natural:
            raise _mass_refused(site.specie.symbol, float(stated), natural)


def _mass_refused(symbol: str, stated: float, natural: float) -> Unusable:
    return Unusable(
        f"an atom of {symbol} has the mass {stated:g} u, but calculations use the natural mass "
        f"({natural:g} u); expected that one: give it, or leave the masses out, where the natural "
        "isotopes are meant"
    )
