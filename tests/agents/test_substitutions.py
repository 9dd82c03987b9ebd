"""Which elements replace which: learned probabilities, and Pettifor's scale beside them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core.composition import Composition

from agents.chemistry.chemistry import (
    default_elements,
    dissimilarity,
    neutral_charges,
    oxidation_states,
)
from agents.chemistry.substitutions import (
    Ion,
    expected_log_probability,
    learned_log_probability,
    log_probability,
    replacements,
)

KNOWN = ({"Na": 1, "Cl": 1}, {"Ca": 1, "Ti": 1, "O": 3}, {"Al": 2, "O": 3}, {"Zn": 1, "Te": 1})
ELEMENTS = default_elements(lanthanides=True)


@pytest.mark.parametrize(
    ("old", "likely", "unlikely"),
    [
        (("Na", 1), ("K", 1), ("Fe", 2)),
        (("Na", 1), ("K", 1), ("Fe", 3)),
        (("Ca", 2), ("Sr", 2), ("Al", 3)),
        (("Ca", 2), ("Mg", 2), ("Al", 3)),
        (("Sr", 2), ("Ca", 2), ("Al", 3)),
        (("Se", -2), ("S", -2), ("I", -1)),
        (("Zn", 2), ("Cd", 2), ("Ba", 2)),
        (("Te", -2), ("Se", -2), ("O", -2)),  # Te2- and As3- are not in the table
        (("As", -3), ("P", -3), ("N", -3)),
    ],
)
def test_ions_are_replaced_by_similar_ones(old: Ion, likely: Ion, unlikely: Ion) -> None:
    assert log_probability(old, likely) > log_probability(old, unlikely)


def test_the_table_knows_what_the_scale_does_not() -> None:
    """Be is next to Zn on Pettifor's scale; Mn2+ and Co2+ replace Zn2+ more often."""
    assert dissimilarity("Zn", "Be") < dissimilarity("Zn", "Co")
    zinc, learned = ("Zn", 2), learned_log_probability
    be, co = learned(zinc, ("Be", 2)), learned(zinc, ("Co", 2))
    assert be is not None
    assert co is not None
    assert co > be


def test_ions_without_data_are_compared_on_the_scale() -> None:
    old, new = ("As", -3), ("Sb", -3)
    assert learned_log_probability(old, new) is None
    assert log_probability(old, new) == expected_log_probability(old, new)


def test_what_the_scale_lets_expect_is_the_mean_of_the_table() -> None:
    """Of all pairs of ions with common and equal charges."""
    ions = [(symbol, q) for symbol in ELEMENTS for q in oxidation_states(symbol)]
    pairs = [(a, b) for a in ions for b in ions if a[0] != b[0] and a[1] == b[1]]
    learned = [learned_log_probability(*pair) for pair in pairs]
    surplus = [
        value - expected_log_probability(*pair)
        for value, pair in zip(learned, pairs, strict=True)
        if value is not None
    ]
    assert len(surplus) > 2000
    assert abs(sum(surplus) / len(surplus)) < 0.3  # natural logarithm


@pytest.mark.parametrize("counts", KNOWN)
def test_charges_still_cancel(counts: dict[str, int]) -> None:
    swaps = replacements(counts, ELEMENTS[::2], "common")
    assert len(swaps) > 20
    assert {len(swap) for swap in swaps} == {1, 2}
    assert len({tuple(sorted(swap.items())) for swap in swaps}) == len(swaps)
    neutral = 0
    for swap in swaps[:60]:
        assert not set(swap.values()) & set(counts)
        assert set(swap) <= set(counts)
        composition = Composition({swap.get(s, s): n for s, n in counts.items()})
        neutral += neutral_charges(composition) is not None
    # The rest have charges that cancel, but on an anion that is less electronegative.
    assert neutral > 0.8 * min(60, len(swaps))


def test_both_elements_of_rock_salt_may_change() -> None:
    swaps = replacements({"Na": 1, "Cl": 1}, ("K", "Mg", "Al", "Br", "O"), "common")
    assert {"Na": "K"} in swaps
    assert {"Na": "Mg", "Cl": "O"} in swaps
    assert {"Na": "Mg"} not in swaps
    assert {"Na": "Al", "Cl": "O"} not in swaps


@given(st.sampled_from(KNOWN), st.sets(st.sampled_from(ELEMENTS), min_size=4, max_size=12))
@settings(max_examples=30, deadline=None)
def test_the_order_does_not_depend_on_that_of_the_elements(
    counts: dict[str, int], elements: set[str]
) -> None:
    forth = replacements(counts, sorted(elements), "common")
    assert forth == replacements(counts, sorted(elements, reverse=True), "common")


@pytest.mark.parametrize(("counts", "rule"), [({"Cu": 1, "Au": 1}, "common"), (KNOWN[0], None)])
def test_without_charges_pettifors_scale_decides(counts: dict[str, int], rule: None) -> None:
    swaps = replacements(counts, ("Ag", "Pd", "K", "Fe"), rule)
    assert all(len(swap) == 1 for swap in swaps)
    steps = [dissimilarity(*next(iter(swap.items()))) for swap in swaps]
    assert steps == sorted(steps)
    assert len(swaps) == 8
