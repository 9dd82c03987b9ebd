"""Whether a structure has the composition that the formula in its file states."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element

_TOKEN = re.compile(r"([A-Za-z]{1,2})(\d*\.?\d+)?")
_NUMBERED = re.compile(r"(\d*)([A-Z][a-z]?)(\d*)")
_CHARGE = re.compile(r"\d*[+-]$|[+-]\d+$")
_UNCERTAINTY = re.compile(r"\(\d+\)$")
_MEASURED = 0.1  # largest relative deviation of a measured, fractional amount from the ideal one
_REMARKED = 0.005  # relative deviation above which the user is told
_TRACE = 0.01  # fraction of all atoms below which a fractional amount counts as a dopant

Amounts = Mapping[str, float]


def stated_amounts(formula: str) -> list[dict[str, float]]:
    """The ways in which a formula can be read, as amounts by symbol (``D`` and ``T`` included).

    ``'CO O'`` in capitals may be an oxide of cobalt or of carbon. Charges and uncertainties are
    dropped. The list is empty for text that is not a formula, such as ``?``.
    """
    ways = list(_ways(formula))
    return [way for i, way in enumerate(ways) if way and way not in ways[:i]]


def mass_numbers(formula: str, actual: Amounts) -> list[tuple[int, str]]:
    """Numbers before symbols that name isotopes, as in ``2H Li``.

    They do not if the composition shows that they count atoms (``2H O`` of ice), molecules (``Ca S
    O4 2H2 O``) or something else.

    Args:
        formula: symbols with numbers before or after them, separated by spaces.
        actual: amounts by symbol in the structure.
    """
    matches = [_NUMBERED.fullmatch(token) for token in formula.split()]
    isotopes: dict[str, float] = {}
    counted: dict[str, float] = {}
    for match in matches:
        if match is None:
            return []
        number, symbol, amount = match[1], match[2], float(match[3] or 1)
        isotopes[symbol] = isotopes.get(symbol, 0.0) + amount
        counted[symbol] = counted.get(symbol, 0.0) + float(number or 1) * amount
    if not matches or deviation(counted, actual) is not None or deviation(isotopes, actual) is None:
        return []
    return [(int(match[1]), match[2]) for match in matches if match and match[1]]


def deviation(stated: Amounts, actual: Amounts) -> float | None:
    """Largest relative difference between two compositions.

    Integer amounts are exact: one atom too few in a hundred is another material. Fractional amounts
    come from a measurement; they may differ by a tenth from the ideal structure and omit traces.

    Args:
        stated: amounts by symbol in the formula.
        actual: amounts by symbol in the structure.

    Returns:
        None where the two are different materials.
    """
    stated_total, actual_total = sum(stated.values()), sum(actual.values())
    integral = all(abs(amount - round(amount)) < 1e-6 for amount in stated.values())
    worst = 0.0
    for symbol in stated.keys() | actual.keys():
        ours = actual.get(symbol, 0.0) / actual_total
        theirs = stated.get(symbol, 0.0) / stated_total
        if min(ours, theirs) == 0:
            if integral or max(ours, theirs) > _TRACE:
                return None
            worst = max(worst, max(ours, theirs))
            continue
        worst = max(worst, abs(ours - theirs) / max(ours, theirs))
    return None if worst > (1e-6 if integral else _MEASURED) else worst


def is_remarkable(difference: float) -> bool:
    """Whether the user is told about a `deviation`."""
    return difference > _REMARKED


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
    """Amounts by symbol, isotopes by their own names; empty if there is a dummy atom."""
    amounts = [(getattr(key, "element", key), amount) for key, amount in composition.items()]
    has_elements_only = all(isinstance(element, Element) for element, _ in amounts)
    return {element.name: float(n) for element, n in amounts} if has_elements_only else {}


def _of_tokens(tokens: list[str]) -> dict[str, float]:
    """Amounts in ``El`` or ``Eln`` separated by spaces, in any case; empty for other text."""
    amounts: dict[str, float] = {}
    for token in tokens:
        match = _TOKEN.fullmatch(_CHARGE.sub("", token))
        symbol = match[1].title() if match else ""
        if match is None or not Element.is_valid_symbol(symbol):
            return {}
        amounts[symbol] = amounts.get(symbol, 0.0) + float(match[2] or 1)
    return amounts
