"""The interface of every learned approximation of the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Failed, Measured, Unstable
from oracle.materials.material import Material

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Output:
    """One number to be predicted.

    Args:
        property: a key of ``Measured.properties``, for instance ``kappa``.
        temperature: K, or None for a number without temperature.
        log: whether it is modelled as log10 of its value; positive quantities that span
            decades are.
    """

    property: str
    temperature: float | None = None
    log: bool = True


@dataclass(frozen=True)
class Calibration:
    """What audit trials, drawn at random, say of the stated spreads.

    Args:
        scale: factor by which every spread is multiplied.
        trials: how many audit trials it rests on; 0 means uncalibrated.
    """

    scale: float = 1.0
    trials: int = 0


@dataclass(frozen=True)
class Posterior:
    """What a surrogate believes of n materials and m outputs.

    Args:
        mean: (n, m), log10 of the value for outputs with ``log``.
        root: (m, n, r), a root of each output's epistemic covariance ``root @ root.T``.
        aleatoric: (n, m), standard deviation of what no further label could remove.
        p_stable: (n,), probability that the material is dynamically stable.
        calibration: of the spreads; `root` and `aleatoric` are already scaled by it.
    """

    mean: Array
    root: Array
    aleatoric: Array
    p_stable: Array
    calibration: Calibration = Calibration()

    @property
    def epistemic(self) -> Array:
        """Standard deviation (n, m) that further labels would reduce."""
        return np.sqrt(np.square(self.root).sum(axis=2)).T

    @property
    def std(self) -> Array:
        """Predictive standard deviation (n, m): epistemic and aleatoric in quadrature."""
        return np.hypot(self.epistemic, self.aleatoric)

    def sample(self, k: int, rng: np.random.Generator) -> Array:
        """Draws (k, n, m) of the latent truth, jointly over the n materials."""
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
        """Learn from scratch; every kind of outcome is used, also unstable and failed ones."""
        ...

    def posterior(
        self,
        materials: Sequence[Material],
        *,
        outputs: Sequence[Output],
        fidelity: str,
    ) -> Posterior:
        """Belief about the materials; defined before any `fit` too (the prior)."""
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
