"""Equivalent designs have equal descriptors, and the sequence process has valid covariances."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surrogate.features.layer_features import LayerFeatures, raw_blocks
from surrogate.features.layer_waves import _Media, transmissions
from surrogate.features.sequence_features import Chains
from surrogate.kernels.label_warping import LabelWarping
from surrogate.kernels.layer_kernel import LayerKernel, products_of, squares_of

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
    covariance = kernel(scales, products_of([*blocks, extras], [*blocks, extras]), squares, squares)
    assert np.allclose(covariance, covariance.transpose(0, 2, 1))
    least = np.linalg.eigvalsh(covariance).min(axis=1)
    largest = np.abs(covariance).max(axis=(1, 2))
    assert (least > -1e-6 * largest).all()
    diagonal = kernel.diagonal(scales, squares, np.zeros(len(words)))
    assert np.allclose(np.diagonal(covariance, axis1=1, axis2=2), diagonal, rtol=1e-5)


def test_transmission_of_a_single_film() -> None:
    """One layer between equal leads: 1 / (1 + (z - 1/z)² sin²φ / 4), Born and Wolf (1.6)."""
    log_transmission = transmissions(np.array([[1], [0]]), 2)[0]
    media = _Media.of(3)
    contrast = (media.impedance[1] / media.impedance[0]).astype(np.float64)
    phase = media.phase[1].astype(np.float64)
    share = 1.0 / (1.0 + 0.25 * np.square((contrast - 1.0 / contrast) * np.sin(phase)))
    expected = np.log(share.reshape(log_transmission.shape[1], -1).mean(axis=1))
    assert np.allclose(log_transmission[0], expected, atol=1e-4)
    assert np.allclose(
        log_transmission[1], 0.0, atol=1e-5
    )  # a layer of the leads' letter reflects nothing


def test_transmission_does_not_depend_on_other_sequences() -> None:
    letters = np.random.default_rng(0).integers(3, size=(200, 9))
    whole = transmissions(letters, 2)
    some = transmissions(letters[150:, ::-1], 2)
    for lead in range(2):
        assert np.array_equal(whole[lead][150:], some[lead])
        assert np.isfinite(whole[lead]).all()
        assert whole[lead].max() < 1e-4


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-50.0, 50.0), min_size=1, max_size=30),
    st.sampled_from(["low", "high", None]),
)
def test_warping_keeps_the_order_and_can_be_inverted(
    given_labels: list[float], sought: Literal["low", "high"] | None
) -> None:
    labels = np.round(np.array(given_labels), 3)
    warping = LabelWarping.of(labels, sought)
    warped = warping(labels)
    assert np.allclose(warping.back(warped), labels, atol=1e-6)
    order = np.argsort(labels, kind="stable")
    assert (np.diff(warped[order]) >= -1e-9).all()
    assert (warping.stretch(labels) > 0.0).all()


def test_an_outlier_among_the_labels_is_warped() -> None:
    labels = np.concatenate([np.linspace(-1.0, 1.0, 20), [30.0]])
    warped = LabelWarping.of(labels)(labels)
    assert warped.max() < 3.0
    assert np.ptp(warped[:20]) > 2.0
    assert np.allclose(LabelWarping.of(-labels)(-labels), -warped)


@pytest.mark.parametrize("sought", ["low", "high"])
def test_labels_at_the_sought_end_are_left_as_they_are(sought: Literal["low", "high"]) -> None:
    """Also if they form the longer tail, which is warped when no end is sought."""
    sign = -1.0 if sought == "low" else 1.0
    labels = sign * np.concatenate([np.linspace(-1.0, 0.0, 10), [1.0, 3.0, 30.0]])
    best, middle = labels[-3:], np.median(labels)
    for end, unchanged in ((sought, True), (None, False)):
        warping = LabelWarping.of(labels, end)
        between = np.diff(warping(best)) / np.diff(warping(np.array([middle, best[0]])))
        plain = np.diff(best) / (best[0] - middle)
        assert np.allclose(between, plain) is unchanged
