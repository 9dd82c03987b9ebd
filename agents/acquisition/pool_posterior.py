"""Beliefs about many materials, computed once per round however often they are asked for."""

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
    """A fitted surrogate that remembers its last posteriors, so that agents share one screening.

    Args:
        surrogate: fitted; not refitted while it is shared.
        keep: how many posteriors are remembered.
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
        """Fit the surrogate and forget what it believed before."""
        self._known.clear()
        self._surrogate.fit(evaluations, calibration=calibration)

    def posterior(
        self,
        materials: Sequence[Material],
        *,
        outputs: Sequence[Output],
        fidelity: str,
    ) -> Posterior:
        """The surrogate's posterior; the same object for the same list of materials."""
        key = (tuple(outputs), fidelity)
        for known, asked, posterior in self._known:
            if known is materials and asked == key:
                return posterior
        posterior = self._surrogate.posterior(materials, outputs=outputs, fidelity=fidelity)
        self._known = [(materials, key, posterior), *self._known][: self._keep]
        return posterior


@dataclass(frozen=True)
class Screen:
    """A posterior over the part of a space that is looked at.

    Args:
        materials: the whole space, or a sample of it.
        posterior: of the objective's output.
        best: best score of the evaluations, or None when nothing was measured.
        index: digest to position in `materials`.
    """

    materials: Sequence[Material]
    posterior: Posterior
    best: float | None
    index: dict[str, int]

    def free(self, taken: Sequence[Material]) -> NDArray[np.bool_]:
        """Mask (n,) of the materials that are not among those taken."""
        free = np.ones(len(self.materials), dtype=bool)
        for material in taken:
            at = self.index.get(material.digest)
            if at is not None:
                free[at] = False
        return free


def screen(
    space: Space,
    *,
    objective: Objective,
    evaluations: Sequence[Outcome],
    surrogate: Surrogate,
    fidelity: str,
    limit: int,
    rng: np.random.Generator,
) -> Screen:
    """What the surrogate believes of the space.

    Args:
        space: to be looked at.
        objective: what is predicted.
        evaluations: give the best score so far.
        surrogate: fitted.
        fidelity: at which the objective is measured.
        limit: largest number of materials looked at.
        rng: draws the sample of a larger space.
    """
    materials = space.listed(limit, rng)
    posterior = surrogate.posterior(materials, outputs=[objective.output], fidelity=fidelity)
    scores = [s for s in map(objective.score_of, evaluations) if s is not None]
    return Screen(
        materials,
        posterior,
        max(scores, default=None),
        {material.digest: i for i, material in enumerate(materials)},
    )


def incumbent(screened: Screen, objective: Objective) -> float:
    """Best score so far; where nothing was measured, the median of what is believed."""
    if screened.best is not None:
        return screened.best
    return float(np.median(objective.score(_first(screened.posterior.mean))))


def _first(values: Array) -> Array:
    return np.asarray(values[:, 0])
