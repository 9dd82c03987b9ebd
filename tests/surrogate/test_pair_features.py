"""Descriptors of pairs of crystals do not depend on the order of the two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.materials.crystal import Crystal
from oracle.materials.interface import Interface
from oracle.materials.superlattice import Superlattice
from surrogate.features.feature_store import FeatureStore
from surrogate.features.material_inputs import MaterialInputs
from surrogate.features.pair_features import pair_inputs


def _crystal(a: float) -> Crystal:
    return Crystal(
        lattice=((0.0, a, a), (a, 0.0, a), (a, a, 0.0)),
        species=("Na", "Cl"),
        positions=((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)),
    )


@given(st.integers(0, 500), st.integers(0, 500))
def test_sides_may_be_exchanged(first: int, second: int) -> None:
    one, other = _crystal(2.5 + 0.002 * first), _crystal(2.5 + 0.002 * second)
    # Whatever order a pair is built in, and even if it kept none.
    straight = Interface(crystals=(one, other))
    turned = Interface.model_construct(crystals=straight.crystals[::-1])
    assert Interface(crystals=(other, one)) == straight
    from_store = _Recording()
    inputs = [pair_inputs([pair], from_store.inputs) for pair in (straight, turned)]
    for a, b in zip(inputs[0].blocks, inputs[1].blocks, strict=True):
        np.testing.assert_array_equal(a, b)


def test_crystals_are_described_once_however_many_pairs_they_are_in() -> None:
    crystals = [_crystal(2.5 + 0.1 * k) for k in range(4)]
    pairs = [Interface(crystals=(a, b)) for a in crystals for b in crystals if a is not b]
    store = _Recording()
    inputs = pair_inputs(pairs, store.inputs)
    assert store.asked == [4]
    assert inputs.n == 12
    single = store.inputs([pairs[0].crystals[0]]).blocks[0]
    assert inputs.blocks[0].shape == (12, 2 * single.shape[1])


def test_interfaces_and_crystals_are_not_mixed(synthetic: FeatureStore) -> None:
    crystal = _crystal(2.5)
    pair = Interface(crystals=(crystal, _crystal(3.0)))
    with pytest.raises(ValueError, match="1 of crystal, 1 of interface, 1 of superlattice"):
        MaterialInputs(synthetic)([crystal, pair, Superlattice(sequence="01")])


class _Recording(FeatureStore):
    """Describes a crystal by its volume and edge, and records the number of crystals per call."""

    def __init__(self) -> None:
        super().__init__("none")
        self.asked: list[int] = []

    def inputs(self, crystals: Sequence[Crystal]):  # type: ignore[no-untyped-def]
        from surrogate.features.inputs import Group, Inputs

        self.asked.append(len(crystals))
        edges = np.array([[c.lattice[0][1], c.lattice[0][1] ** 3] for c in crystals])
        nodes = np.zeros((len(crystals), 1, 1, 1), np.float32)
        return Inputs(
            n=len(crystals),
            groups=(Group(np.arange(len(crystals)), nodes, nodes[:1]),),
            blocks=(edges,),
            spreads=(np.ones(2),),
            mirrors=(np.arange(2),),
            descriptors={},
        )
