"""Chemical rules: elements, oxidation states, bond lengths and similarity of elements.

Charges and the electronegativity test are SMACT's (Davies et al., J. Open Source Softw. 4, 1361,
2019; oxidation states seen in the ICSD, 2024 selection), ionic radii Shannon's and other bond
lengths the data-mined ones of Chu, Pham, Wolverton and Ong (Comput. Mater. Sci. 146, 184, 2018),
both as tabulated in pymatgen.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element

Rule = Literal["common", "any"]

_TOLERANCE = 0.25  # Pauling; how much less electronegative an anion may be (Te beside Pb)
_IONIC = 1.6  # Pauling; above it four-fold bonds are as long as the sum of ionic radii
_MOLECULAR = frozenset({"H", "C", "N", "O", "F", "P", "S", "Cl", "Se", "Br", "I"})
_ROMAN = {
    "I": 1, "II": 2, "III": 3, "IIIPY": 3, "IV": 4, "IVPY": 4, "IVSQ": 4, "V": 5, "VI": 6,
    "VII": 7, "VIII": 8, "IX": 9, "X": 10, "XI": 11, "XII": 12, "XIV": 14,
}  # fmt: skip


def default_elements(*, lanthanides: bool = False) -> tuple[str, ...]:
    """Elements of the default search space, by atomic number; La to Lu only with `lanthanides`.

    Noble gases and radioactive elements (Z of 43, 61 and from 84 on) are left out. So is hydrogen,
    whose motion is too quantum-mechanical and anharmonic for perturbative transport theory.
    """
    elements = (Element.from_Z(z) for z in range(2, 84))
    return tuple(
        e.symbol
        for e in elements
        if not e.is_noble_gas and e.Z not in (43, 61) and (lanthanides or not 57 <= e.Z <= 71)
    )


@functools.cache
def _icsd_states(commonality: str | float) -> dict[str, tuple[int, ...]]:
    from smact.screening import ICSD24OxStatesFilter

    # Consensus 3 and "low" are the defaults of smact_validity.
    table = ICSD24OxStatesFilter().filter(consensus=3, include_zero=False, commonality=commonality)
    rows = zip(table["element"], table["oxidation_state"], strict=True)
    return {str(symbol): tuple(int(s) for s in str(text).split()) for symbol, text in rows}


@functools.cache
def oxidation_states(symbol: str, rule: Rule = "common") -> tuple[int, ...]:
    """Oxidation states of an element in the ICSD, lowest first; empty if it has none.

    Args:
        symbol: of the element.
        rule: ``any``: all states that SMACT accepts by default. ``common``: of these, the positive
            states of metals and metalloids found in at least 2 % of the element's entries, and the
            negative states with a filled shell (N3-, O2-, F-); the anion pairs and chains of
            peroxides or carbides do not fit on the single sites of prototypes.
    """
    states = _icsd_states("low").get(symbol, ())
    if rule == "any":
        return states
    element = Element(symbol)
    common = _icsd_states(2.0).get(symbol, ())
    cation = element.is_metal or element.is_metalloid
    anion = 14 <= element.group <= 17 and symbol != "Pb"
    return tuple(
        q
        for q in states
        if (q > 0 and cation and q in common) or (q < 0 and anion and q == element.group - 18)
    )


def electronegativity(symbol: str) -> float:
    """Pauling electronegativity of an element; NaN if it has none."""
    # The attribute X of the element warns where there is none.
    return float(Element(symbol).data.get("X") or math.nan)


def by_electronegativity(elements: Iterable[str]) -> list[str]:
    """Elements in one order only, also where values are equal or missing."""
    values = {symbol: electronegativity(symbol) for symbol in elements}
    return sorted(
        values,
        key=lambda s: (math.isnan(values[s]), 0.0 if math.isnan(values[s]) else values[s], s),
    )


def neutral_decorations(
    stoichiometry: Sequence[int],
    elements: Sequence[str],
    roles: Sequence[str] | None = None,
    rule: Rule = "common",
) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """All ways to put distinct elements on the sites of a formula so that the charges cancel.

    Every element has a single charge, cations are less electronegative than anions (SMACT's test,
    with a tolerance that admits PbTe), and formulas of molecule-forming elements only are excluded.

    Args:
        stoichiometry: atoms per formula unit, one number per slot.
        elements: elements to choose from, in the order of enumeration.
        roles: ``cation`` or ``anion`` for each slot; None allows either in any slot.
        rule: which oxidation states are allowed, see `oxidation_states`.

    Yields:
        Elements and charges, one for each slot; each tuple of elements once.
    """
    from smact.screening import pauling_test

    options = [
        [
            (symbol, charge)
            for symbol in elements
            for charge in oxidation_states(symbol, rule)
            if roles is None or (charge > 0) == (roles[slot] == "cation")
        ]
        for slot in range(len(stoichiometry))
    ]
    last: dict[int, list[str]] = {}
    for symbol, charge in options[-1]:
        last.setdefault(charge, []).append(symbol)
    seen: set[tuple[str, ...]] = set()
    for head in itertools.product(*options[:-1]):
        total = sum(n * charge for n, (_, charge) in zip(stoichiometry, head, strict=False))
        needed, rest = divmod(-total, stoichiometry[-1])
        if rest or not needed:
            continue
        for symbol in last.get(needed, ()):
            names = (*(s for s, _ in head), symbol)
            charges = (*(c for _, c in head), needed)
            if names in seen or len(set(names)) < len(names) or _MOLECULAR.issuperset(names):
                continue
            if pauling_test(charges, [electronegativity(s) for s in names], threshold=_TOLERANCE):
                seen.add(names)
                yield names, charges


def neutral_counts(
    elements: Sequence[str], counts: NDArray[np.integer[Any]], rule: Rule = "common"
) -> NDArray[np.bool_]:
    """Which of many compositions of the same elements are neutral, as `neutral_charges` tells.

    Args:
        elements: symbols (k,).
        counts: (n, k) atoms of each element.
        rule: which oxidation states are allowed, see `oxidation_states`.

    Returns:
        Mask (n,).
    """
    neutral = np.zeros(len(counts), dtype=bool)
    for charges in _plausible_charges(elements, rule):
        neutral |= counts @ np.array(charges) == 0
    return neutral


def neutral_charges(composition: Composition, rule: Rule = "common") -> dict[str, int] | None:
    """Charges of the elements of a composition, or None when no neutral assignment exists."""
    return next(_assignments(composition, rule), None)


def _assignments(composition: Composition, rule: Rule) -> Iterator[dict[str, int]]:
    """All neutral assignments of one charge per element."""
    symbols = sorted(e.symbol for e in composition.elements)
    for charges in _plausible_charges(symbols, rule):
        total = sum(composition[s] * c for s, c in zip(symbols, charges, strict=True))
        if abs(total) < 1e-6:
            yield dict(zip(symbols, charges, strict=True))


def _plausible_charges(symbols: Sequence[str], rule: Rule) -> Iterator[tuple[int, ...]]:
    """Charges of elements, one each, of which the positive are the less electronegative."""
    from smact.screening import pauling_test

    scale = [electronegativity(s) for s in symbols]
    for charges in itertools.product(*(oxidation_states(s, rule) for s in symbols)):
        if pauling_test(charges, scale, threshold=_TOLERANCE):
            yield charges


def closed_shell_triples(elements: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Half-Heusler compositions XYZ with 8 or 18 valence electrons (closed-shell Zintl bonding).

    X, the most electropositive element, and Z, of groups 13 to 15, form the rock-salt sublattice;
    Y fills half of its cubes (Graf, Felser and Parkin, Prog. Solid State Chem. 39, 1, 2011).
    """
    metals = [s for s in elements if Element(s).is_metal or Element(s).is_metalloid]
    anions = [s for s in [*metals, "P"] if s in elements and 13 <= Element(s).group <= 15]
    for z in dict.fromkeys(anions):
        for x, y in itertools.permutations(metals, 2):
            if z in (x, y) or not electronegativity(x) < electronegativity(y):
                continue
            if electronegativity(x) >= electronegativity(z):
                continue
            electrons = _valence(x) + _valence(y) + _valence(z)
            main_group = not any(Element(s).is_transition_metal for s in (x, y))
            if electrons == 18 or (main_group and electrons == 8):
                yield x, y, z


def _valence(symbol: str) -> int:
    """Valence electrons, without the closed d shells of groups 13 and later."""
    group = Element(symbol).group
    return group if group <= 12 else group - 10


@functools.cache
def bond_length(
    first: str, second: str, charges: tuple[int, int], coordination: tuple[int, int]
) -> float:
    """Length (Å) of a bond between two elements.

    For ions of opposite charge, the sum of Shannon's radii, if both are tabulated and the bond is
    ionic or more than four-fold coordinated. Otherwise the data-mined covalent bond length, scaled
    by (coordination / 4)^(1/8), as follows from Born repulsion with exponent 9.

    Args:
        first: symbol of one element.
        second: symbol of the other.
        charges: of both elements; 0 where unknown.
        coordination: numbers of nearest neighbours of both.
    """
    from pymatgen.analysis.structure_prediction.volume_predictor import bond_params

    spread = abs(electronegativity(first) - electronegativity(second))
    spread = 0.0 if math.isnan(spread) else spread
    if charges[0] * charges[1] < 0 and (spread >= _IONIC or max(coordination) > 4):
        radii = [
            _shannon(s, q, n)
            for s, q, n in zip((first, second), charges, coordination, strict=True)
        ]
        known = [r for r in radii if r is not None]
        if len(known) == 2:
            return sum(known)
    stretch = (max(4, sum(coordination) / 2) / 4) ** 0.125
    mined = 0.0
    for symbol in (first, second):
        if symbol in bond_params:
            entry = bond_params[symbol]
            mined += float(entry["r"]) + float(entry["k"]) * spread / 2
        else:
            mined += float(Element(symbol).atomic_radius or 1.5)
    return float(mined * stretch)


@functools.cache
def _shannon(symbol: str, charge: int, coordination: int) -> float | None:
    """Ionic radius (Å) at the tabulated coordination nearest to the one given."""
    table = Element(symbol).data.get("Shannon radii", {}).get(str(charge))
    if not table:
        return None
    nearest = min(table, key=lambda roman: (abs(_ROMAN[roman] - coordination), roman))
    by_spin = table[nearest]
    chosen = by_spin.get("High Spin") or by_spin.get("") or next(iter(by_spin.values()))
    return float(chosen["ionic_radius"])


@functools.cache
def pettifor(symbol: str) -> float:
    """Position of an element on Pettifor's chemical scale; neighbours substitute each other."""
    return float(Element(symbol).mendeleev_no)


def dissimilarity(first: str, second: str) -> float:
    """Distance of two elements on Pettifor's scale (0 for the same element)."""
    return abs(pettifor(first) - pettifor(second))


def is_metallic(composition: Composition) -> bool:
    """Whether a composition is expected to be a metal.

    It is not if SMACT's metallicity score is below its threshold of 0.7 and some charge-neutral
    assignment gives all cations filled shells (d0, d10, or a lone pair above d10), or if it has
    the valence count of a half-Heusler semiconductor. As an electron-counting rule, it takes
    correlated insulators (NiO) for metals and semimetals (YSb) for semiconductors.
    """
    from smact.metallicity import metallicity_score

    symbols = [e.symbol for e in composition.elements]
    if len(symbols) == 1:
        element = Element(symbols[0])
        return bool(element.is_metal)
    equal = len({round(composition[s], 6) for s in symbols}) == 1
    if len(symbols) == 3 and equal and any(closed_shell_triples(symbols)):
        return False
    filled = any(
        all(q < 0 or Element(s).group - q in (0, 10, 12) for s, q in charges.items())
        for charges in _assignments(composition, "common")
    )
    return not filled or bool(metallicity_score(composition) >= 0.7)
