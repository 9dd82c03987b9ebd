"""Points drawn to correct what is interpolated at the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from oracle.phonon_bte.sampling import (
    inclusion_probabilities,
    ratio_of_others,
    systematic_sample,
)

Array = NDArray[np.float64]
CONTRIBUTIONS = arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1e3, width=16)).filter(
    lambda values: bool(values.sum() > 0)
)


@given(CONTRIBUTIONS, st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_each_point_is_drawn_once_and_the_largest_are_certain(
    contributions: Array, number: int, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(contributions))
    probabilities = inclusion_probabilities(contributions, number)
    possible = np.count_nonzero(contributions)
    assert probabilities.sum() == pytest.approx(min(number, possible))
    assert ((probabilities >= 0) & (probabilities <= 1 + 1e-9)).all()
    assert (np.diff(probabilities[np.argsort(contributions)]) >= -1e-9).all()
    sample = systematic_sample(contributions, number, order)
    assert len(set(sample.points.tolist())) == len(sample.points) == min(number, possible)
    assert set(np.flatnonzero(probabilities > 1 - 1e-9)) <= set(sample.points.tolist())
    represented = len(sample.points) + sample.others.sum()
    if possible <= number:
        assert represented == pytest.approx(possible)


def test_rounding_does_not_draw_a_point_twice() -> None:
    """The running sum comes to 15.499999999999998 before a point that is certain."""
    contributions = np.array([1.0, 4, 5, 2, 5, 5, 4, 3])
    sample = systematic_sample(contributions, 6, np.arange(8))
    assert len(set(sample.points.tolist())) == 6


@pytest.mark.parametrize("number", [12, 24])
def test_the_sum_is_unbiased_although_large_guesses_are_too_large(number: int) -> None:
    """Points of a large guess are drawn more often, and are not like the others."""
    rng = np.random.default_rng(3)
    guesses = rng.lognormal(sigma=1.0, size=120)
    truths = guesses * (guesses / guesses.mean()) ** -0.4 * rng.lognormal(sigma=0.3, size=120)
    sums, errors, equal = [], [], []
    for _ in range(2000):
        sample = systematic_sample(guesses, number, rng.permutation(120))
        at = sample.points
        others = np.setdiff1d(np.arange(120), at)
        ratio, error = ratio_of_others(guesses[None, at], truths[None, at], sample)
        sums.append(truths[at].sum() + float(ratio[0]) * guesses[others].sum())
        errors.append(float(error[0]))
        plain = (truths[at] / guesses[at]).mean()
        equal.append(truths[at].sum() + plain * guesses[others].sum())
    whole = float(truths.sum())
    assert np.mean(sums) == pytest.approx(whole, rel=0.01)
    assert np.mean(equal) < 0.95 * whole  # as if those that are not drawn were like the drawn
    assert np.std(sums) == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=0.3)


def test_nothing_is_left_when_all_points_are_drawn() -> None:
    guesses = np.array([3.0, 1.0, 2.0])
    sample = systematic_sample(guesses, 5, np.arange(3))
    ratio, error = ratio_of_others(guesses[None, sample.points], np.ones((1, 3)), sample)
    assert sorted(sample.points) == [0, 1, 2]
    assert ratio.tolist() == [1.0]
    assert error.tolist() == [0.0]


def test_each_temperature_has_its_ratio() -> None:
    guesses = np.linspace(1, 2, 40)
    sample = systematic_sample(guesses, 10, np.arange(40))
    given_ones = np.array([guesses, 2 * guesses])[:, sample.points]
    ratio, error = ratio_of_others(given_ones, given_ones * np.array([[1.5], [0.5]]), sample)
    np.testing.assert_allclose(ratio, [1.5, 0.5])
    np.testing.assert_allclose(error, 0.0, atol=1e-9)
