"""Equal designs look equal to the sequence process, and its covariances are covariances."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from surrogate.layer_features import LayerFeatures, raw_blocks
from surrogate.layer_kernel import LayerKernel, products_of, squares_of
from surrogate.sequences import Chains

ORDERS = ((1, 0, 2, 3, 5, 4), (5, 4, 3, 2, 1, 0))
WORDS = st.lists(st.text("012", min_size=6, max_size=6), min_size=2, max_size=12, unique=True)


@settings(max_examples=40, deadline=None)
@given(WORDS, st.sampled_from(ORDERS))
def test_descriptors_do_not_change_under_the_symmetries(
    words: list[str], order: tuple[int, ...]
) -> None:
    turned = tuple("".join(word[i] for i in order) for word in words)
    straight = raw_blocks(tuple(words), ORDERS, ("0", "1", "2"))
    images = raw_blocks(turned, ORDERS, ("0", "1", "2"))
    for name, block in straight.items():
        assert np.allclose(block, images[name], atol=1e-12)
        assert not name.endswith("-")


@settings(max_examples=30, deadline=None)
@given(WORDS, st.integers(0, 99))
def test_the_kernel_is_positive(words: list[str], seed: int) -> None:
    inputs = Chains.of(words).inputs(words)
    features = LayerFeatures.of(inputs)
    blocks = features(inputs)
    kernel = LayerKernel(features.names)
    mean, spread = kernel.prior
    scales = mean + spread * np.random.default_rng(seed).normal(size=(3, len(mean)))
    extras = np.zeros((len(words), 1))
    squares = squares_of(blocks)
    found = kernel(scales, products_of([*blocks, extras], [*blocks, extras]), squares, squares)
    assert np.allclose(found, found.transpose(0, 2, 1))
    least = np.linalg.eigvalsh(found).min(axis=1)
    largest = np.abs(found).max(axis=(1, 2))
    assert (least > -1e-6 * largest).all()
    diagonal = kernel.diagonal(scales, squares, np.zeros(len(words)))
    assert np.allclose(np.diagonal(found, axis1=1, axis2=2), diagonal, rtol=1e-5)
