"""Designs that permutations of layers make equal are counted as combinatorics says."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.materials.orders import group, orbit
from oracle.materials.superlattice import Superlattice


def _turned(length: int) -> tuple[int, ...]:
    return (*range(1, length), 0)


def _reversed(length: int) -> tuple[int, ...]:
    return tuple(range(length - 1, -1, -1))


def _designs(length: int, *, mirror: bool, cyclic: bool) -> int:
    """How many designs all sequences of two letters make."""
    symmetries = (_turned(length),) if cyclic else ()
    sequences = map("".join, itertools.product("ab", repeat=length))
    return len({orbit(s, mirror=mirror, symmetries=symmetries) for s in sequences})


@pytest.mark.parametrize("length", range(1, 9))
def test_reversal_halves_all_but_palindromes(length: int) -> None:
    palindromes = 2 ** math.ceil(length / 2)
    assert _designs(length, mirror=True, cyclic=False) == (2**length + palindromes) // 2
    assert _designs(length, mirror=False, cyclic=False) == 2**length


# Binary necklaces and bracelets of 1, 2, ... beads: sequences A000031 and A000029 of the
# On-Line Encyclopedia of Integer Sequences.
NECKLACES = (2, 3, 4, 6, 8, 14, 20, 36)
BRACELETS = (2, 3, 4, 6, 8, 13, 18, 30)


@pytest.mark.parametrize("length", range(1, 9))
def test_cyclic_designs_are_necklaces_and_bracelets(length: int) -> None:
    assert _designs(length, mirror=False, cyclic=True) == NECKLACES[length - 1]
    assert _designs(length, mirror=True, cyclic=True) == BRACELETS[length - 1]


@pytest.mark.parametrize("length", range(3, 9))
def test_orders_of_known_groups(length: int) -> None:
    assert len(group((_turned(length),), length)) == length
    assert len(group((_turned(length), _reversed(length)), length)) == 2 * length
    exchange = (1, 0, *range(2, length))
    symmetric = group((_turned(length), exchange), length)
    # 6! = 720 permutations are too many, and only the identity is left.
    expected = math.factorial(length) if length < 6 else 1
    assert len(symmetric) == expected
    assert tuple(range(length)) in symmetric


@given(st.permutations(range(6)), st.permutations(range(6)))
@settings(max_examples=25, deadline=None)
def test_a_group_is_closed(first: list[int], second: list[int]) -> None:
    members = group((tuple(first), tuple(second)), 6)
    for a, b in itertools.product(members[:12], members[:12]):
        assert tuple(a[i] for i in b) in members


@given(st.text("abc", min_size=6, max_size=6), st.permutations(range(6)), st.booleans())
@settings(max_examples=25, deadline=None)
def test_every_member_of_an_orbit_is_the_same_design(
    sequence: str, order: list[int], mirror: bool
) -> None:
    symmetries = (tuple(order),)
    images = orbit(sequence, mirror=mirror, symmetries=symmetries)
    assert sequence in images
    assert all(sorted(image) == sorted(sequence) for image in images)
    designs = {
        Superlattice.from_sequence(image, mirror=mirror, symmetries=symmetries) for image in images
    }
    assert len(designs) == 1
    assert designs.pop().sequence == min(images)
