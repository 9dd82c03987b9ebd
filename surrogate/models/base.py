"""The base class of all surrogates: it prepares the data, and subclasses fit the models."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Failed, Measured, Outcome, Unstable
from oracle.materials.material import Material
from oracle.runtime.threads import pinned_threads
from surrogate.contract.protocol import Calibration, Output, Posterior
from surrogate.features.feature_store import FeatureStore
from surrogate.features.inputs import Inputs
from surrogate.features.material_inputs import MaterialInputs
from surrogate.fidelities.delta_learning import DeltaTarget, delta_target, low_fidelity_labels
from surrogate.fidelities.low_fidelity import Similarity
from surrogate.fidelities.low_fidelity_descriptors import LowFidelityDescriptors
from surrogate.fidelities.trust import Trust
from surrogate.training_data.labels import latest, stabilities_of
from surrogate.training_data.problem import Model, Problem, StabilityPredictor, StabilityProblem
from surrogate.training_data.scaling import InputScale
from surrogate.training_data.targets import Extras, Target, rows_of
from surrogate.training_data.temperature import TemperatureHeads

Array = NDArray[np.float64]
UNCALIBRATED = Calibration()


@dataclass(frozen=True)
class _Fitted:
    models: dict[Output, tuple[Model, DeltaTarget]]
    stability: StabilityPredictor
    extras: Extras
    low_descriptors: LowFidelityDescriptors
    heads: TemperatureHeads


class BaseSurrogate(ABC):
    """Prepares evaluations for training and assembles posteriors; subclasses fit the models.

    Evaluations at `fidelity` are the training labels. Results at other, lower fidelities shift the
    prior mean of a material as far as the labels show that they can be trusted; a misleading
    fidelity is soon ignored, see `trusts`. Whether a material is unstable at a lower fidelity is a
    further input. Unstable and failed evaluations train the probability of stability.

    Before the first fit, predictions are those of the prior: the mean of a physical model where
    there is one (otherwise 0 on the modelled scale), with a large standard deviation.

    Args:
        outputs: properties that can be predicted.
        fidelity: the fidelity that is predicted.
        seed: of all randomness.
        store: gives the features of crystals.
    """

    joint = False
    """Whether the subclass learns from all fidelities jointly instead of by shifts of the mean."""

    def __init__(
        self,
        outputs: Sequence[Output],
        fidelity: str,
        *,
        seed: int,
        store: FeatureStore,
    ) -> None:
        if not outputs:
            raise ValueError("a surrogate needs at least one output to predict; given none")
        self._outputs = tuple(outputs)
        self._fidelity = fidelity
        self._seed = seed
        self._inputs = MaterialInputs(store)
        self._calibration = Calibration()
        self._fitted: _Fitted | None = None

    @abstractmethod
    def _learn(self, problem: Problem, scale: InputScale, seed: int) -> Model:
        """Fit a model of one output; without rows in the problem, the prior."""

    @abstractmethod
    def _learn_stability(
        self, problem: StabilityProblem, scale: InputScale, model: Model, seed: int
    ) -> StabilityPredictor:
        """Fit a model of stability, given the model of the first output."""

    def fit(
        self,
        evaluations: Sequence[Measured | Unstable | Failed],
        *,
        calibration: Calibration = UNCALIBRATED,
    ) -> None:
        """Train from scratch.

        Raises:
            ValueError: no evaluations, or a value that is not a valid number or has a different
                unit from the others.
        """
        if not evaluations:
            raise ValueError("no evaluations to learn from; expected at least one")
        by_fidelity, materials = latest(evaluations)
        self._inputs.begin(list(materials.values()))
        inputs = self._inputs(list(materials.values()))
        self._calibration = calibration
        with pinned_threads():
            self._fitted = self._fit(by_fidelity, materials, inputs)

    def posterior(
        self,
        materials: Sequence[Material],
        *,
        outputs: Sequence[Output],
        fidelity: str,
    ) -> Posterior:
        """Predict m outputs of n materials; see `Posterior`.

        A property that the surrogate was made for can be predicted at any temperature.

        Raises:
            ValueError: an output or a fidelity the surrogate was not made for, or no materials.
        """
        anchors = [self._anchor(output) for output in outputs]
        if fidelity != self._fidelity:
            raise ValueError(
                f"this surrogate predicts fidelity {self._fidelity!r}; asked for {fidelity!r}"
            )
        inputs = self._inputs(materials)
        with pinned_threads():
            # Before the first fit, descriptors are standardised over the queried materials.
            fitted = self._fitted or self._fit({}, {}, inputs)
            return self._belief(fitted, materials, inputs, list(zip(outputs, anchors, strict=True)))

    def _belief(
        self,
        fitted: _Fitted,
        materials: Sequence[Material],
        inputs: Inputs,
        outputs: Sequence[tuple[Output, Output]],
    ) -> Posterior:
        """Predictions on the modelled scale, with calibrated standard deviations.

        Each output is paired with the fitted one, which may be at another temperature.
        """
        means, roots, spreads = [], [], []
        inputs = fitted.low_descriptors.added(inputs, materials)
        for output, anchor in outputs:
            model, delta = fitted.models[anchor]
            unit = model.predict(inputs, fitted.extras.flags(materials, anchor))
            shift, spread = delta.shift(materials, inputs), delta.target.scale.spread
            mean = delta.offset(inputs, shift) + spread * unit.mean
            root = delta.root(unit, shift, self._calibration.scale)
            aleatoric = self._calibration.scale * spread * unit.aleatoric
            if output != anchor:
                start = np.full(inputs.n, anchor.temperature, dtype=np.float64)
                change = fitted.heads.of(anchor).change(inputs, start, output.temperature or 0.0)
                mean = mean + change.mean
                root = np.hstack([root, self._calibration.scale * change.root])
                aleatoric = np.hypot(aleatoric, self._calibration.scale * change.aleatoric)
            means.append(mean)
            roots.append(root)
            spreads.append(aleatoric)
        extras = fitted.extras.columns(materials, self._outputs[0])
        return Posterior(
            mean=np.stack(means, axis=1),
            root=_stacked(roots),
            aleatoric=np.stack(spreads, axis=1),
            p_stable=fitted.stability.probability(inputs, extras),
            calibration=self._calibration,
        )

    @property
    def trusts(self) -> dict[str, Trust]:
        """How far each lower fidelity is trusted for the first output; empty before a fit."""
        if self._fitted is None:
            return {}
        return self._fitted.models[self._outputs[0]][1].trusts

    def _anchor(self, output: Output) -> Output:
        """The output itself, or the same property at the nearest temperature that is fitted."""
        if output in self._outputs:
            return output
        wanted = output.temperature
        near = [
            (abs(math.log(other.temperature / wanted)), other)
            for other in self._outputs
            if wanted and other.temperature
            if replace(other, temperature=wanted) == output
        ]
        if not near:
            raise ValueError(
                f"this surrogate was not made for {output}; it predicts "
                f"{', '.join(map(str, self._outputs))}"
            )
        return min(near, key=lambda pair: pair[0])[1]

    def _fit(
        self,
        by_fidelity: dict[str, dict[str, Outcome]],
        materials: dict[str, Material],
        inputs: Inputs,
    ) -> _Fitted:
        """Fit all outputs; without materials, `inputs` only serves to standardise descriptors."""
        row = {digest: k for k, digest in enumerate(materials)}
        outcomes = by_fidelity.get(self._fidelity, {})
        low_descriptors = (
            LowFidelityDescriptors.of(by_fidelity, self._fidelity)
            if self.joint
            else LowFidelityDescriptors({})
        )
        inputs = low_descriptors.added(inputs, list(materials.values()))
        scale = InputScale.of(inputs)
        heads = TemperatureHeads(
            outcomes, row, inputs, lambda problem: self._learn(problem, scale, self._seed)
        )
        targets = {
            output: Target.of(output, heads.labels(output), row, inputs) for output in self._outputs
        }
        extras = Extras.of(by_fidelity, self._fidelity, targets, row, inputs)
        similarity = Similarity.of(inputs, scale)
        models: dict[Output, tuple[Model, DeltaTarget]] = {}
        for k, (output, target) in enumerate(targets.items()):
            delta = (
                DeltaTarget(target, {})
                if self.joint
                else delta_target(
                    output, target, by_fidelity, self._fidelity, row, inputs, similarity
                )
            )
            problem = delta.problem(inputs, extras.flags(target.labels.materials, output))
            if self.joint:
                low_labels = low_fidelity_labels(
                    output, target, by_fidelity, self._fidelity, row, inputs, extras
                )
                problem = replace(problem, lower=low_labels)
            models[output] = (self._learn(problem, scale, self._seed + k), delta)
        stabilities = stabilities_of(outcomes)
        stability = StabilityProblem(
            inputs,
            rows_of(stabilities.materials, row),
            extras.columns(stabilities.materials, self._outputs[0]),
            stabilities.stable,
            stabilities.confidence,
        )
        first = models[self._outputs[0]][0]
        predictor = self._learn_stability(stability, scale, first, self._seed)
        return _Fitted(models, predictor, extras, low_descriptors, heads)


def _stacked(roots: list[Array]) -> Array:
    """Roots (m, n, r) of several outputs, padded with zeros to a common width."""
    if len(roots) == 1:
        return roots[0][None]
    width = max(root.shape[1] for root in roots)
    return np.stack([np.pad(root, ((0, 0), (0, width - root.shape[1]))) for root in roots])
