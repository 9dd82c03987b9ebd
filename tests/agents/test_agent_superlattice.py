"""The space of all stacks: counted, listed and drawn under every constraint."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.spaces.finite import FiniteSpace
from agents.spaces.layer_rules import LayerRules
from agents.spaces.settings import SuperlatticeSpaceSettings
from agents.spaces.superlattice_space import LazySuperlattices, rules_of, superlattice_space
from oracle.materials.superlattice import Stack, Superlattice
from oracle.runtime.errors import OracleError

SILICON_GERMANIUM = {"a": "Si", "b": "Ge"}


def settings_of(**more: Any) -> SuperlatticeSpaceSettings:
    base = {"alphabet": SILICON_GERMANIUM, "leads": ["a", "a"], "length": 6}
    return SuperlatticeSpaceSettings.model_validate({**base, **more})


@st.composite
def rules(draw: st.DrawFn) -> LayerRules:
    letters = tuple("abc"[: draw(st.integers(2, 3))])
    length = draw(st.integers(2, 7))
    composition = None
    if draw(st.booleans()):
        cuts = sorted(draw(st.integers(0, length)) for _ in letters[1:])
        ends = [0, *cuts, length]
        composition = tuple(b - a for a, b in pairwise(ends))
    most = draw(st.none() | st.integers(0, length))
    return LayerRules(
        letters, length, composition, draw(st.integers(1, 3)), most, draw(st.booleans())
    )


def allowed(given: LayerRules, sequence: str) -> bool:
    """An implementation independent of the rules themselves."""
    runs: list[list[str]] = []
    for letter in sequence:
        if runs and runs[-1][0] == letter:
            runs[-1].append(letter)
        else:
            runs.append([letter])
    counts = Counter(sequence)
    return (
        all(len(run) >= given.thickness for run in runs)
        and (given.interfaces is None or len(runs) - 1 <= given.interfaces)
        and (
            given.composition is None
            or all(counts[x] == n for x, n in zip(given.letters, given.composition, strict=True))
        )
        and (not given.palindromes or sequence == sequence[::-1])
    )


@settings(max_examples=150, deadline=None)
@given(rules())
def test_count_equals_enumeration(given_rules: LayerRules) -> None:
    every = ("".join(row) for row in product(given_rules.letters, repeat=given_rules.length))
    expected = [s for s in every if allowed(given_rules, s)]
    assert list(given_rules) == expected
    assert given_rules.count == len(expected)
    assert all(sequence in given_rules for sequence in expected)


@settings(max_examples=60, deadline=None)
@given(rules(), st.integers(0, 99))
def test_draws_are_allowed(given_rules: LayerRules, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if given_rules.count == 0:
        with pytest.raises(ValueError, match="no sequence is allowed"):
            given_rules.draw(rng)
        return
    assert all(allowed(given_rules, given_rules.draw(rng)) for _ in range(5))


def test_far_more_than_can_be_listed() -> None:
    assert LayerRules(("a", "b"), 200).count == 2**200
    drawn = LayerRules(("a", "b"), 200, (100, 100)).draw(np.random.default_rng(0))
    assert drawn.count("a") == 100


def test_designs_are_drawn_uniformly() -> None:
    crystals = superlattice_space(settings_of(length=4))
    first = next(iter(crystals))
    assert isinstance(first, Superlattice)
    assert first.stack is not None
    space = LazySuperlattices(LayerRules(("a", "b"), 4), first.stack)
    rng = np.random.default_rng(1)
    counts = Counter(space.sample(1, rng)[0].formula for _ in range(2000))
    assert len(counts) == space.size == 10  # 16 sequences, 4 of them palindromes
    expected = 2000 / 10
    chi2 = sum((n - expected) ** 2 / expected for n in counts.values())
    assert chi2 < 9 + 5 * np.sqrt(18)


def test_a_small_space_is_listed_and_a_large_one_is_not() -> None:
    small = superlattice_space(settings_of(length=6, composition={"a": 3, "b": 3}))
    assert isinstance(small, FiniteSpace)
    # Between the outer letters b lie none to three of a, with the third b among them: 1 + 1 + 2 + 2
    # ways that differ under reversal. What lies outside continues the leads.
    assert small.size == 6
    unequal = superlattice_space(settings_of(length=6, leads=["a", "b"]))
    assert unequal.size == 64
    large = superlattice_space(settings_of(length=60))
    assert isinstance(large, LazySuperlattices)
    assert large.size == (2**60 + 2**30) // 2
    drawn = large.sample(20, np.random.default_rng(0))
    assert len({m.digest for m in drawn}) == 20
    assert all(m in large for m in drawn)
    near = large.neighbours(drawn[0])
    assert len({m.digest for m in near}) == len(near) > 1000
    assert drawn[0] not in near
    assert all(m in large for m in near[:50])


def test_neighbours_keep_the_constraints() -> None:
    given_rules = rules_of(settings_of(length=12, composition={"a": 6, "b": 6}, min_thickness=2))
    first = next(iter(superlattice_space(settings_of(length=2))))
    assert isinstance(first, Superlattice)
    assert first.stack is not None
    silicon, germanium = first.stack.layers
    space = LazySuperlattices(given_rules, Stack(layers=(silicon, germanium), leads=("a", "b")))
    start = space.sample(1, np.random.default_rng(3))[0]
    near = space.neighbours(start)
    assert near
    assert all(allowed(given_rules, m.formula) for m in near)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"alphabet": {"a": "Si"}}, "at least two different materials"),
        ({"alphabet": {"a": "Si", "b": "Si"}}, "at least two different materials"),
        ({"alphabet": {"a": "Si", "bb": "Ge"}}, "one character per material"),
        ({"leads": ["a", "x"]}, "leads: given 'x'"),
        ({"composition": {"a": 3, "b": 4}}, "composition: given .* 7 layers; expected length, 6"),
        ({"composition": {"a": 3, "x": 3}}, "composition: given"),
        ({"min_thickness": 7}, "min_thickness: given 7"),
    ],
)
def test_what_the_config_refuses(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        settings_of(**wrong)


def test_what_no_sequence_can_meet() -> None:
    with pytest.raises(ValueError, match=r"no sequence of 6 layers meets composition"):
        superlattice_space(settings_of(composition={"a": 1, "b": 5}, min_thickness=2))


def test_an_unknown_material_is_named() -> None:
    with pytest.raises(OracleError, match=r"alphabet\.b: given 'Xx'"):
        superlattice_space(settings_of(alphabet={"a": "Si", "b": "Xx"}))
    assert isinstance(next(iter(superlattice_space(settings_of()))), Superlattice)


def test_made_designs_are_canonical() -> None:
    space = superlattice_space(settings_of(length=40))
    for design in space.sample(5, np.random.default_rng(2)):
        assert isinstance(design, Superlattice)
        again = Superlattice.from_sequence(design.sequence[::-1], stack=design.stack)
        assert again == design
        assert again.digest == design.digest
