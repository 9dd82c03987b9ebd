"""Whether a structure is what the formula beside it says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element

_TOKEN = re.compile(r"([A-Za-z]{1,2})(\d*\.?\d+)?")
_CHARGE = re.compile(r"\d*[+-]$|[+-]\d+$")
_UNCERTAINTY = re.compile(r"\(\d+\)$")
_MEASURED = 0.1  # relative deviation of a measured, broken amount from the ideal structure's
_TOLD = 0.005  # relative deviation from which on that is remarked
_TRACE = 0.01  # share of all atoms below which a broken amount is a dopant

Amounts = Mapping[str, float]


def stated_amounts(formula: str) -> list[dict[str, float]]:
    """The ways in which a formula can be read, as amounts by symbol (``D`` and ``T`` included).

    ``'CO O'`` in capitals is cobalt's oxide or carbon's. Charges and uncertainties are dropped.
    Nothing is returned for what is no formula, such as ``?``.
    """
    ways = list(_ways(formula))
    return [way for i, way in enumerate(ways) if way and way not in ways[:i]]


def deviation(stated: Amounts, found: Amounts) -> float | None:
    """How far amounts are from being proportional, as the largest relative difference.

    Whole numbers are exact: one atom too few in a hundred is another material. Broken ones come
    from a measurement and may differ by a tenth from the ideal structure, and leave out traces.

    Returns:
        None where the two are different materials.
    """
    total, there = sum(stated.values()), sum(found.values())
    whole = all(abs(amount - round(amount)) < 1e-6 for amount in stated.values())
    worst = 0.0
    for symbol in stated.keys() | found.keys():
        ours, theirs = found.get(symbol, 0.0) / there, stated.get(symbol, 0.0) / total
        if min(ours, theirs) == 0:
            if whole or max(ours, theirs) > _TRACE:
                return None
            worst = max(worst, max(ours, theirs))
            continue
        worst = max(worst, abs(ours - theirs) / max(ours, theirs))
    return None if worst > (1e-6 if whole else _MEASURED) else worst


def is_told(difference: float) -> bool:
    """Whether a `deviation` is large enough for a remark."""
    return difference > _TOLD


def _ways(formula: str) -> Iterator[dict[str, float]]:
    tokens = [_UNCERTAINTY.sub("", token) for token in formula.replace(",", " ").split()]
    if tokens:
        amounts = _of_tokens(tokens)
        if amounts:
            yield amounts
    try:
        composition = Composition(" ".join(tokens))
    except (ValueError, KeyError, TypeError, IndexError):
        return
    yield _of_composition(composition)


def _of_composition(composition: Composition) -> dict[str, float]:
    """Amounts by symbol, isotopes by their own names; empty where a dummy is among them."""
    found = [(getattr(key, "element", key), amount) for key, amount in composition.items()]
    plain = all(isinstance(element, Element) for element, _ in found)
    return {element.name: float(amount) for element, amount in found} if plain else {}


def _of_tokens(tokens: list[str]) -> dict[str, float]:
    """Amounts of ``El`` or ``Eln`` separated by spaces, in any case; empty where it is not that."""
    found: dict[str, float] = {}
    for token in tokens:
        match = _TOKEN.fullmatch(_CHARGE.sub("", token))
        symbol = match[1].title() if match else ""
        if match is None or not Element.is_valid_symbol(symbol):
            return {}
        found[symbol] = found.get(symbol, 0.0) + float(match[2] or 1)
    return found
