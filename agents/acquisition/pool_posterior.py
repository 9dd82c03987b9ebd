"""Posteriors of many materials, computed once per round however often they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.contract.objective import Objective
from agents.contract.protocol import Space
from oracle.contract.evaluation import Failed, Measured, Outcome, Unstable
from oracle.materials.material import Material
from surrogate.contract.protocol import Array, Calibration, Output, Posterior, Surrogate

_UNCALIBRATED = Calibration()


class SharedSurrogate:
    """A fitted surrogate that caches its latest posteriors, so that agents share them.

    Args:
        surrogate: fitted; not refitted while it is shared.
        keep: number of posteriors that are cached.
    """

    def __init__(self, surrogate: Surrogate, keep: int = 4) -> None:
        self._surrogate = surrogate
        self._keep = keep
        self._known: list[tuple[Sequence[Material], object, Posterior]] = []

    def fit(
        self,
        evaluations: Sequence[Measured | Unstable | Failed],
        *,
        calibration: Calibration = _UNCALIBRATED,
    ) -> None:
        """Fit the surrogate and discard the cached posteriors."""
        self._known.clear()
        self._surrogate.fit(evaluations, calibration=calibration)

    def posterior(
        self,
        materials: Sequence[Material],
        *,
        outputs: Sequence[Output],
        fidelity: str,
    ) -> Posterior:
        """The surrogate's posterior; the same object for the same list object of materials."""
        key = (tuple(outputs), fidelity)
        for queried, query, posterior in self._known:
            if queried is materials and query == key:
                return posterior
        posterior = self._surrogate.posterior(materials, outputs=outputs, fidelity=fidelity)
        self._known = [(materials, key, posterior), *self._known][: self._keep]
        return posterior


@dataclass(frozen=True)
class PoolPosterior:
    """The surrogate's posterior over a space, or over a sample of it.

    Args:
        materials: the whole space, or a sample of it.
        posterior: of the outputs of all objectives, that of the first one first.
        best: best score of the evaluations, or None if nothing was measured.
        index: position in `materials` by digest.
    """

    materials: Sequence[Material]
    posterior: Posterior
    best: float | None
    index: dict[str, int]

    def free(self, taken: Sequence[Material]) -> NDArray[np.bool_]:
        """Mask (n,) of the materials that are not in `taken`."""
        free = np.ones(len(self.materials), dtype=bool)
        for material in taken:
            at = self.index.get(material.digest)
            if at is not None:
                free[at] = False
        return free


def pool_posterior(
    space: Space,
    *,
    objective: Objective,
    evaluations: Sequence[Outcome],
    surrogate: Surrogate,
    fidelity: str,
    limit: int,
    rng: np.random.Generator,
) -> PoolPosterior:
    """Predict the objective for the members of a space.

    Args:
        space: whose members are predicted.
        objective: the property to predict.
        evaluations: give the best score so far.
        surrogate: fitted.
        fidelity: at which the objective is measured.
        limit: largest number of materials; of a larger space, a sample is predicted.
        rng: draws that sample.
    """
    materials = space.listed(limit, rng)
    posterior = surrogate.posterior(materials, outputs=objective.outputs, fidelity=fidelity)
    scores = [s for s in map(objective.score_of, evaluations) if s is not None]
    return PoolPosterior(
        materials,
        posterior,
        max(scores, default=None),
        {material.digest: i for i, material in enumerate(materials)},
    )


def incumbent(pool: PoolPosterior, objective: Objective) -> float:
    """Best score so far; if nothing was measured, the median of the predicted scores."""
    if pool.best is not None:
        return pool.best
    return float(np.median(objective.score(_first(pool.posterior.mean))))


def expected_gain(
    pool: PoolPosterior, objective: Objective, draws: int, rng: np.random.Generator
) -> float:
    """Expected gain of the best stable material of the space over the best so far.

    On the modelled scale, from so many draws of the joint posterior.
    """
    samples = pool.posterior.sample(draws, rng)[..., 0]
    scores = objective.score(samples)
    stable = pool.posterior.p_stable >= 0.5
    if pool.best is None or not stable.any():
        return 0.0
    return float(np.maximum(scores[:, stable].max(axis=1) - pool.best, 0.0).mean())


def _first(values: Array) -> Array:
    return np.asarray(values[:, 0])
