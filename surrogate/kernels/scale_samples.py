"""Scales of a kernel drawn from what the labels leave possible, so that few labels mislead less.

Sequential Monte Carlo: draws from the prior are carried to the posterior in steps of rising
weight of the labels; after each they are drawn again by weight and moved by Metropolis steps
(Del Moral, Doucet and Jasra, J. R. Statist. Soc. B 68, 411, 2006).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_STEPS = 10
_JITTER = 0.05  # of a differential move, in prior standard deviations


def scale_samples(
    likelihood: Callable[[Array], Array],
    prior: tuple[Array, Array],
    *,
    labels: int,
    particles: int,
    rng: np.random.Generator,
) -> Array:
    """Rows of scales (particles, p), about equally probable.

    Args:
        likelihood: logarithm (m,) for m rows; -inf where it cannot be computed.
        prior: means and standard deviations (p,) of independent normal distributions.
        labels: how many the likelihood is of; few need few steps.
        particles: how many rows.
        rng: source of all randomness.
    """
    mean, spread = prior
    rows = mean + spread * rng.normal(size=(particles, len(mean)))
    value = likelihood(rows)
    steps = min(_STEPS, 2 + labels // 2)
    weights = np.linspace(0.0, 1.0, steps + 1)[1:] ** 2
    before = 0.0
    for weight in weights:
        rows, value = _again(rows, value, weight - before, rng)
        before = float(weight)
        for move in (_crank_nicolson, _differential):
            moved, prior_odds = move(rows, mean, spread, rng)
            there = likelihood(moved)
            odds = weight * (there - value) + prior_odds
            accepted = np.log(rng.random(particles)) < odds
            rows = np.where(accepted[:, None], moved, rows)
            value = np.where(accepted, there, value)
    return rows


def _again(
    rows: Array, value: Array, weight: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Systematic resampling by the weight that the likelihood gains."""
    logs = weight * value
    shares = np.exp(logs - logs.max())
    ends = np.cumsum(shares / shares.sum())
    places = (np.arange(len(rows)) + rng.random()) / len(rows)
    chosen = np.minimum(np.searchsorted(ends, places), len(rows) - 1)
    return rows[chosen], value[chosen]


def _crank_nicolson(
    rows: Array, mean: Array, spread: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Some scales drawn partly anew; leaves the prior as it is."""
    kept = rng.choice([0.3, 0.6, 0.9])
    drawn = (
        mean + np.sqrt(1.0 - kept**2) * (rows - mean) + kept * spread * rng.normal(size=rows.shape)
    )
    changed = rng.random(rows.shape) < rng.choice([0.15, 0.4, 1.0])
    return np.where(changed, drawn, rows), np.zeros(len(rows))


def _differential(
    rows: Array, mean: Array, spread: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Steps along the difference of two others, which have the scatter of all."""
    first, second = rng.integers(len(rows), size=(2, len(rows)))
    step = rng.choice([0.5, 1.0]) * (rows[first] - rows[second]) * (rng.random(rows.shape) < 0.5)
    moved = rows + step + _JITTER * spread * rng.normal(size=rows.shape)
    odds = np.square((rows - mean) / spread) - np.square((moved - mean) / spread)
    return moved, 0.5 * odds.sum(axis=1)
