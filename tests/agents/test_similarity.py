"""What is near what: crystals by type and element, sequences by layers, climbing among both."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from agents.chemistry.chemistry import dissimilarity
from agents.proposers.local_search import climbed
from agents.spaces.base import BaseSpace
from agents.spaces.crystal_index import CrystalIndex
from agents.spaces.index import Index
from agents.spaces.sequence_index import SequenceIndex
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from oracle.materials.superlattice import Superlattice


def _crystal(kind: str, first: str, second: str, length: float = 5.5) -> Crystal:
    group, site = {"rocksalt": ("Fm-3m", 0.5), "zincblende": ("F-43m", 0.25)}[kind]
    sites = [[0.0] * 3, [site] * 3]
    return Crystal.from_structure(
        Structure.from_spacegroup(group, Lattice.cubic(length), [first, second], sites)
    )


MEMBERS = (
    _crystal("rocksalt", "Na", "Cl", 5.64),  # 0
    _crystal("rocksalt", "K", "Cl", 6.29),  # 1
    _crystal("rocksalt", "Na", "Br", 5.97),  # 2
    _crystal("rocksalt", "Cs", "Cl", 7.0),  # 3
    _crystal("zincblende", "Na", "Cl", 6.2),  # 4
    _crystal("zincblende", "K", "Br", 7.0),  # 5
    _crystal("rocksalt", "Mg", "O", 4.21),  # 6
    _crystal("rocksalt", "Na", "Cl", 5.8),  # 7
)


@pytest.fixture(scope="module")
def crystals() -> CrystalIndex:
    return CrystalIndex(dict(enumerate(MEMBERS)))


class TestCrystals:
    def test_one_exchanged_element_is_nearest_and_similar_ones_come_first(
        self, crystals: CrystalIndex
    ) -> None:
        near = crystals.neighbours(0)
        steps = {1: ("Na", "K"), 2: ("Cl", "Br"), 3: ("Na", "Cs")}
        exchanged = [at for at in near if at in steps]
        assert set(exchanged) == set(steps)
        apart = [dissimilarity(*steps[at]) for at in exchanged]
        assert apart == sorted(apart)
        assert near[-1] == 4  # the same formula in another structure
        assert 6 not in near  # both elements differ

    def test_strain_keeps_the_structure_type(self, crystals: CrystalIndex) -> None:
        volumes = {at: np.log(MEMBERS[at].structure().volume) for at in (0, 1, 2, 3, 6, 7)}
        expected = sorted(volumes.keys() - {0}, key=lambda at: abs(volumes[at] - volumes[0]))
        assert crystals.strained(0) == expected
        assert crystals.strained(4) == [5]

    def test_children_have_elements_of_either_and_a_type_of_either(
        self, crystals: CrystalIndex
    ) -> None:
        # Rock salt NaCl with zincblende KBr: of the members, KCl, NaBr and both forms of NaCl.
        found = crystals.crossings(0, 5, np.random.default_rng(0))
        assert set(found) == {1, 2, 4, 7}
        assert len(found) == len(set(found))

    @given(st.permutations(range(len(MEMBERS))))
    @settings(max_examples=10, deadline=None)
    def test_the_order_of_a_list_does_not_matter(self, order: list[int]) -> None:
        plain = CrystalIndex(dict(enumerate(MEMBERS)))
        mixed = CrystalIndex({k: MEMBERS[at] for k, at in enumerate(order)})
        for k, at in enumerate(order):
            assert {order[i] for i in mixed.neighbours(k)} == set(plain.neighbours(at))
            assert [order[i] for i in mixed.strained(k)] == plain.strained(at)

    def test_strangers_are_compared_by_elements_and_volume(self) -> None:
        strangers = CrystalIndex(
            {0: MEMBERS[0], 1: MEMBERS[6], 2: _crystal("zincblende", "K", "Br")}
        )
        assert set(strangers.neighbours(0)) == {1, 2}


def _words(length: int) -> list[str]:
    return ["".join(w) for w in itertools.product("ab", repeat=length)]


class TestSequences:
    @given(st.sets(st.sampled_from(_words(5)), min_size=2, max_size=14), st.booleans())
    @settings(max_examples=40, deadline=None)
    def test_neighbours_are_those_of_a_search_by_hand(self, words: set[str], mirror: bool) -> None:
        made = {Superlattice.from_sequence(w, mirror=mirror) for w in sorted(words)}
        members = dict(enumerate(sorted(made, key=lambda m: m.sequence)))
        index = SequenceIndex(members)

        def apart(one: int, other: int) -> int:
            first, second = members[one].sequence, members[other].sequence
            ways = [second, second[::-1]] if mirror else [second]
            return min(sum(a != b for a, b in zip(first, w, strict=True)) for w in ways)

        for at in members:
            others = {other: apart(at, other) for other in members if other != at}
            found = index.neighbours(at)
            most = max(2, min(others.values(), default=0))
            assert set(found) == {other for other, d in others.items() if d <= most}
            assert [others[i] for i in found] == sorted(others[i] for i in found)

    def test_children_are_cut_from_both_parents(self) -> None:
        words = _words(6)
        index = SequenceIndex({k: Superlattice(sequence=w) for k, w in enumerate(words)})
        first, second = words.index("aaaaaa"), words.index("bbbbbb")
        seen = set()
        for seed in range(10):
            children = index.crossings(first, second, np.random.default_rng(seed))
            seen |= {words[at] for at in children}
        assert seen == {"abbbbb", "aabbbb", "aaabbb", "aaaabb", "aaaaab"}

    def test_a_child_outside_the_list_gives_the_member_nearest_to_it(self) -> None:
        words = ["aaaaaa", "bbbbbb", "ababab"]
        index = SequenceIndex({k: Superlattice(sequence=w) for k, w in enumerate(words)})
        assert index.crossings(0, 1, np.random.default_rng(0)) == [2]

    def test_sequences_of_different_length_have_nothing_in_common(self) -> None:
        index = SequenceIndex({0: Superlattice(sequence="ab"), 1: Superlattice(sequence="abab")})
        assert index.neighbours(0) == index.neighbours(1) == []
        assert index.crossings(0, 1, np.random.default_rng(0)) == []

    def test_of_an_unknown_kind_all_are_strangers(self) -> None:
        index = Index({0: None, 1: None})
        rng = np.random.default_rng(0)
        assert index.neighbours(0) == index.crossings(0, 1, rng) == index.strained(0) == []


class Hypercube(BaseSpace):
    """All words of a length; a small change exchanges one letter."""

    def __init__(self, length: int) -> None:
        self.length = length

    @property
    def size(self) -> int:
        return int(2**self.length)

    def __contains__(self, material: object) -> bool:
        return isinstance(material, Superlattice) and len(material.sequence) == self.length

    def __iter__(self) -> Iterator[Material]:
        return (Superlattice(sequence=w) for w in _words(self.length))

    def sample(self, n: int, rng: np.random.Generator) -> list[Material]:
        drawn = rng.choice(self.size, min(n, self.size), replace=False)
        words = (np.binary_repr(int(k), self.length) for k in drawn)
        return [Superlattice(sequence=w.translate(str.maketrans("01", "ab"))) for w in words]

    def neighbours(self, material: Material) -> list[Material]:
        word = material.formula
        return [
            Superlattice(sequence=word[:k] + ("a" if word[k] == "b" else "b") + word[k + 1 :])
            for k in range(self.length)
        ]


class TestListed:
    def test_all_if_there_is_room_else_a_sample(self) -> None:
        space, rng = Hypercube(5), np.random.default_rng(0)
        assert [m.formula for m in space.listed(32, rng)] == _words(5)
        part = space.listed(31, rng)
        assert len({m.digest for m in part}) == len(part) == 31
        assert all(m in space for m in part)


class TestClimbing:
    def _climb(self, start: list[str], leaders: list[str]) -> tuple[list[str], list[int]]:
        """The designs evaluated on the way to most b, and how many were asked at a time."""
        asked: list[int] = []

        def value(materials: Sequence[Material]) -> NDArray[np.float64]:
            asked.append(len(materials))
            return np.array([m.formula.count("b") for m in materials], dtype=np.float64)

        known = [Superlattice(sequence=w) for w in leaders]
        situation: Any = SimpleNamespace(
            taken=known,
            leaders=lambda k: known[:k],
            space=Hypercube(len(start[0])),
            rng=np.random.default_rng(0),
        )
        found = climbed([Superlattice(sequence=w) for w in start], situation, value)
        return [m.formula for m in found], asked

    def test_it_reaches_the_summit_that_is_four_steps_away(self) -> None:
        found, asked = self._climb(["aaaaaabb"], [])
        assert "aaaaaabb" in found
        assert max(word.count("b") for word in found) == 6
        assert len(asked) == 5  # the sample, and four steps
        near, _ = self._climb(["aaaabbbb"], [])
        assert "bbbbbbbb" in near

    def test_it_begins_at_the_best_measured_ones_too(self) -> None:
        found, _ = self._climb(["aaaaaaaa"], ["bbbbbbba"])
        assert "bbbbbbbb" in found

    @given(st.sets(st.sampled_from(_words(6)), min_size=1, max_size=6))
    @settings(max_examples=15, deadline=None)
    def test_no_design_is_evaluated_twice(self, start: set[str]) -> None:
        found, asked = self._climb(sorted(start), [])
        assert len(found) == len(set(found)) == sum(asked)
        assert set(start) <= set(found)
