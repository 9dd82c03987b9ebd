"""The contract of all design spaces."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.chemistry.chemistry import dissimilarity
from agents.contract.protocol import Space
from agents.spaces.finite import FiniteSpace
from agents.spaces.interface_space import InterfaceSpace, interface_space
from agents.spaces.pool import PoolSpace
from agents.spaces.prototypes import PrototypeSpace
from agents.spaces.settings import InterfaceSpaceSettings, PoolSpaceSettings, PrototypeSpaceSettings
from oracle.materials.composition import Composition
from oracle.materials.crystal import Crystal
from oracle.materials.interface import Interface
from oracle.materials.material import Material
from oracle.materials.superlattice import Superlattice


@pytest.fixture(scope="module")
def crystal_pool(tmp_path_factory: pytest.TempPathFactory, crystals: PrototypeSpace) -> PoolSpace:
    path = tmp_path_factory.mktemp("pool") / "pool.jsonl"
    with path.open("w") as stream:
        for i, crystal in enumerate(list(crystals)[:20]):
            assert isinstance(crystal, Crystal)
            structure = crystal.conventional().as_dict()
            stream.write(json.dumps({"id": i, "structure": structure}) + "\n")
    return PoolSpace(PoolSpaceSettings(path=path))


Listed = FiniteSpace | InterfaceSpace


class SpaceContract:
    """Inherited by the tests of every space."""

    @pytest.fixture
    def under_test(self) -> Listed:
        raise AssertionError("each test class names its space")

    @pytest.fixture
    def stranger(self) -> Material:
        return Superlattice(sequence="not-a-member")

    def test_is_a_space(self, under_test: Listed) -> None:
        assert isinstance(under_test, Space)

    def test_lists_distinct_members(self, under_test: Listed) -> None:
        digests = [m.digest for m in under_test]
        assert len(digests) == len(set(digests)) == under_test.size
        assert all(m in under_test for m in under_test)
        assert [m.digest for m in under_test] == digests

    def test_samples_without_replacement(self, under_test: Listed) -> None:
        sample = under_test.sample(10, np.random.default_rng(3))
        assert len({m.digest for m in sample}) == 10
        again = under_test.sample(10, np.random.default_rng(3))
        assert [m.digest for m in sample] == [m.digest for m in again]
        everything = under_test.sample(10 * under_test.size, np.random.default_rng(0))
        assert {m.digest for m in everything} == {m.digest for m in under_test}

    def test_neighbours_are_other_members(self, under_test: Listed) -> None:
        for material in under_test.sample(8, np.random.default_rng(0)):
            near = under_test.neighbours(material)
            digests = [m.digest for m in near]
            assert near
            assert len(digests) == len(set(digests))
            assert material.digest not in digests
            assert all(m in under_test for m in near)

    def test_materials_outside_the_space_have_neither_neighbours_nor_label(
        self, under_test: Listed, stranger: Material
    ) -> None:
        assert stranger not in under_test
        assert "text" not in under_test
        assert under_test.neighbours(stranger) == []
        assert under_test.label(stranger) is None


class TestPrototypeSpace(SpaceContract):
    @pytest.fixture
    def under_test(self, crystals: PrototypeSpace) -> FiniteSpace:
        return crystals

    def test_similar_elements_come_first(self, crystals: PrototypeSpace) -> None:
        salt = next(m for m in crystals if m.formula == "NaCl" and crystals.label(m) == "rocksalt")
        near = crystals.neighbours(salt)
        assert {m.formula for m in near[:2]} <= {"KCl", "LiCl", "NaBr"}
        assert crystals.label(near[0]) == "rocksalt"
        last = near[-1]
        assert last.formula == "NaCl"
        assert crystals.label(last) == "zincblende"
        steps = [
            dissimilarity(*sorted(set(m.species) ^ {"Na", "Cl"}))
            for m in near
            if isinstance(m, Crystal) and m.formula != "NaCl"
        ]
        assert steps == sorted(steps)

    def test_crossings_mix_the_parents(self, crystals: PrototypeSpace) -> None:
        members = {(m.formula, crystals.label(m)): m for m in crystals}
        first, second = members["NaCl", "rocksalt"], members["KBr", "zincblende"]
        mixed = crystals.crossings(first, second, np.random.default_rng(0))
        result = {(m.formula, crystals.label(m)) for m in mixed}
        assert ("KBr", "rocksalt") in result
        assert ("NaBr", "rocksalt") in result
        assert ("KCl", "zincblende") in result
        assert {s for f in mixed if isinstance(f, Crystal) for s in f.species} <= {
            "Na", "Cl", "K", "Br"
        }  # fmt: skip


class TestCrystalPool(SpaceContract):
    @pytest.fixture
    def under_test(self, crystal_pool: PoolSpace) -> FiniteSpace:
        return crystal_pool

    def test_holds_what_was_written(
        self, under_test: FiniteSpace, crystals: PrototypeSpace
    ) -> None:
        assert [m.digest for m in under_test] == [m.digest for m in list(crystals)[:20]]
        assert under_test.label(under_test.materials[7]) == "7"

    def test_unrelated_crystals_still_have_neighbours(self, crystals: PrototypeSpace) -> None:
        members = {(m.formula, crystals.label(m)): m for m in crystals}
        chosen = [
            members["LiF", "rocksalt"],
            members["GaAs", "zincblende"],
            members["SrSe", "rocksalt"],
        ]
        space = FiniteSpace(chosen, ["a", "b", "c"])
        assert len(space.neighbours(chosen[1])) == 2


class TestSequencePool(SpaceContract):
    @pytest.fixture
    def under_test(self, sequences: PoolSpace) -> FiniteSpace:
        return sequences

    def test_nearest_sequences_come_first(self, sequences: PoolSpace) -> None:
        material = sequences.materials[5]
        distance = [_hamming(material.formula, m.formula) for m in sequences.neighbours(material)]
        assert distance == sorted(distance)
        assert distance[0] == 1
        assert max(distance) <= 2

    @settings(max_examples=30, deadline=None)
    @given(st.sets(st.text("01", min_size=6, max_size=6), min_size=2, max_size=12))
    def test_every_pool_is_connected_to_something(self, members: set[str]) -> None:
        ordered = sorted(members)
        space = FiniteSpace([Superlattice(sequence=s) for s in ordered], ordered)
        for sequence in ordered:
            near = space.neighbours(Superlattice(sequence=sequence))
            least = min(_hamming(sequence, o, mirror=False) for o in ordered if o != sequence)
            assert _hamming(sequence, near[0].formula, mirror=False) == least


def _hamming(first: str, second: str, *, mirror: bool = True) -> int:
    plain = sum(a != b for a, b in zip(first, second, strict=True))
    turned = sum(a != b for a, b in zip(first, second[::-1], strict=True))
    return min(plain, turned) if mirror else plain


class TestCompositionPool(SpaceContract):
    @pytest.fixture
    def under_test(self) -> FiniteSpace:
        members = [Composition.of(a + b) for a in ("Li", "Na", "K", "Mg") for b in ("F", "Cl", "O")]
        members += [Composition.of(f"{a}2O") for a in ("Li", "Na", "K")]
        return FiniteSpace(members, [m.formula for m in members])

    def test_neighbours_exchange_one_element_for_a_similar_one(
        self, under_test: FiniteSpace
    ) -> None:
        near = [m.formula for m in under_test.neighbours(Composition.of("NaCl"))]
        assert set(near[:2]) <= {"KCl", "LiCl", "NaF"}
        assert "K2O" not in near[:3]
        assert {m.formula for m in under_test.neighbours(Composition.of("K2O"))} == {"Li2O", "Na2O"}


class TestInterfaceSpace(SpaceContract):
    @pytest.fixture
    def under_test(self, interfaces: InterfaceSpace) -> InterfaceSpace:
        return interfaces

    def test_holds_every_pair_once(self, interfaces: InterfaceSpace) -> None:
        crystals = interfaces.crystals
        pairs = {frozenset(c.digest for c in m.crystals) for m in _pairs(interfaces)}
        assert len(pairs) == interfaces.size == 66
        assert Interface(crystals=(crystals[5], crystals[2])) in interfaces
        assert Interface(crystals=(crystals[5], crystals[5])) not in interfaces
        assert crystals[5] not in interfaces
        label = interfaces.label(Interface(crystals=(crystals[5], crystals[2])))
        assert label == "n2 | n5"

    def test_neighbours_keep_one_side(self, interfaces: InterfaceSpace) -> None:
        pair = _pairs(interfaces)[17]
        own = {c.digest for c in pair.crystals}
        near = interfaces.neighbours(pair)
        assert len(near) == 2 * (len(interfaces.crystals) - 2)
        for other in near:
            assert isinstance(other, Interface)
            assert len(own & {c.digest for c in other.crystals}) == 1

    def test_crossings_have_a_side_of_either(self, interfaces: InterfaceSpace) -> None:
        first, second = _pairs(interfaces)[3], _pairs(interfaces)[60]
        mixed = interfaces.crossings(first, second, np.random.default_rng(0))
        assert len(mixed) == 4
        for child in mixed:
            assert isinstance(child, Interface)
            own = {c.digest for c in child.crystals}
            assert all(own & {c.digest for c in p.crystals} for p in (first, second))

    def test_many_pairs_are_numbered_not_held(self, crystals: PrototypeSpace) -> None:
        base = crystals.materials[0]
        assert isinstance(base, Crystal)
        rows = np.array(base.lattice)
        fresh = [
            Crystal.model_validate({**base.model_dump(), "lattice": (rows * s).tolist()})
            for s in 1 + 0.002 * np.arange(300)
        ]
        space = InterfaceSpace(FiniteSpace(fresh, [str(k) for k in range(300)]))
        assert space.size == 300 * 299 // 2
        assert space.materials is None
        sample = space.sample(500, np.random.default_rng(0))
        assert len({m.digest for m in sample}) == 500
        assert all(m in space for m in sample)
        assert len({m.digest for m in space}) == space.size


def _pairs(space: InterfaceSpace) -> list[Interface]:
    return [m for m in space if isinstance(m, Interface)]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([0], "holds 1 crystal; expected at least two different ones"),
        ([0, 0], "holds 1 crystal; expected at least two different ones"),
        (["01", "10"], "holds the layer sequence '01'; expected crystals"),
    ],
)
def test_lists_without_any_pair(
    records: list[int | str], message: str, crystals: PrototypeSpace, tmp_path: Path
) -> None:
    lines = []
    for k, record in enumerate(records):
        if isinstance(record, str):
            lines.append({"id": k, "sequence": record})
        else:
            crystal = crystals.materials[record]
            assert isinstance(crystal, Crystal)
            lines.append({"id": k, "structure": crystal.structure().as_dict()})
    path = tmp_path / "list.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    with pytest.raises(ValueError, match=message):
        interface_space(InterfaceSpaceSettings(path=path))


def test_a_hundred_thousand_sequences_are_searched_at_once(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("w") as stream:
        for i in range(100_000):
            stream.write(json.dumps({"id": i, "sequence": f"{i:017b}"}) + "\n")
    space = PoolSpace(PoolSpaceSettings(path=path))
    assert space.size == 100_000
    material = Superlattice(sequence="0" * 17)
    near = space.neighbours(material)
    singles = [i for i in range(17) if 1 << i < 100_000]
    assert sum(m.formula.count("1") == 1 for m in near) == len(singles)
    assert [m.formula.count("1") for m in near] == sorted(m.formula.count("1") for m in near)


def test_an_empty_prototype_space_says_so() -> None:
    with pytest.raises(ValueError, match="no neutral decoration"):
        PrototypeSpace(PrototypeSpaceSettings(prototypes=("rocksalt",), elements=("Na", "K")))
