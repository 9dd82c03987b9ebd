"""The interface of every learned approximation of the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Failed, Measured, Unstable
from oracle.contract.property_spec import Direction
from oracle.materials.material import Material

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Output:
    """A scalar property to be predicted.

    Args:
        property: any name of a property, for instance ``kappa``.
        temperature: in K, or None for a property that does not depend on temperature.
        log: whether log10 of the value is modelled, as suits positive quantities that span
            several orders of magnitude.
        direction: of a tensor; None for a third of its trace.
    """

    property: str
    temperature: float | None = None
    log: bool = True
    direction: Direction | None = None


@dataclass(frozen=True)
class Calibration:
    """Correction of predicted uncertainties, measured on randomly drawn audit trials.

    Args:
        scale: factor by which every predicted standard deviation is multiplied.
        trials: number of audit trials it was measured on; 0 means uncalibrated.
    """

    scale: float = 1.0
    trials: int = 0


@dataclass(frozen=True)
class Posterior:
    """A surrogate's joint prediction of m outputs for n materials, with uncertainties.

    Args:
        mean: (n, m), log10 of the value for outputs with ``log``.
        root: (m, n, r), a matrix square root of each output's epistemic covariance, which is
            ``root @ root.T``.
        aleatoric: (n, m), standard deviation that no further training labels would reduce.
        p_stable: (n,), probability that the material is dynamically stable.
        calibration: of the uncertainties; `root` and `aleatoric` are already scaled by it.
    """

    mean: Array
    root: Array
    aleatoric: Array
    p_stable: Array
    calibration: Calibration = Calibration()

    @property
    def epistemic(self) -> Array:
        """Standard deviation (n, m) that further training labels would reduce."""
        return np.sqrt(np.square(self.root).sum(axis=2)).T

    @property
    def std(self) -> Array:
        """Total standard deviation (n, m): epistemic and aleatoric added in quadrature."""
        return np.hypot(self.epistemic, self.aleatoric)

    def sample(self, k: int, rng: np.random.Generator) -> Array:
        """Samples (k, n, m) of the noise-free values, drawn jointly over the n materials."""
        draws = rng.standard_normal((k, self.root.shape[0], self.root.shape[2]))
        return self.mean + np.einsum("mnr,kmr->knm", self.root, draws)

    def take(self, index: NDArray[np.int64]) -> Posterior:
        """The posterior of a subset of the materials."""
        return Posterior(
            self.mean[index],
            self.root[:, index],
            self.aleatoric[index],
            self.p_stable[index],
            self.calibration,
        )


@runtime_checkable
class Surrogate(Protocol):
    """Learns from evaluations and predicts with uncertainty.

    `fit` is a pure function of its arguments and the seed given at construction: the same
    evaluations in the same order give the same posterior, bit for bit.
    """

    def fit(
        self,
        evaluations: Sequence[Measured | Unstable | Failed],
        *,
        calibration: Calibration = Calibration(),
    ) -> None:
        """Train from scratch on all outcomes, including unstable and failed ones."""
        ...

    def posterior(
        self,
        materials: Sequence[Material],
        *,
        outputs: Sequence[Output],
        fidelity: str,
    ) -> Posterior:
        """Predictions for the materials; before the first `fit`, those of the prior."""
        ...


@runtime_checkable
class Saving(Protocol):
    """A surrogate whose fitted weights can be kept as a file."""

    def save(self, path: Path) -> None:
        """Write all weights as safetensors.

        Raises:
            ValueError: it has not been fitted.
        """
        ...
