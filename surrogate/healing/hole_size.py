"""The size of a hole: the expected force error of a potential on a structure, in eV/Å.

The logarithm of the error is a Gaussian process: a linear trend in the committee's disagreement and
the distance in latent space, plus a smooth function over the latent space that is learned from
labels (kriging with a trend; Rasmussen and Williams, Gaussian Processes for Machine Learning,
section 2.7). The prior, given below, is all there is without labels, and still matters with ten to
forty of them. Far from every label the uncertainty of the logarithm grows and with it the expected
error, so that distance in latent space enters twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from surrogate.healing.latent import Latent, LatentSpace

Array = NDArray[np.float64]
# Prior mean and standard deviation of the trend's weights, natural logarithms: intercept, committee
# deviation (eV/Å), size of the forces (eV/Å), latent distance from trusted structures. Rounded from
# 7net-0 against Nequix on 38 compounds (benchmarks/teacher.py); rankings hardly depend on them.
_TREND_MEAN = np.array([-1.0, 0.5, 0.3, 0.8])
_TREND_STD = np.array([0.7, 0.3, 0.3, 0.3])
_LATENT_STD = 0.5  # of the smooth function over the latent space
_NOISE_STD = 0.4  # of what neither the trend nor the smooth function explains
_FLOOR = 1e-4  # eV/Å
_NEAREST, _FARTHEST = 0.05, 20.0  # limits of latent distances
# Prior of the logarithm of kappa's error per relative force error: kappa scales with the second to
# fourth power of forces (velocities, lifetimes), so a third of error in forces is a factor e in it.
_KAPPA_MEAN, _KAPPA_STD = np.log(3.0), 0.7


@dataclass(frozen=True, eq=False)
class Evidence:
    """Indicators of a potential's error on n structures that need no reference calculation.

    Args:
        deviation: (n,), deviation of the potential's forces from the committee's consensus, eV/Å.
        size: (n,), root mean square of the consensus forces, eV/Å.
        distance: (n,), from trusted structures in the latent space; infinite where there are none.
        latents: (n,), latent features of the structures under the potential.
    """

    deviation: Array
    size: Array
    distance: Array
    latents: Sequence[Latent]

    def __post_init__(self) -> None:
        for name in ("deviation", "size", "distance"):
            values = np.asarray(getattr(self, name))
            if values.shape != (len(self.latents),) or np.isnan(values).any():
                raise ValueError(
                    f"evidence: {name} has the shape {values.shape} with "
                    f"{int(np.isnan(values).sum())} NaN; expected ({len(self.latents)},) and no NaN"
                )

    def trend(self) -> Array:
        """Regressors (n, 4) of the linear trend."""
        return np.stack(
            [
                np.ones(len(self.latents)),
                np.log(np.maximum(self.deviation, _FLOOR)),
                np.log(np.maximum(self.size, _FLOOR)),
                np.log(np.clip(self.distance, _NEAREST, _FARTHEST)),
            ],
            axis=1,
        )

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Evidence:
        """The evidence of some of the structures."""
        rows = np.asarray(rows, dtype=np.intp)
        return Evidence(
            self.deviation[rows],
            self.size[rows],
            self.distance[rows],
            [self.latents[i] for i in rows],
        )


@dataclass(frozen=True, eq=False)
class HoleSizes:
    """Expected errors of a potential on n structures.

    Args:
        force_error: (n,), expected root-mean-square error of forces, eV/Å.
        log_mean: (n,), mean of its natural logarithm.
        log_std: (n,), standard deviation of that logarithm.
        kappa_error: (n,), expected error of the natural logarithm of kappa: 0.1 is 10 %.
        labels: number of reference labels the force error is based on; 0 for the prior alone.
    """

    force_error: Array
    log_mean: Array
    log_std: Array
    kappa_error: Array
    labels: int


@dataclass(frozen=True, eq=False)
class HoleModel:
    """Predicts hole sizes; `fitted` and `with_kappa` return models that learned from true errors.

    Args:
        space: metric of the latent space.
        evidence: of the labelled structures; None before there are any.
        log_errors: (labels,), natural logarithms of their force errors in eV/Å.
    """

    space: LatentSpace
    evidence: Evidence | None = None
    log_errors: Array | None = None

    def fitted(self, evidence: Evidence, errors: Array) -> HoleModel:
        """A model that has learned from true force errors.

        Args:
            evidence: of the labelled structures.
            errors: (labels,), true root-mean-square force errors of the potential, eV/Å.

        Raises:
            ValueError: no labels, or an error that is negative or not finite; the message gives
                its index.
        """
        errors = np.asarray(errors, dtype=np.float64)
        if errors.shape != (len(evidence.latents),) or errors.size == 0:
            raise ValueError(
                f"errors have the shape {errors.shape} for {len(evidence.latents)} structures; "
                "expected one error for each structure, and at least one structure"
            )
        bad = np.flatnonzero(~(np.isfinite(errors) & (errors >= 0)))
        if bad.size:
            raise ValueError(
                f"error {bad[0]} is {errors[bad[0]]}; expected a finite number of at least 0, eV/Å"
            )
        return HoleModel(self.space, evidence, np.log(np.maximum(errors, _FLOOR)))

    def predict(self, evidence: Evidence) -> HoleSizes:
        """Expected errors on structures, from the labels or, without any, from the prior."""
        mean = evidence.trend() @ _TREND_MEAN
        variance = np.diag(self._covariance(evidence, evidence)).copy()
        labels = 0
        if self.evidence is not None and self.log_errors is not None:
            labels = len(self.log_errors)
            across = self._covariance(evidence, self.evidence)
            among = self._covariance(self.evidence, self.evidence)
            factor = cho_factor(among + _NOISE_STD**2 * np.eye(labels))
            residual = self.log_errors - self.evidence.trend() @ _TREND_MEAN
            mean = mean + across @ cho_solve(factor, residual)
            variance -= np.einsum("ij,ji->i", across, cho_solve(factor, across.T))
        variance = np.maximum(variance, 0.0) + _NOISE_STD**2
        expected = np.exp(mean + variance / 2)
        relative = expected / np.maximum(evidence.size, _FLOOR)
        return HoleSizes(
            force_error=expected,
            log_mean=mean,
            log_std=np.sqrt(variance),
            kappa_error=relative * np.exp(float(_KAPPA_MEAN) + _KAPPA_STD**2 / 2),
            labels=labels,
        )

    def _covariance(self, left: Evidence, right: Evidence) -> Array:
        """Prior covariance (n, m) of the logarithms of errors."""
        trend = (left.trend() * _TREND_STD**2) @ right.trend().T
        return trend + _LATENT_STD**2 * self.space.kernel(left.latents, right.latents)
