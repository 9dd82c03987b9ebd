"""Labels of the dear fidelity against what the cheaper ones make one expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Outcome
from oracle.materials.material import Material
from surrogate.contract.protocol import Output
from surrogate.features.inputs import Inputs
from surrogate.fidelities.low_fidelity import Cheaper, Similarity, cheaper
from surrogate.fidelities.trust import Trust, trust
from surrogate.training_data.labels import labels_of
from surrogate.training_data.problem import CheapLabels, Prediction, Problem
from surrogate.training_data.scaling import TargetScale
from surrogate.training_data.targets import Extras, Target, rows_of

Array = NDArray[np.float64]
_TINY = 1e-12


@dataclass(frozen=True)
class Said:
    """What cheaper fidelities say of n materials.

    Args:
        mean: (n,), to be added to the prior mean.
        error: (n,), of it where values had to be guessed, each material for itself.
        doubts: (n, fidelities), change of the mean by one standard deviation of each multiple.
    """

    mean: Array
    error: Array
    doubts: Array


@dataclass(frozen=True)
class Informed:
    """One output, and what cheaper fidelities say of it.

    Args:
        target: labels, prior mean, and the scale of what is left once all is said.
        cheaper: by fidelity, dearest first.
    """

    target: Target
    cheaper: Mapping[str, Cheaper]

    @property
    def trusts(self) -> dict[str, Trust]:
        """How far each cheaper fidelity is believed."""
        return {name: found.trust for name, found in self.cheaper.items()}

    def problem(self, inputs: Inputs, extras: Array) -> Problem:
        """The regression on the scale of 1 of what the cheaper fidelities leave to explain.

        Where such a value had to be guessed, the error of the guess is noise of the label.
        """
        target = self.target
        plain = target.problem(inputs, extras)
        if not self.cheaper:
            return plain
        said = self.said(target.labels.materials, inputs.take(target.rows))
        spread = target.scale.spread
        return replace(
            plain,
            targets=plain.targets - said.mean / spread,
            noise=np.hypot(plain.noise, said.error / spread),
        )

    def said(self, materials: Sequence[Material], inputs: Inputs) -> Said:
        """What the cheaper fidelities say of n materials, on the modelled scale."""
        mean, variance = np.zeros(len(materials)), np.zeros(len(materials))
        doubts = np.zeros((len(materials), len(self.cheaper)))
        for k, found in enumerate(self.cheaper.values()):
            values, errors = found.says(materials, inputs)
            mean = mean + found.trust.slope * values
            variance = variance + np.square(found.trust.slope * errors)
            doubts[:, k] = found.trust.slope_spread * values
        return Said(mean, np.sqrt(variance), doubts)

    def offset(self, inputs: Inputs, said: Said) -> Array:
        """Mean (n,) of n materials before any regression, on the modelled scale."""
        offset = self.target.scale.centre + self.target.prior.mean(inputs)
        return offset + said.mean if self.cheaper else offset

    def root(self, unit: Prediction, said: Said, calibration: float) -> Array:
        """Root (n, r) of the epistemic covariance, on the modelled scale.

        What is not known of a guessed value widens the material's own spread; what is not known
        of how far a fidelity is to be believed is common to all.

        Args:
            unit: of what the cheaper fidelities leave to explain, on the scale of 1.
            said: what they say.
            calibration: factor of all spreads.
        """
        root = calibration * self.target.scale.spread * unit.root
        if not self.cheaper:
            return root
        variance = np.maximum(np.square(root).sum(axis=1), _TINY)
        wider = np.sqrt(1.0 + np.square(calibration * said.error) / variance)
        return np.concatenate([root * wider[:, None], calibration * said.doubts], axis=1)


def informed(
    output: Output,
    target: Target,
    found: Mapping[str, Mapping[str, Outcome]],
    fidelity: str,
    row: dict[str, int],
    inputs: Inputs,
    similarity: Similarity,
) -> Informed:
    """An output with all that cheaper fidelities say of it; each is weighed on what is left.

    Args:
        output: which.
        target: of the fidelity that is predicted.
        found: evaluations by fidelity and digest.
        fidelity: the one predicted.
        row: of each digest among the inputs.
        inputs: of all materials in `found`.
        similarity: of materials.
    """
    residuals = target.labels.values - target.prior.mean(inputs)[target.rows]
    own = inputs.take(target.rows)
    cheap: dict[str, Cheaper] = {}
    typical: float | None = None
    for name in _dearest_first(found, fidelity):
        labels = labels_of(found[name], output)
        if not len(labels.values):
            continue
        at = rows_of(labels.materials, row)
        theirs = labels.values - target.prior.mean(inputs)[at]
        said = cheaper(labels, theirs, at, inputs, similarity)
        values, errors = said.says(target.labels.materials, own)
        both = np.flatnonzero(errors == 0.0)
        columns = similarity.columns(own)[both]
        scale = TargetScale.of(residuals, physical=target.prior.physical, typical=typical)
        believed = trust(
            residuals[both] - scale.centre,
            target.labels.noise[both],
            values[both],
            similarity(columns, columns),
            spread=scale.spread,
            cheap_spread=said.spread,
        )
        cheap[name] = replace(said, trust=believed)
        residuals, typical = residuals - believed.slope * values, believed.left
    if cheap:
        scale = TargetScale.of(residuals, physical=target.prior.physical, typical=typical)
        target = replace(target, scale=scale)
    return Informed(target, cheap)


def cheap_labels(
    output: Output,
    target: Target,
    found: Mapping[str, Mapping[str, Outcome]],
    fidelity: str,
    row: dict[str, int],
    inputs: Inputs,
    extras: Extras,
) -> tuple[CheapLabels, ...]:
    """What each cheaper fidelity says, for models that learn from all at once; see `informed`."""
    cheap = []
    for name in _dearest_first(found, fidelity):
        labels = labels_of(found[name], output)
        if len(labels.values):
            own = Target.of(output, labels, row, inputs)
            own = replace(own, prior=target.prior)
            problem = own.problem(inputs, extras.flags(labels.materials, output))
            cheap.append(
                CheapLabels(name, problem.rows, problem.extras, problem.targets, problem.noise)
            )
    return tuple(cheap)


def _dearest_first(found: Mapping[str, Mapping[str, Outcome]], fidelity: str) -> list[str]:
    """Cheaper fidelities by falling mean of the recorded cost, ties by name."""
    costs = {
        name: float(np.mean([outcome.cost_s for outcome in outcomes.values()]))
        for name, outcomes in found.items()
        if name != fidelity
    }
    return sorted(costs, key=lambda name: (-costs[name], name))
