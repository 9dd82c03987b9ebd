"""What all surrogates share: the base class cleans, its subclasses compute."""

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
from surrogate.fidelities.delta_learning import Informed, cheap_labels, informed
from surrogate.fidelities.low_fidelity import Similarity
from surrogate.fidelities.low_fidelity_descriptors import Findings
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
    models: dict[Output, tuple[Model, Informed]]
    stability: StabilityPredictor
    extras: Extras
    findings: Findings
    heads: TemperatureHeads


class BaseSurrogate(ABC):
    """Cleans evaluations and states beliefs; subclasses implement the regressions.

    Evaluations at `fidelity` are the labels. What other, cheaper fidelities found shifts what is
    expected of a material, as far as the labels say that they are to be trusted: a misleading
    fidelity is soon ignored, see `trusts`. That a material is unstable there is one more input.
    Unstable and failed evaluations train the probability of stability.

    Before any fit the belief is the prior: the mean from a physical model where there is one (0
    on the modelled scale elsewhere), with a wide spread.

    Args:
        outputs: what can be predicted.
        fidelity: at which.
        seed: of all randomness.
        store: features of crystals.
    """

    joint = False
    """Whether the subclass learns from all fidelities at once, instead of `trusts`' shifts."""

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
        """A model of one output; with no rows in the problem, the prior."""

    @abstractmethod
    def _learn_stability(
        self, problem: StabilityProblem, scale: InputScale, model: Model, seed: int
    ) -> StabilityPredictor:
        """A model of stability, given that of the first output."""

    def fit(
        self,
        evaluations: Sequence[Measured | Unstable | Failed],
        *,
        calibration: Calibration = UNCALIBRATED,
    ) -> None:
        """Learn from scratch.

        Raises:
            ValueError: no evaluations, or a label that is not a number or not in one unit.
        """
        if not evaluations:
            raise ValueError("no evaluations to learn from; expected at least one")
        found, materials = latest(evaluations)
        self._inputs.begin(list(materials.values()))
        inputs = self._inputs(list(materials.values()))
        self._calibration = calibration
        with pinned_threads():
            self._fitted = self._fit(found, materials, inputs)

    def posterior(
        self,
        materials: Sequence[Material],
        *,
        outputs: Sequence[Output],
        fidelity: str,
    ) -> Posterior:
        """Belief about n materials and m outputs; see `Posterior`.

        A property that the surrogate was made for may be asked for at any other temperature.

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
            # Before any fit descriptors have no scale: that of the materials asked about serves.
            fitted = self._fitted or self._fit({}, {}, inputs)
            return self._belief(fitted, materials, inputs, list(zip(outputs, anchors, strict=True)))

    def _belief(
        self,
        fitted: _Fitted,
        materials: Sequence[Material],
        inputs: Inputs,
        outputs: Sequence[tuple[Output, Output]],
    ) -> Posterior:
        """Predictions back on the modelled scale, with calibrated spreads.

        Each output comes with the one that was fitted, which may be at another temperature.
        """
        means, roots, spreads = [], [], []
        inputs = fitted.findings.added(inputs, materials)
        for output, anchor in outputs:
            model, known = fitted.models[anchor]
            unit = model.predict(inputs, fitted.extras.flags(materials, anchor))
            said, spread = known.said(materials, inputs), known.target.scale.spread
            mean = known.offset(inputs, said) + spread * unit.mean
            root = known.root(unit, said, self._calibration.scale)
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
        """How far each cheaper fidelity is believed about the first output; empty before a fit."""
        if self._fitted is None:
            return {}
        return self._fitted.models[self._outputs[0]][1].trusts

    def _anchor(self, output: Output) -> Output:
        """The output itself, or the same property at the nearest temperature it is made for."""
        if output in self._outputs:
            return output
        asked = output.temperature
        near = [
            (abs(math.log(other.temperature / asked)), other)
            for other in self._outputs
            if asked and other.temperature
            if (other.property, other.log) == (output.property, output.log)
        ]
        if not near:
            raise ValueError(f"this surrogate was not made for {output}; see its `outputs`")
        return min(near, key=lambda pair: pair[0])[1]

    def _fit(
        self,
        found: dict[str, dict[str, Outcome]],
        materials: dict[str, Material],
        inputs: Inputs,
    ) -> _Fitted:
        """Fit all outputs; `inputs` are those of `materials`, or any where there are none."""
        row = {digest: k for k, digest in enumerate(materials)}
        outcomes = found.get(self._fidelity, {})
        findings = Findings.of(found, self._fidelity) if self.joint else Findings({})
        inputs = findings.added(inputs, list(materials.values()))
        scale = InputScale.of(inputs)
        heads = TemperatureHeads(
            outcomes, row, inputs, lambda problem: self._learn(problem, scale, self._seed)
        )
        targets = {
            output: Target.of(output, heads.labels(output), row, inputs) for output in self._outputs
        }
        extras = Extras.of(found, self._fidelity, targets, row, inputs)
        similarity = Similarity.of(inputs, scale)
        models: dict[Output, tuple[Model, Informed]] = {}
        for k, (output, target) in enumerate(targets.items()):
            known = (
                Informed(target, {})
                if self.joint
                else informed(output, target, found, self._fidelity, row, inputs, similarity)
            )
            problem = known.problem(inputs, extras.flags(target.labels.materials, output))
            if self.joint:
                cheap = cheap_labels(output, target, found, self._fidelity, row, inputs, extras)
                problem = replace(problem, cheaper=cheap)
            models[output] = (self._learn(problem, scale, self._seed + k), known)
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
        return _Fitted(models, predictor, extras, findings, heads)


def _stacked(roots: list[Array]) -> Array:
    """Roots (m, n, r) of several outputs, the narrower ones filled with zeros."""
    if len(roots) == 1:
        return roots[0][None]
    width = max(root.shape[1] for root in roots)
    return np.stack([np.pad(root, ((0, 0), (0, width - root.shape[1]))) for root in roots])
