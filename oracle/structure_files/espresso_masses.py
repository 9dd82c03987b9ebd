"""Masses in input of Quantum ESPRESSO, which ASE does not read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from oracle.materials.crystal_checks import natural_mass, stated_isotope

_CARD = re.compile(r"^\s*ATOMIC_SPECIES\b.*?$(.*?)(?=^\s*(?:[A-Z]+_[A-Z_]+|&)|\Z)", re.M | re.S)
_SPECIES = re.compile(r"^\s*([A-Za-z]{1,2})[\w-]*\s+([\d.]+)([eE][+-]?\d+)?", re.M)
_ROUNDED = 2e-3  # relative; tables of natural masses differ by less


def remarks_on_masses(text: str) -> Iterator[str]:
    """A remark for each species whose mass is not the natural one, which calculations use.

    Programs need a mass of each species even where it does not matter, so that many files have any
    number there. Only those that can be the mass of an isotope are refused.

    Args:
        text: of the file.

    Raises:
        Unusable: the mass of an isotope that is far from the natural one.
    """
    card = _CARD.search(text)
    for name, digits, power in _SPECIES.findall(card[1] if card else ""):
        symbol, stated = _symbol(name), float(digits + power)
        natural = natural_mass(symbol)
        if natural is None or abs(stated - natural) <= _ROUNDED * natural:
            continue
        refusal = stated_isotope(symbol, stated)
        if refusal is not None:
            raise refusal
        yield (
            f"ATOMIC_SPECIES states a mass of {stated:g} u for {symbol}; the natural one, "
            f"{natural:.4g} u, is used"
        )


def _symbol(name: str) -> str:
    """The element of a species: two letters if there is such an element, or the first."""
    title = name.title()
    return title if natural_mass(title) is not None else title[:1]
