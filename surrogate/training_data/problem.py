"""The training data that a model of one output receives, and the predictions it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from surrogate.features.inputs import Inputs

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LowFidelityLabels:
    """Labels of k materials at a lower fidelity, as in `Problem`; standardised separately."""

    fidelity: str
    rows: NDArray[np.int64]
    extras: Array
    targets: Array
    noise: Array


@dataclass(frozen=True)
class Problem:
    """A regression problem with standardised targets.

    Args:
        inputs: of all materials, labelled or not.
        rows: (n,), rows of the n labelled materials in `inputs`.
        extras: (n, c), input columns from lower fidelities; 0 where those say nothing.
        targets: (n,), standardised labels.
        noise: (n,), standard errors of the targets.
        lower: labels of lower fidelities, for models that learn from all fidelities jointly.
    """

    inputs: Inputs
    rows: NDArray[np.int64]
    extras: Array
    targets: Array
    noise: Array
    lower: tuple[LowFidelityLabels, ...] = ()


@dataclass(frozen=True)
class StabilityProblem:
    """A classification problem: like `Problem`, with outcomes 1 (stable) or 0 and their weights."""

    inputs: Inputs
    rows: NDArray[np.int64]
    extras: Array
    stable: Array
    confidence: Array


@dataclass(frozen=True)
class Prediction:
    """A prediction for n materials on the standardised scale.

    Args:
        mean: (n,).
        root: (n, r), matrix square root of the epistemic covariance, ``root @ root.T``.
        aleatoric: (n,), standard deviation that more labels would not reduce.
    """

    mean: Array
    root: Array
    aleatoric: Array


class Model(Protocol):
    """A fitted model of one output."""

    def predict(self, inputs: Inputs, extras: Array) -> Prediction:
        """Predictions for n materials."""
        ...


class StabilityPredictor(Protocol):
    """A fitted model of stability."""

    def probability(self, inputs: Inputs, extras: Array) -> Array:
        """Probability (n,) of being dynamically stable."""
        ...
