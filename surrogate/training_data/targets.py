"""Labels relative to their prior mean, and input columns from lower fidelities, all of order 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Outcome, Unstable
from oracle.materials.material import Material
from surrogate.contract.protocol import Output
from surrogate.features.inputs import Inputs
from surrogate.training_data.labels import Labels, labels_of
from surrogate.training_data.prior import prior_mean
from surrogate.training_data.problem import Problem
from surrogate.training_data.scaling import TargetScale

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """Prior mean of one output.

    Args:
        output: the property.
        physical: whether there is a physical estimate, see `prior_mean`.
        typical: the value used where a material's descriptors are incomplete.
    """

    output: Output
    physical: bool
    typical: float

    @classmethod
    def of(cls, output: Output, inputs: Inputs) -> Prior:
        """The prior, with its typical value taken from a training set."""
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
class Target:
    """Labels of one output with their prior mean and standardisation.

    Args:
        labels: at the fidelity that is predicted.
        rows: (n,), rows of the labelled materials in the inputs.
        prior: the prior mean.
        scale: standardisation of the labels' differences from the prior mean.
    """

    labels: Labels
    rows: NDArray[np.int64]
    prior: Prior
    scale: TargetScale

    @classmethod
    def of(cls, output: Output, labels: Labels, row: dict[str, int], inputs: Inputs) -> Target:
        """The target for these labels; `row` maps digests to rows of the inputs."""
        rows, prior = rows_of(labels.materials, row), Prior.of(output, inputs)
        residuals = labels.values - prior.mean(inputs)[rows]
        return cls(labels, rows, prior, TargetScale.of(residuals, physical=prior.physical))

    def problem(self, inputs: Inputs, extras: Array) -> Problem:
        """The regression problem with standardised targets."""
        residuals = self.labels.values - self.prior.mean(inputs)[self.rows] - self.scale.centre
        spread = self.scale.spread
        return Problem(inputs, self.rows, extras, residuals / spread, self.labels.noise / spread)


@dataclass(frozen=True)
class Extras:
    """Results at lower fidelities as input columns.

    Each fidelity, in alphabetical order, has three columns: the value on the scale of the targets,
    whether there is a value, and whether the material is unstable at that fidelity.

    Args:
        fidelities: names of the lower fidelities.
        rows: the columns (c,) by output and digest.
    """

    fidelities: tuple[str, ...]
    rows: dict[Output, dict[str, Array]]

    @classmethod
    def of(
        cls,
        by_fidelity: dict[str, dict[str, Outcome]],
        fidelity: str,
        targets: dict[Output, Target],
        row: dict[str, int],
        inputs: Inputs,
    ) -> Extras:
        """The columns for all materials evaluated at a lower fidelity.

        Args:
            by_fidelity: evaluations by fidelity and digest.
            fidelity: the fidelity that is predicted; all others count as lower.
            targets: by output; they give the prior means and the scale.
            row: row of each digest in the inputs.
            inputs: of all materials in `by_fidelity`.
        """
        lower = tuple(sorted(name for name in by_fidelity if name != fidelity))
        rows: dict[Output, dict[str, Array]] = {output: {} for output in targets}
        for output, target in targets.items():
            for k, name in enumerate(lower):
                no_columns = np.zeros(3 * len(lower))
                labels = labels_of(by_fidelity[name], output)
                label_rows = rows_of(labels.materials, row)
                residuals = labels.values - target.prior.mean(inputs)[label_rows]
                own_scale = TargetScale.of(residuals, physical=target.prior.physical)
                values = (residuals - own_scale.centre) / max(own_scale.spread, target.scale.spread)
                for material, value in zip(labels.materials, values, strict=True):
                    columns = rows[output].setdefault(material.digest, no_columns.copy())
                    columns[3 * k : 3 * k + 2] = value, 1.0
                for digest, outcome in by_fidelity[name].items():
                    if isinstance(outcome, Unstable):
                        rows[output].setdefault(digest, no_columns.copy())[3 * k + 2] = 1.0
        return cls(lower, rows)

    def flags(self, materials: Sequence[Material], output: Output) -> Array:
        """The columns (n, c) with only the instability flags; all other entries are 0.

        Values enter regressions through the prior mean instead, see
        `surrogate.fidelities.delta_learning`.
        """
        table = self.columns(materials, output)
        table[:, [k for k in range(table.shape[1]) if k % 3 != 2]] = 0.0
        return table

    def columns(self, materials: Sequence[Material], output: Output) -> Array:
        """The columns (n, c) of n materials; 0 where a material was not evaluated."""
        table = np.zeros((len(materials), 3 * len(self.fidelities)))
        known = self.rows.get(output, {})
        if known:
            for k, material in enumerate(materials):
                columns = known.get(material.digest)
                if columns is not None:
                    table[k] = columns
        return table


def rows_of(materials: Sequence[Material], row: dict[str, int]) -> NDArray[np.int64]:
    """Rows (n,) of the materials, given the row of each digest."""
    return np.array([row[material.digest] for material in materials], dtype=np.int64)
