"""Delta learning: labels relative to what results at lower fidelities lead one to expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Outcome
from oracle.materials.material import Material
from surrogate.contract.protocol import Output
from surrogate.features.inputs import Inputs
from surrogate.fidelities.low_fidelity import LowFidelity, Similarity, low_fidelity
from surrogate.fidelities.trust import Trust, trust
from surrogate.training_data.labels import labels_of
from surrogate.training_data.problem import LowFidelityLabels, Prediction, Problem
from surrogate.training_data.scaling import TargetScale
from surrogate.training_data.targets import Extras, Target, rows_of

Array = NDArray[np.float64]
_TINY = 1e-12


@dataclass(frozen=True)
class LowFidelityShift:
    """Shift of the prior mean of n materials that follows from lower fidelities.

    Args:
        mean: (n,), to be added to the prior mean.
        error: (n,), its standard error where lower-fidelity values had to be estimated, independent
            for each material.
        doubts: (n, fidelities), change of the shift per standard deviation of each fidelity's
            slope, which is common to all materials.
    """

    mean: Array
    error: Array
    doubts: Array


@dataclass(frozen=True)
class DeltaTarget:
    """Labels of one output together with the results at lower fidelities.

    Args:
        target: labels, prior mean, and standardisation of the residuals that the lower fidelities
            leave.
        lower: lower fidelities by name, the most expensive first.
    """

    target: Target
    lower: Mapping[str, LowFidelity]

    @property
    def trusts(self) -> dict[str, Trust]:
        """How far each lower fidelity is trusted."""
        return {name: fidelity.trust for name, fidelity in self.lower.items()}

    def problem(self, inputs: Inputs, extras: Array) -> Problem:
        """The standardised regression problem of the residuals that lower fidelities leave.

        Where a lower-fidelity value had to be estimated, its error is added to the label's noise.
        """
        target = self.target
        plain = target.problem(inputs, extras)
        if not self.lower:
            return plain
        shift = self.shift(target.labels.materials, inputs.take(target.rows))
        spread = target.scale.spread
        return replace(
            plain,
            targets=plain.targets - shift.mean / spread,
            noise=np.hypot(plain.noise, shift.error / spread),
        )

    def shift(self, materials: Sequence[Material], inputs: Inputs) -> LowFidelityShift:
        """Contribution of the lower fidelities to n materials, on the modelled scale."""
        mean, variance = np.zeros(len(materials)), np.zeros(len(materials))
        doubts = np.zeros((len(materials), len(self.lower)))
        for k, fidelity in enumerate(self.lower.values()):
            values, errors = fidelity.values_of(materials, inputs)
            mean = mean + fidelity.trust.slope * values
            variance = variance + np.square(fidelity.trust.slope * errors)
            doubts[:, k] = fidelity.trust.slope_spread * values
        return LowFidelityShift(mean, np.sqrt(variance), doubts)

    def offset(self, inputs: Inputs, shift: LowFidelityShift) -> Array:
        """Expected value (n,) before any regression, on the modelled scale."""
        offset = self.target.scale.centre + self.target.prior.mean(inputs)
        return offset + shift.mean if self.lower else offset

    def root(self, unit: Prediction, shift: LowFidelityShift, calibration: float) -> Array:
        """Matrix square root (n, r) of the epistemic covariance, on the modelled scale.

        The error of an estimated lower-fidelity value widens the uncertainty of that material
        alone; the uncertainty of a fidelity's slope is common to all materials.

        Args:
            unit: standardised prediction of the residuals that lower fidelities leave.
            shift: what the lower fidelities contribute to these materials.
            calibration: factor of all standard deviations.
        """
        root = calibration * self.target.scale.spread * unit.root
        if not self.lower:
            return root
        variance = np.maximum(np.square(root).sum(axis=1), _TINY)
        wider = np.sqrt(1.0 + np.square(calibration * shift.error) / variance)
        return np.concatenate([root * wider[:, None], calibration * shift.doubts], axis=1)


def delta_target(
    output: Output,
    target: Target,
    by_fidelity: Mapping[str, Mapping[str, Outcome]],
    fidelity: str,
    row: dict[str, int],
    inputs: Inputs,
    similarity: Similarity,
) -> DeltaTarget:
    """The labels of one output with all lower fidelities.

    Lower fidelities are added one after another, the most expensive first; each is weighted by how
    well it explains the residuals of those before it.

    Args:
        output: the property.
        target: labels at the fidelity that is predicted.
        by_fidelity: evaluations by fidelity and digest.
        fidelity: the fidelity that is predicted; all others count as lower.
        row: row of each digest in the inputs.
        inputs: of all materials in `by_fidelity`.
        similarity: prior covariance between materials.
    """
    residuals = target.labels.values - target.prior.mean(inputs)[target.rows]
    own = inputs.take(target.rows)
    lower: dict[str, LowFidelity] = {}
    typical: float | None = None
    for name in _costliest_first(by_fidelity, fidelity):
        labels = labels_of(by_fidelity[name], output)
        if not len(labels.values):
            continue
        low_rows = rows_of(labels.materials, row)
        low_residuals = labels.values - target.prior.mean(inputs)[low_rows]
        shift = low_fidelity(labels, low_residuals, low_rows, inputs, similarity)
        values, errors = shift.values_of(target.labels.materials, own)
        measured_at_both = np.flatnonzero(errors == 0.0)
        columns = similarity.columns(own)[measured_at_both]
        scale = TargetScale.of(residuals, physical=target.prior.physical, typical=typical)
        belief = trust(
            residuals[measured_at_both] - scale.centre,
            target.labels.noise[measured_at_both],
            values[measured_at_both],
            similarity(columns, columns),
            spread=scale.spread,
            low_spread=shift.spread,
        )
        lower[name] = replace(shift, trust=belief)
        residuals, typical = residuals - belief.slope * values, belief.residual_size
    if lower:
        scale = TargetScale.of(residuals, physical=target.prior.physical, typical=typical)
        target = replace(target, scale=scale)
    return DeltaTarget(target, lower)


def low_fidelity_labels(
    output: Output,
    target: Target,
    by_fidelity: Mapping[str, Mapping[str, Outcome]],
    fidelity: str,
    row: dict[str, int],
    inputs: Inputs,
    extras: Extras,
) -> tuple[LowFidelityLabels, ...]:
    """Labels at each lower fidelity, for models that learn from all fidelities jointly.

    For the arguments see `delta_target`; `extras` gives the instability flags.
    """
    all_labels = []
    for name in _costliest_first(by_fidelity, fidelity):
        labels = labels_of(by_fidelity[name], output)
        if len(labels.values):
            own = Target.of(output, labels, row, inputs)
            own = replace(own, prior=target.prior)
            problem = own.problem(inputs, extras.flags(labels.materials, output))
            all_labels.append(
                LowFidelityLabels(
                    name, problem.rows, problem.extras, problem.targets, problem.noise
                )
            )
    return tuple(all_labels)


def _costliest_first(by_fidelity: Mapping[str, Mapping[str, Outcome]], fidelity: str) -> list[str]:
    """Lower fidelities by decreasing mean of the recorded cost, ties by name."""
    costs = {
        name: float(np.mean([outcome.cost_s for outcome in outcomes.values()]))
        for name, outcomes in by_fidelity.items()
        if name != fidelity
    }
    return sorted(costs, key=lambda name: (-costs[name], name))
