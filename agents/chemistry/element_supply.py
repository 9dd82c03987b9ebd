"""What elements cost and how concentrated their supply is, from tables that pymatgen ships.

Prices are those of pymatgen's table of elements: US dollars per kilogram in 2013, from Wikipedia,
Wolfram Alpha and the US Geological Survey. Those of sodium, potassium, chlorine and fluorine are of
the pure elements, and compounds of them are cheaper; the table orders compounds rather than tells
what one pays. The Herfindahl-Hirschman indices say how far the production and the known reserves of
an element lie in few countries, from 0 to 10,000, where more than 2,500 count as high: Gaultois et
al., Chem. Mater. 25, 2911 (2013). A compound's numbers are the means of its elements' by mass.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element


def price(composition: Composition) -> float | None:
    """Price of the elements, USD/kg; None where that of one is not known."""
    return _by_mass(composition, _price)


def hhi_production(composition: Composition) -> float | None:
    """Herfindahl-Hirschman index of production; None where that of one element is not known."""
    return _by_mass(composition, lambda symbol: _hhi(symbol)[0])


def hhi_reserve(composition: Composition) -> float | None:
    """Herfindahl-Hirschman index of reserves; None where that of one element is not known."""
    return _by_mass(composition, lambda symbol: _hhi(symbol)[1])


SUPPLY: dict[str, Callable[[Composition], float | None]] = {
    "price": price,
    "hhi_production": hhi_production,
    "hhi_reserve": hhi_reserve,
}
"""By the name of the constraint that limits it."""


def _by_mass(composition: Composition, of_element: Callable[[str], float | None]) -> float | None:
    total = 0.0
    for element in composition.elements:
        value = of_element(element.symbol)
        if value is None:
            return None
        total += composition.get_wt_fraction(element) * value
    return total


@functools.cache
def _price(symbol: str) -> float | None:
    from pymatgen.analysis.cost import CostAnalyzer, CostDBElements  # takes half a second

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # noble gases have no electronegativity
        table = CostDBElements()  # type: ignore[no-untyped-call]
    if not table.get_entries([Element(symbol)]):  # type: ignore[no-untyped-call]
        return None
    return float(CostAnalyzer(table).get_cost_per_kg(symbol))  # type: ignore[no-untyped-call]


@functools.cache
def _hhi(symbol: str) -> tuple[float | None, float | None]:
    from pymatgen.analysis.hhi import HHIModel

    production, reserve = HHIModel().get_hhi(symbol)  # type: ignore[no-untyped-call]
    return production, reserve
