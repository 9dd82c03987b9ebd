"""What models of one output are given, and what they must answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from surrogate.features.inputs import Inputs

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CheapLabels:
    """What a cheaper fidelity says of k materials, as in `Problem`, on its own scale of 1."""

    fidelity: str
    rows: NDArray[np.int64]
    extras: Array
    targets: Array
    noise: Array


@dataclass(frozen=True)
class Problem:
    """A regression on the scale of 1.

    Args:
        inputs: n labelled materials; may hold more rows than `rows` names.
        rows: (n,), the labelled ones among them.
        extras: (n, c), what cheaper fidelities say of them; 0 where they say nothing.
        targets: (n,).
        noise: (n,), standard errors of the targets.
        cheaper: labels of cheaper fidelities, for models that learn from all at once.
    """

    inputs: Inputs
    rows: NDArray[np.int64]
    extras: Array
    targets: Array
    noise: Array
    cheaper: tuple[CheapLabels, ...] = ()


@dataclass(frozen=True)
class StabilityProblem:
    """A classification: as `Problem`, with outcomes 1 (stable) or 0 and how much each counts."""

    inputs: Inputs
    rows: NDArray[np.int64]
    extras: Array
    stable: Array
    confidence: Array


@dataclass(frozen=True)
class Prediction:
    """Mean (n,), root of the epistemic covariance (n, r) and aleatoric spread (n,), unit scale."""

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
        """Probability (n,) of being stable."""
        ...
