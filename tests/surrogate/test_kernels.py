"""Kernels are covariances, agree with closed forms, and their scales are sampled correctly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm

from surrogate.kernels.block_kernel import BlockKernel
from surrogate.kernels.coregional_kernel import CoregionalKernel
from surrogate.kernels.label_warping import LabelWarping
from surrogate.kernels.layer_kernel import LayerKernel, products_of, squares_of
from surrogate.kernels.random_features import RandomFeatures
from surrogate.kernels.scale_samples import scale_samples

Array = NDArray[np.float64]
LABELS = st.lists(st.floats(-3, 3), min_size=6, max_size=30, unique=True)


def _features(rows: Array, seed: int) -> Array:
    return RandomFeatures.draw(rows.shape[1], seed)(rows, np.zeros((len(rows), 0)))


class TestRandomFeatures:
    def test_on_average_they_are_a_gaussian_kernel_and_a_linear_one(self) -> None:
        """Bochner's theorem: Rahimi and Recht, NeurIPS 2007."""
        rows = np.random.default_rng(0).normal(size=(6, 3))
        found = np.mean([f @ f.T for seed in range(400) for f in [_features(rows, seed)]], axis=0)
        squares = np.square(rows[:, None] - rows[None]).sum(axis=2)
        exact = 1 + 0.36 * np.exp(-squares / (2 * 1.6**2)) + 0.36 * rows @ rows.T
        np.testing.assert_allclose(found, exact, atol=0.01)

    @given(st.integers(0, 1000))
    @settings(max_examples=20, deadline=None)
    def test_all_materials_vary_alike_and_extras_are_kept(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows, extras = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
        features = RandomFeatures.draw(4, seed)(rows, extras)
        np.testing.assert_array_equal(features[:, -3:], extras)
        # cos² + sin² of every wave is 1, wherever the material lies.
        waves = np.square(features[:, 1:-7]).sum(axis=1)
        np.testing.assert_allclose(waves, waves[0])


def _rows(count: int, seed: int, fidelities: int = 3) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    plain = torch.randn(count, 5, generator=draw, dtype=torch.float64)
    which = torch.randint(fidelities, (count, 1), generator=draw).double()
    return torch.cat([plain, which], dim=1)


def _coregional() -> CoregionalKernel:
    return CoregionalKernel(BlockKernel((3, 2), 0, None), fidelities=2).eval()


class TestCoregional:
    @given(st.integers(0, 10_000))
    @settings(max_examples=15, deadline=None)
    def test_it_is_a_covariance(self, seed: int) -> None:
        kernel, x = _coregional(), _rows(14, seed)
        x[7:, :-1] = x[:7, :-1]  # the same materials at other fidelities
        with torch.no_grad():
            kernel.logit_correlation.copy_(torch.randn(2, dtype=torch.float64) * 2)
            found = kernel.forward(x, x)
            diagonal = kernel.forward(x, x, diag=True)
        assert torch.allclose(found, found.T)
        assert torch.allclose(found.diagonal(), diagonal)
        assert float(torch.linalg.eigvalsh(found).min()) > -1e-9

    def test_correlations_are_those_between_fidelities_of_one_material(self) -> None:
        kernel = _coregional()
        x = _rows(1, 0).repeat(3, 1)
        x[:, -1] = torch.tensor([0.0, 1.0, 2.0])
        with torch.no_grad():
            kernel.logit_correlation.copy_(torch.tensor([2.0, 0.5], dtype=torch.float64))
            found = kernel.forward(x, x).numpy()
        first, second = (1 / (1 + np.exp(-logit)) for logit in (2.0, 0.5))
        exact = np.array(
            [[1, first, second], [first, 1, first * second], [second, first * second, 1]]
        )
        spread = np.sqrt(np.diag(found))
        np.testing.assert_allclose(found / np.outer(spread, spread), exact, rtol=1e-12)

    def test_what_no_descriptor_explains_belongs_to_one_material(self) -> None:
        kernel, x = _coregional(), _rows(2, 1, fidelities=1)
        near = x[:1].clone()
        near[0, 0] += 1e-9
        with torch.no_grad():
            own = float(kernel.forward(x[:1], x[:1]))
            apart = float(kernel.forward(x[:1], near))
            white = float(torch.exp(2 * kernel.log_white))
        assert own - apart == pytest.approx(white, rel=1e-6)


def _layers(seed: int, count: int = 8) -> tuple[LayerKernel, Array, list[Array], Array]:
    rng = np.random.default_rng(seed)
    kernel = LayerKernel(("density", "order-"))
    mean, spread = kernel.prior
    scales = mean + spread * rng.normal(size=(3, len(mean)))
    return (
        kernel,
        scales,
        [rng.normal(size=(count, k)) for k in (3, 2)],
        rng.normal(size=(count, 3)),
    )


class TestLayerKernel:
    @given(st.integers(0, 10_000))
    @settings(max_examples=20, deadline=None)
    def test_it_is_a_covariance_for_every_row_of_scales(self, seed: int) -> None:
        kernel, scales, blocks, extras = _layers(seed)
        squares = squares_of(blocks)
        products = products_of([*blocks, extras], [*blocks, extras])
        found = kernel(scales, products, squares, squares)
        diagonal = kernel.diagonal(scales, squares, np.square(extras).sum(axis=1))
        for one, variances in zip(found, diagonal, strict=True):
            np.testing.assert_allclose(one, one.T)
            np.testing.assert_allclose(np.diag(one), variances)
            assert np.linalg.eigvalsh(one).min() > -1e-8 * np.abs(one).max()

    def test_far_apart_only_the_linear_part_is_left(self) -> None:
        kernel, scales, _, _ = _layers(0)
        u, v = np.array([[1e4, 0.0, 0.0]]), np.array([[0.0, 1e4, 0.0]])
        none = np.zeros((1, 2))
        products = products_of([u, none, none], [v, none, none])
        found = kernel(scales, products, squares_of([u, none]), squares_of([v, none]))
        np.testing.assert_allclose(found, 1.0)  # orthogonal rows share the constant alone

    def test_directed_blocks_weigh_less_before_any_label(self) -> None:
        mean, _ = LayerKernel(("density", "order-")).prior
        assert mean[1] > mean[0]  # its length is larger
        assert mean[3] < mean[2]  # its slope is smaller


class TestWarping:
    @given(st.integers(0, 1000))
    @settings(deadline=None)
    def test_of_a_long_tail_the_differences_among_the_rest_remain(self, seed: int) -> None:
        """How far away an outlier lies does not matter, only that it comes last."""
        rng = np.random.default_rng(seed)
        values = np.concatenate([rng.uniform(-1, 1, 20), [30.0]])
        farther = np.where(values > 20, 300.0, values)
        warped, same = (LabelWarping.of(table, "low")(table) for table in (values, farther))
        np.testing.assert_allclose(warped, same)
        assert warped.max() < 4
        assert warped.mean() == pytest.approx(0, abs=1e-9)
        assert warped.std() == pytest.approx(1)

    @pytest.mark.parametrize("values", [[], [1.0, 2.0, 3.0], [2.0] * 9])
    def test_of_few_or_equal_labels_nothing_is_warped(self, values: list[float]) -> None:
        table = np.array(values)
        np.testing.assert_array_equal(LabelWarping.of(table)(table), table)

    @given(LABELS, st.floats(0.1, 10), st.floats(-5, 5))
    @settings(max_examples=40, deadline=None)
    def test_unit_and_origin_do_not_matter(
        self, labels: list[float], unit: float, origin: float
    ) -> None:
        values = np.round(np.array(labels), 3)
        plain, other = (LabelWarping.of(v, "low")(v) for v in (values, unit * values + origin))
        if LabelWarping.of(values, "low").spread != 1.0:  # else it is the identity
            np.testing.assert_allclose(other, plain, atol=1e-6)


class TestScaleSamples:
    def test_of_a_gaussian_likelihood_they_are_the_exact_posterior(self) -> None:
        """Prior N(1, 2²) and likelihood N(x; 3, 0.5²) make N(2.882, 0.485²)."""
        mean, spread = np.array([1.0, -1.0]), np.array([2.0, 0.7])

        def likelihood(rows: Array) -> Array:
            return np.asarray(norm.logpdf(rows[:, 0], 3.0, 0.5))

        samples = scale_samples(
            likelihood,
            (mean, spread),
            labels=30,
            particles=4000,
            rng=np.random.default_rng(0),
        )
        found, evidence = samples
        # The likelihood averaged over the prior is N(3; 1, 2² + 0.5²).
        assert evidence == pytest.approx(norm.logpdf(3.0, 1.0, np.hypot(2.0, 0.5)), abs=0.1)
        precision = 1 / 2.0**2 + 1 / 0.5**2
        exact = (1.0 / 2.0**2 + 3.0 / 0.5**2) / precision
        assert found[:, 0].mean() == pytest.approx(exact, abs=0.05)
        assert found[:, 0].std() == pytest.approx(precision**-0.5, rel=0.08)
        # Of the other scale nothing was learned.
        assert found[:, 1].mean() == pytest.approx(-1.0, abs=0.06)
        assert found[:, 1].std() == pytest.approx(0.7, rel=0.08)

    def test_what_cannot_be_computed_is_never_drawn(self) -> None:
        def likelihood(rows: Array) -> Array:
            return np.where(rows[:, 0] > 0, 0.0, -np.inf)

        found = scale_samples(
            likelihood,
            (np.zeros(1), np.ones(1)),
            labels=4,
            particles=500,
            rng=np.random.default_rng(1),
        ).rows
        assert found.min() > 0
        assert found.mean() == pytest.approx(np.sqrt(2 / np.pi), rel=0.15)  # of a half normal
