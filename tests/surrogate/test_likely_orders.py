"""Symmetries of stacks that nobody has declared, found from labels."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.contract.evaluation import Measured, make_quantity
from oracle.materials.orders import group
from oracle.materials.superlattice import Superlattice
from surrogate.contract.protocol import Output
from surrogate.contract.settings import SequenceProcessSettings
from surrogate.features.feature_store import FeatureStore
from surrogate.features.likely_orders import likely_orders
from surrogate.models.sequence_process import SequenceProcess

OUTPUT = Output("kappa", 300.0, log=False)
Value = Callable[[np.ndarray], float]


@given(st.integers(1, 40), st.booleans())
def test_each_set_makes_another_group_that_holds_what_is_declared(
    length: int, mirror: bool
) -> None:
    declared = (tuple(reversed(range(length))),) if mirror else ()
    groups = [group(orders, length) for orders in likely_orders(length, declared)]
    assert len({group(declared, length), *groups}) == len(groups) + 1
    for members in groups:
        assert set(group(declared, length)) < set(members)
        assert all(sorted(member) == list(range(length)) for member in members)


def test_groups_of_two_layers_may_be_turned_around() -> None:
    found = likely_orders(8, ())
    assert any(orders == ((1, 0, 2, 3, 5, 4, 6, 7), (0, 1, 3, 2, 4, 5, 7, 6)) for orders in found)
    assert ((1, 2, 3, 4, 5, 6, 7, 0),) in found


def _means(surrogate: SequenceProcess, words: list[str]) -> np.ndarray:
    designs = [Superlattice(sequence=word) for word in words]
    posterior = surrogate.posterior(designs, outputs=[OUTPUT], fidelity="bte")
    return np.asarray(posterior.mean).ravel()


def _difference(value: Value, image: Callable[[str], str], *, looks: bool = True) -> float:
    """Typical difference between predictions of a design and its image, in units of the labels'."""
    rng = np.random.default_rng(4)
    words = ["".join(word) for word in itertools.product("01", repeat=12)]
    chosen = rng.choice(len(words), 70, replace=False)
    labelled, asked = chosen[:40], chosen[40:]
    labels = {words[i]: value(np.array([int(x) for x in words[i]])) for i in chosen}
    settings = SequenceProcessSettings(undeclared_symmetries=looks)
    surrogate = SequenceProcess(
        [OUTPUT], "bte", seed=1, store=FeatureStore("none"), settings=settings
    )
    surrogate.fit(
        [
            Measured(
                material=Superlattice(sequence=words[i]),
                fidelity="bte", method="m", cost_s=1.0, stage="bte", temperature=(300.0,),
                properties={"kappa": make_quantity("kappa", [labels[words[i]]])},
            )
            for i in labelled
        ]
    )  # fmt: skip
    sequences = [words[i] for i in asked]
    plain, images = (_means(surrogate, some) for some in (sequences, [image(w) for w in sequences]))
    spread = np.std(list(labels.values()))
    return float(np.abs(plain - images).mean() / spread)


def _swapped(word: str) -> str:
    return "".join(word[i + 1] + word[i] for i in range(0, len(word), 2))


def _shifted(word: str) -> str:
    return word[1:] + word[0]


def _by_pairs(x: np.ndarray) -> float:
    """It depends on how many of each two layers are of one kind, and where."""
    filled = x.reshape(-1, 2).sum(axis=1) - 1.0
    weights = np.random.default_rng(8).normal(size=len(filled))
    return float(5.0 + filled @ weights + 0.8 * (filled[1:] * filled[:-1]).sum())


def _on_a_ring(x: np.ndarray) -> float:
    signs = 2.0 * x - 1.0
    return float(20.0 + sum(c * (signs * np.roll(signs, d)).sum() for d, c in ((1, 0.5), (3, 0.9))))


def _by_place(x: np.ndarray) -> float:
    return float(20.0 + x @ np.random.default_rng(2).normal(size=len(x)))


@pytest.mark.parametrize(
    ("value", "image"), [(_by_pairs, _swapped), (_on_a_ring, _shifted)], ids=["pairs", "ring"]
)
def test_labels_show_which_designs_are_equivalent(
    value: Value, image: Callable[[str], str]
) -> None:
    assert _difference(value, image) < 1e-6
    assert _difference(value, image, looks=False) > 0.05


@pytest.mark.parametrize("image", [_swapped, _shifted, lambda word: word[::-1]])
def test_labels_without_symmetry_show_none(image: Callable[[str], str]) -> None:
    assert _difference(_by_place, image) > 0.3
