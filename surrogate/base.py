"""What all surrogates share: the base class cleans, its subclasses compute."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oracle.evaluation import Failed, Measured, Unstable
from oracle.material import Crystal, Superlattice
from surrogate.descriptors import prior_mean
from surrogate.feature_store import FeatureStore, MaterialInputs
from surrogate.inputs import Inputs
from surrogate.labels import Labels, Outcome, labels_of, latest, stabilities_of
from surrogate.protocol import Calibration, Output, Posterior
from surrogate.scaling import InputScale, TargetScale

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A regression on the scale of 1.

    Args:
        inputs: n labelled materials; may hold more rows than `rows` names.
        rows: (n,), the labelled ones among them.
        extras: (n, c), what cheaper fidelities say of them; 0 where they say nothing.
        targets: (n,).
        noise: (n,), standard errors of the targets.
    """

    inputs: Inputs
    rows: NDArray[np.int64]
    extras: Array
    targets: Array
    noise: Array


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


@dataclass(frozen=True)
class _Prior:
    """Prior mean of one output.

    Args:
        output: which.
        physical: whether physics offers one.
        typical: what it is where too little is known of a material.
    """

    output: Output
    physical: bool
    typical: float

    @classmethod
    def of(cls, output: Output, inputs: Inputs) -> _Prior:
        """The prior, with what is typical taken from a training set."""
        mean = prior_mean(output, inputs.descriptors) if inputs.descriptors else None
        if mean is None:
            return cls(output, False, 0.0)
        known = mean[np.isfinite(mean)]
        return cls(output, True, float(known.mean()) if len(known) else 0.0)

    def mean(self, inputs: Inputs) -> Array:
        """Prior mean (n,) on the modelled scale."""
        mean = prior_mean(self.output, inputs.descriptors) if self.physical else None
        if mean is None:
            return np.zeros(inputs.n)
        return np.where(np.isfinite(mean), mean, self.typical)


@dataclass(frozen=True)
class _Target:
    """One output: its labels and where they are expected.

    Args:
        labels: of the fidelity that is predicted.
        rows: (n,), of the labelled materials among the inputs.
        prior: mean before any label.
        scale: of the labels' differences from it.
    """

    labels: Labels
    rows: NDArray[np.int64]
    prior: _Prior
    scale: TargetScale

    @classmethod
    def of(cls, output: Output, labels: Labels, row: dict[str, int], inputs: Inputs) -> _Target:
        """The target that labels define."""
        rows, prior = _rows(labels.materials, row), _Prior.of(output, inputs)
        residuals = labels.values - prior.mean(inputs)[rows]
        return cls(labels, rows, prior, TargetScale.of(residuals, physical=prior.physical))

    def problem(self, inputs: Inputs, extras: Array) -> Problem:
        """The regression on the scale of 1."""
        residuals = self.labels.values - self.prior.mean(inputs)[self.rows] - self.scale.centre
        spread = self.scale.spread
        return Problem(inputs, self.rows, extras, residuals / spread, self.labels.noise / spread)


@dataclass(frozen=True)
class _Fitted:
    models: dict[Output, tuple[Model, _Target]]
    stability: StabilityPredictor
    extras: _Extras


class BaseSurrogate(ABC):
    """Cleans evaluations and states beliefs; subclasses implement the regressions.

    Evaluations at `fidelity` are the labels. What other, cheaper fidelities found of a material
    enters as additional inputs, whose usefulness is learned under strong shrinkage: a misleading
    fidelity is soon ignored. Unstable and failed evaluations train the probability of stability.

    Before any fit the belief is the prior: the mean from a physical model where there is one (0
    on the modelled scale elsewhere), with a wide spread.

    Args:
        outputs: what can be predicted.
        fidelity: at which.
        seed: of all randomness.
        store: features of crystals.
    """

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
        calibration: Calibration = Calibration(),
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
        self._fitted = self._fit(found, materials, inputs)

    def posterior(
        self,
        materials: Sequence[Crystal | Superlattice],
        *,
        outputs: Sequence[Output],
        fidelity: str,
    ) -> Posterior:
        """Belief about n materials and m outputs; see `Posterior`.

        Raises:
            ValueError: an output or a fidelity the surrogate was not made for, or no materials.
        """
        self._check(outputs, fidelity)
        inputs = self._inputs(materials)
        fitted = self._fitted
        if fitted is None:
            # Descriptors have no scale yet: the one of the materials asked about serves.
            fitted = self._fit({}, {}, inputs)
        extras = fitted.extras
        predictions = []
        for output in outputs:
            model, target = fitted.models[output]
            prediction = model.predict(inputs, extras.columns(materials, output))
            scale = target.scale
            mean = scale.centre + scale.spread * prediction.mean + target.prior.mean(inputs)
            predictions.append((mean, scale.spread, prediction))
        factor = self._calibration.scale
        p_stable = fitted.stability.probability(inputs, extras.columns(materials, self._outputs[0]))
        return Posterior(
            mean=np.stack([mean for mean, _, _ in predictions], axis=1),
            root=_stacked([factor * spread * p.root for _, spread, p in predictions]),
            aleatoric=np.stack([factor * s * p.aleatoric for _, s, p in predictions], axis=1),
            p_stable=p_stable,
            calibration=self._calibration,
        )

    def _check(self, outputs: Sequence[Output], fidelity: str) -> None:
        if fidelity != self._fidelity:
            raise ValueError(
                f"this surrogate predicts fidelity {self._fidelity!r}; asked for {fidelity!r}"
            )
        for output in outputs:
            if output not in self._outputs:
                raise ValueError(f"this surrogate was not made for {output}; see its `outputs`")

    def _fit(
        self,
        found: dict[str, dict[str, Outcome]],
        materials: dict[str, Crystal | Superlattice],
        inputs: Inputs,
    ) -> _Fitted:
        """Fit all outputs; `inputs` are those of `materials`, or any where there are none."""
        row = {digest: k for k, digest in enumerate(materials)}
        outcomes = found.get(self._fidelity, {})
        scale = InputScale.of(inputs)
        targets = {
            output: _Target.of(output, labels_of(outcomes, output), row, inputs)
            for output in self._outputs
        }
        extras = _Extras.of(found, self._fidelity, targets, row, inputs)
        models: dict[Output, tuple[Model, _Target]] = {}
        for k, (output, target) in enumerate(targets.items()):
            columns = extras.columns(target.labels.materials, output)
            problem = target.problem(inputs, columns)
            models[output] = (self._learn(problem, scale, self._seed + k), target)
        stabilities = stabilities_of(outcomes)
        stability = StabilityProblem(
            inputs,
            _rows(stabilities.materials, row),
            extras.columns(stabilities.materials, self._outputs[0]),
            stabilities.stable,
            stabilities.confidence,
        )
        first = models[self._outputs[0]][0]
        predictor = self._learn_stability(stability, scale, first, self._seed)
        return _Fitted(models, predictor, extras)


@dataclass(frozen=True)
class _Extras:
    """What cheaper fidelities found, as input columns.

    For each fidelity, in alphabetical order, three columns: the value on the scale of the
    targets, whether there is one, and whether the material is unstable there.
    """

    fidelities: tuple[str, ...]
    rows: dict[Output, dict[str, Array]]

    @classmethod
    def of(
        cls,
        found: dict[str, dict[str, Outcome]],
        fidelity: str,
        targets: dict[Output, _Target],
        row: dict[str, int],
        inputs: Inputs,
    ) -> _Extras:
        cheaper = tuple(sorted(name for name in found if name != fidelity))
        rows: dict[Output, dict[str, Array]] = {output: {} for output in targets}
        for output, target in targets.items():
            for k, name in enumerate(cheaper):
                blank = np.zeros(3 * len(cheaper))
                labels = labels_of(found[name], output)
                at = _rows(labels.materials, row)
                residuals = labels.values - target.prior.mean(inputs)[at]
                own = TargetScale.of(residuals, physical=target.prior.physical)
                values = (residuals - own.centre) / max(own.spread, target.scale.spread)
                for material, value in zip(labels.materials, values, strict=True):
                    columns = rows[output].setdefault(material.digest, blank.copy())
                    columns[3 * k : 3 * k + 2] = value, 1.0
                for digest, outcome in found[name].items():
                    if isinstance(outcome, Unstable):
                        rows[output].setdefault(digest, blank.copy())[3 * k + 2] = 1.0
        return cls(cheaper, rows)

    def columns(self, materials: Sequence[Crystal | Superlattice], output: Output) -> Array:
        """The columns (n, c) of n materials; 0 where nothing is known."""
        table = np.zeros((len(materials), 3 * len(self.fidelities)))
        known = self.rows.get(output, {})
        if known:
            for k, material in enumerate(materials):
                found = known.get(material.digest)
                if found is not None:
                    table[k] = found
        return table


def _rows(materials: Sequence[Crystal | Superlattice], row: dict[str, int]) -> NDArray[np.int64]:
    return np.array([row[material.digest] for material in materials], dtype=np.int64)


def _stacked(roots: list[Array]) -> Array:
    """Roots (m, n, r) of several outputs, the narrower ones filled with zeros."""
    if len(roots) == 1:
        return roots[0][None]
    width = max(root.shape[1] for root in roots)
    return np.stack([np.pad(root, ((0, 0), (0, width - root.shape[1]))) for root in roots])
