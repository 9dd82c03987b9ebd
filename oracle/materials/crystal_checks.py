"""What makes a structure no crystal that can be computed as it is meant, whatever its source."""

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
"""Å; no two nuclei of any solid are closer."""

_ISOTOPES = {"D": "deuterium", "T": "tritium"}
_LABEL = re.compile(r"([DT])(?![A-Za-z])")
_MASS_TOLERANCE = 2e-3  # relative; tables of natural masses differ by less, isotopes by more


class Unusable(ValueError):
    """One line without the source's name: what was found, what was expected, what to do."""


@dataclass(frozen=True)
class Reading:
    """A structure, and what a user should know of how it was read.

    Args:
        structure: as it was meant, in the frame of its source.
        remarks: one line each; empty where nothing was decided.
    """

    structure: Structure
    remarks: tuple[str, ...] = ()


def check_crystal(structure: Structure) -> None:
    """Refuse what would be computed as another material than the one that was given.

    Raises:
        Unusable: dummies, isotopes or masses of isotopes, not periodic in three directions, no
            volume, numbers that are none, partial occupancies, overlapping atoms.
    """
    check_elements(structure)
    _check_masses(structure)
    check_periodicity(structure.lattice.pbc, structure.lattice.matrix)
    if not np.isfinite(structure.frac_coords).all():
        raise Unusable("a position is not a finite number; expected three for each atom")
    if not structure.is_ordered:
        raise Unusable(
            f"{_formula(structure)} has partial occupancies; "
            "expected one element per site: give an ordered structure"
        )
    # Distances between sites leave out an atom's distance to its own images.
    shortest = min(structure.lattice.get_lll_reduced_lattice().abc)
    if shortest < OVERLAP or not structure.is_valid(tol=OVERLAP):
        raise Unusable(
            f"two atoms of {_formula(structure)} are less than {OVERLAP} Å apart; "
            "expected at least that: check lattice, units, symmetry and rounded coordinates"
        )


def _formula(structure: Structure) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some elements have no electronegativity
        return str(structure.composition.reduced_formula)


def check_elements(structure: Structure) -> None:
    """Refuse isotopes, and dummies by class: their Z is a hash that differs between processes.

    pymatgen cannot even name the formula of some, and calls isotopes by the element's symbol.

    Raises:
        Unusable: naming the symbol.
    """
    for species in {key for site in structure for key in site.species}:
        if isinstance(species, DummySpecies):
            raise Unusable(f"{species.symbol!r} is no element; expected symbols such as Na")
        name = getattr(species, "element", species).name
        if name in _ISOTOPES:
            raise isotope_refused(name)
    for site in structure:
        # All that pymatgen's dictionaries keep of an isotope is the label.
        label = _LABEL.match(str(site.label))
        if label and any(species.symbol == "H" for species in site.species):
            raise isotope_refused(label[1])


def check_periodicity(periodic: Iterable[Any], cell: Any) -> None:
    """Refuse slabs, wires and molecules that say so, and cells without volume.

    Args:
        periodic: flag for each of the three directions.
        cell: (3, 3), rows, Å.

    Raises:
        Unusable: not periodic in three directions.
    """
    rows = np.asarray(cell, dtype=float)
    if not np.isfinite(rows).all():
        raise Unusable("its lattice is not of finite numbers; expected three vectors in Å")
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
    """What is said of ``D`` and ``T``."""
    return Unusable(
        f"{symbol} is {_ISOTOPES.get(symbol, 'an isotope')}, an isotope of H, and masses are the "
        "natural ones; expected elements: write H where the natural isotopes are meant"
    )


def _check_masses(structure: Structure) -> None:
    """Refuse masses beside the atoms that are not those of the natural elements."""
    if "masses" not in structure.site_properties:
        return
    for site in structure:
        given = site.properties.get("masses")
        natural = float(Element(site.specie.symbol).atomic_mass) if site.is_ordered else None
        if given is None or natural is None or np.isnan(float(given)):
            continue
        if abs(float(given) - natural) > _MASS_TOLERANCE * natural:
            raise Unusable(
                f"an atom of {site.specie.symbol} has the mass {float(given):g} u, and masses are "
                f"the natural ones ({natural:g} u); expected no other: leave the masses out where "
                "the natural isotopes are meant"
            )
