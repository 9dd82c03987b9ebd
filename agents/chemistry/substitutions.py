"""Which elements replace which in known compounds, learned from their structures.

The probability that an ion takes the place of another in the same structure type is that of
Hautier, Fischer, Ehrlacher, Jain and Ceder, Inorg. Chem. 50, 656 (2011), as tabulated in pymatgen
(SMACT has the same table). A quarter of all pairs of its 230 ions were observed; it has none of
P3-, As3-, Sb3-, Bi3- and Te2-.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pymatgen.core.composition import Composition

from agents.chemistry.chemistry import Rule, dissimilarity, neutral_charges, oxidation_states

if TYPE_CHECKING:
    from pymatgen.core.structure_prediction.substitution_probability import SubstitutionProbability

Ion = tuple[str, int]
"""Symbol and charge."""

_REPLACED = 2  # elements that are replaced at once, at most
_LEARNED = 1 / 3
"""Weight of the learned probability beside Pettifor's scale. Of all replacements of one element in
51 rock salts, zincblendes and wurtzites, those that give another compound of the list in the same
structure come before others with a probability (area under the curve) of 0.83 by the learned one
alone, 0.87 by Pettifor's scale alone, 0.91 by both with this weight, and 0.88 with equal ones."""
_LEVEL, _DISTANCE, _CHARGE = -4.88, 0.55, 1.1
"""Least squares over pairs of tabulated ions with equal charges, and the mean difference of pairs
with other charges of equal sign; see `expected_log_probability`."""


@functools.cache
def log_probability(old: Ion, new: Ion) -> float:
    """Logarithm of the probability that an ion is replaced by another, but for a constant factor.

    The weighted mean of the learned one and of `expected_log_probability`; the latter alone if the
    table lacks one of the ions.

    Args:
        old: ion of a known compound.
        new: ion that takes its place.
    """
    expected = expected_log_probability(old, new)
    learned = learned_log_probability(old, new)
    return expected if learned is None else _LEARNED * learned + (1 - _LEARNED) * expected


def learned_log_probability(old: Ion, new: Ion) -> float | None:
    """Logarithm of the tabulated probability of an ion, given the one it replaces.

    None if the table lacks one of the ions. Pairs that were never observed have the small weight
    that the authors give them.
    """
    table, known = _table()
    if old not in known or new not in known:
        return None
    return math.log(table.cond_prob(known[new], known[old]))  # type: ignore[no-untyped-call]


def expected_log_probability(old: Ion, new: Ion) -> float:
    """Logarithm of the probability that distance on Pettifor's scale and charges let expect.

    For d positions on the scale it is a - b ln(1 + d), and less by a constant if charges differ.
    """
    distance = math.log1p(dissimilarity(old[0], new[0]))
    return _LEVEL - _DISTANCE * distance - (_CHARGE if new[1] != old[1] else 0.0)


def replacements(
    counts: Mapping[str, int], allowed: Sequence[str], rule: Rule | None
) -> list[dict[str, str]]:
    """Replacements of one or two elements of a compound by new ones, the most probable first.

    Charges still cancel and keep their signs; elements that stay may change theirs. The probability
    of a replacement is the product over the ions that differ. Where charges are unknown, or need
    not cancel, single elements are replaced in the order of Pettifor's scale.

    Args:
        counts: atoms of each element.
        allowed: elements that may be put in.
        rule: which charges elements may have, see `oxidation_states`; None if they do not matter.

    Returns:
        New elements by those that they replace.
    """
    new = [symbol for symbol in allowed if symbol not in counts]
    charges = None if rule is None else neutral_charges(Composition(dict(counts)), rule)
    if charges is None or rule is None:
        swaps = sorted(
            itertools.product(sorted(counts), new),
            key=lambda swap: (dissimilarity(*swap), swap),
        )
        return [{old: other} for old, other in swaps]
    best: dict[tuple[tuple[str, str], ...], float] = {}
    for number in range(1, _REPLACED + 1):
        for leaving in itertools.combinations(sorted(counts), number):
            for swap, value in _balanced(counts, charges, leaving, new, rule):
                best[swap] = max(value, best.get(swap, -math.inf))
    return [dict(swap) for swap in sorted(best, key=lambda swap: (-best[swap], swap))]


def _balanced(
    counts: Mapping[str, int],
    charges: Mapping[str, int],
    leaving: Sequence[str],
    new: Sequence[str],
    rule: Rule,
) -> Iterator[tuple[tuple[tuple[str, str], ...], float]]:
    """Replacements of all of some elements after which charges cancel, with their logarithms."""
    order = [*sorted(set(counts) - set(leaving)), *leaving]  # the last is found from its charge
    options = [
        [
            ((symbol, charge), _change((old, charges[old]), (symbol, charge)))
            for symbol in (new if old in leaving else (old,))
            for charge in oxidation_states(symbol, rule)
            if charge * charges[old] > 0
        ]
        for old in order
    ]
    last: dict[int, list[tuple[Ion, float]]] = {}
    for ion, value in options[-1]:
        last.setdefault(ion[1], []).append((ion, value))
    for head in itertools.product(*options[:-1]):
        total = sum(counts[old] * ion[1] for old, (ion, _) in zip(order, head, strict=False))
        needed, rest = divmod(-total, counts[order[-1]])
        for ion, value in () if rest else last.get(needed, ()):
            ions = [*(each for each, _ in head), ion]
            if len({symbol for symbol, _ in ions}) == len(ions):
                swap = tuple(
                    (old, symbol)
                    for old, (symbol, _) in zip(order, ions, strict=True)
                    if old != symbol
                )
                yield swap, value + sum(each for _, each in head)


def _change(old: Ion, new: Ion) -> float:
    """The logarithm that a site adds: none if its ion stays."""
    return 0.0 if old == new else log_probability(old, new)


@functools.cache
def _table() -> tuple[SubstitutionProbability, dict[Ion, object]]:
    """The table, and its own names of ions."""
    # The table takes a second to read.
    from pymatgen.core.structure_prediction.substitution_probability import SubstitutionProbability

    table = SubstitutionProbability()  # type: ignore[no-untyped-call]
    return table, {(ion.symbol, int(ion.oxi_state or 0)): ion for ion in table.species}
