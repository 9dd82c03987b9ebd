"""Acquisition functions against closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from agents.acquisition.functions import (
    Belief,
    acquire,
    log_expected_improvement,
    thompson,
    upper_confidence_bound,
)
from agents.contract.objective import Objective
from surrogate.contract.protocol import Posterior

MINIMIZE = Objective()
MAXIMIZE = Objective(goal="maximize")
TARGET = Objective(goal="target", target=10.0)  # 1 on the modelled scale
finite = st.floats(-3, 3)
spreads = st.floats(0.05, 2)


def posterior(
    mean: list[float], spread: list[float], p_stable: list[float] | None = None
) -> Posterior:
    """Independent Gaussians."""
    n = len(mean)
    return Posterior(
        np.array(mean)[:, None],
        np.diag(spread)[None],
        np.full((n, 1), 0.1),
        np.array([1.0] * n if p_stable is None else p_stable),
    )


@settings(max_examples=50, deadline=None)
@given(finite, spreads, finite)
def test_expected_improvement_is_the_textbook_formula(
    mean: float, spread: float, best: float
) -> None:
    u = (mean - best) / spread
    expected = spread * (norm.pdf(u) + u * norm.cdf(u))
    value = log_expected_improvement(np.array([mean]), np.array([spread]), MAXIMIZE, best)
    assert np.exp(value[0]) == pytest.approx(expected, rel=1e-6, abs=1e-14)
    mirrored = log_expected_improvement(np.array([-mean]), np.array([spread]), MINIMIZE, best)
    assert mirrored[0] == pytest.approx(value[0], rel=1e-9, abs=1e-9)


def test_improbable_candidates_are_still_ranked() -> None:
    mean = np.linspace(-5, -60, 12)
    for objective, best in ((MAXIMIZE, 0.0), (TARGET, -0.5)):
        value = log_expected_improvement(mean, np.full(12, 0.3), objective, best)
        assert np.all(np.isfinite(value))
        assert np.all(np.diff(value) < 0)


@settings(max_examples=25, deadline=None)
@given(st.floats(-1, 3), st.floats(0.1, 1.5), st.floats(0.2, 2))
def test_expected_improvement_towards_a_target(mean: float, spread: float, best: float) -> None:
    grid = np.linspace(mean - 9 * spread, mean + 9 * spread, 40001)
    gain = np.maximum(best - np.abs(grid - 1.0), 0.0) * norm.pdf(grid, mean, spread)
    expected = np.trapezoid(gain, grid)
    value = log_expected_improvement(np.array([mean]), np.array([spread]), TARGET, -best)
    assert np.exp(value[0]) == pytest.approx(expected, rel=1e-3, abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(finite, spreads, finite)
def test_better_mean_and_larger_spread_are_worth_more(
    mean: float, spread: float, best: float
) -> None:
    better = np.array([mean, mean + 0.1])
    value = log_expected_improvement(better, np.full(2, spread), MAXIMIZE, best)
    assert value[1] > value[0]
    doubt = np.array([spread, spread + 0.1])
    value = log_expected_improvement(np.full(2, mean), doubt, MAXIMIZE, best)
    assert value[1] > value[0] - 1e-12
    if mean <= best:  # else the gain may be certain already
        assert value[1] > value[0]


def test_confidence_bound() -> None:
    mean, spread = np.array([0.5, -1.0]), np.array([0.2, 1.0])
    np.testing.assert_allclose(upper_confidence_bound(mean, spread, MAXIMIZE, 2.0), [0.9, 1.0])
    np.testing.assert_allclose(upper_confidence_bound(mean, spread, MINIMIZE, 2.0), [-0.1, 3.0])
    np.testing.assert_allclose(upper_confidence_bound(mean, spread, TARGET, 1.0), [-0.3, -1.0])


@pytest.mark.parametrize("kind", ["log-ei", "ucb"])
def test_instability_costs(kind: str) -> None:
    given_ = posterior([0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.9, 0.1, 0.0])
    value = acquire(Belief.of(given_), MINIMIZE, kind=kind, best=0.0)  # type: ignore[arg-type]
    assert value[0] > value[1] > value[2]
    assert np.all(np.isfinite(value))
    if kind == "log-ei":
        assert value[0] - value[1] == pytest.approx(np.log(9.0))


def test_conditioning_is_gaussian_conditioning() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 4))
    belief = Belief(np.zeros(6), root, np.linalg.norm(root, axis=1), np.full(6, 0.3), np.ones(6))
    covariance = root @ root.T
    expected = covariance - np.outer(covariance[2], covariance[2]) / (covariance[2, 2] + 0.09)
    after = belief.conditioned(2)
    np.testing.assert_allclose(after.root @ after.root.T, expected, atol=1e-12)
    assert np.all(after.spread <= belief.spread + 1e-12)


def test_a_surrogate_of_low_rank_still_distinguishes_candidates() -> None:
    rng = np.random.default_rng(0)
    belief = Belief(
        np.zeros(50), rng.normal(size=(50, 3)), np.ones(50), np.full(50, 0.01), np.ones(50)
    )
    for at in range(12):
        belief = belief.conditioned(at)
    assert np.all(belief.spread >= 0.05)


def test_thompson_draws_candidates_as_often_as_they_are_best() -> None:
    # Two independent Gaussians: P(first < second) = Phi(difference / root of summed variances).
    given_ = posterior([0.0, 0.5], [0.6, 0.8])
    wins = [thompson(given_, MINIMIZE, 1, np.random.default_rng(s))[0] == 0 for s in range(3000)]
    expected = norm.cdf(0.5)
    assert np.mean(wins) == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 3000))


def test_thompson_respects_stability() -> None:
    given_ = posterior([-5.0, 0.0], [0.1, 0.1], [0.2, 1.0])
    wins = [thompson(given_, MINIMIZE, 1, np.random.default_rng(s))[0] == 0 for s in range(2000)]
    assert np.mean(wins) == pytest.approx(0.2, abs=0.04)


def test_thompson_gives_every_index_once() -> None:
    given_ = posterior([0.0, 0.1, 0.2], [0.5, 0.5, 0.5], [0.0, 0.5, 1.0])
    assert sorted(thompson(given_, MINIMIZE, 9, np.random.default_rng(0))) == [0, 1, 2]
