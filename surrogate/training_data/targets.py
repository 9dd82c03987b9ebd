"""Labels against their prior mean, and what cheaper fidelities say, as numbers of order 1."""

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
        output: which.
        physical: whether physics offers one.
        typical: what it is where too little is known of a material.
    """

    output: Output
    physical: bool
    typical: float

    @classmethod
    def of(cls, output: Output, inputs: Inputs) -> Prior:
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
class Target:
    """One output: its labels and where they are expected.

    Args:
        labels: of the fidelity that is predicted.
        rows: (n,), of the labelled materials among the inputs.
        prior: mean before any label.
        scale: of the labels' differences from it.
    """

    labels: Labels
    rows: NDArray[np.int64]
    prior: Prior
    scale: TargetScale

    @classmethod
    def of(cls, output: Output, labels: Labels, row: dict[str, int], inputs: Inputs) -> Target:
        """The target that labels define."""
        rows, prior = rows_of(labels.materials, row), Prior.of(output, inputs)
        residuals = labels.values - prior.mean(inputs)[rows]
        return cls(labels, rows, prior, TargetScale.of(residuals, physical=prior.physical))

    def problem(self, inputs: Inputs, extras: Array) -> Problem:
        """The regression on the scale of 1."""
        residuals = self.labels.values - self.prior.mean(inputs)[self.rows] - self.scale.centre
        spread = self.scale.spread
        return Problem(inputs, self.rows, extras, residuals / spread, self.labels.noise / spread)


@dataclass(frozen=True)
class Extras:
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
        targets: dict[Output, Target],
        row: dict[str, int],
        inputs: Inputs,
    ) -> Extras:
        """The columns for all materials that a cheaper fidelity knows.

        Args:
            found: evaluations by fidelity and digest.
            fidelity: the one predicted.
            targets: by output; give the prior means and the scale.
            row: of each digest among the inputs.
            inputs: of all materials in `found`.
        """
        cheaper = tuple(sorted(name for name in found if name != fidelity))
        rows: dict[Output, dict[str, Array]] = {output: {} for output in targets}
        for output, target in targets.items():
            for k, name in enumerate(cheaper):
                blank = np.zeros(3 * len(cheaper))
                labels = labels_of(found[name], output)
                at = rows_of(labels.materials, row)
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

    def flags(self, materials: Sequence[Material], output: Output) -> Array:
        """The columns (n, c) without values: only where a material is unstable.

        Values enter regressions through what they make one expect, see
        `surrogate.fidelities.delta_learning`.
        """
        table = self.columns(materials, output)
        table[:, [k for k in range(table.shape[1]) if k % 3 != 2]] = 0.0
        return table

    def columns(self, materials: Sequence[Material], output: Output) -> Array:
        """The columns (n, c) of n materials; 0 where nothing is known."""
        table = np.zeros((len(materials), 3 * len(self.fidelities)))
        known = self.rows.get(output, {})
        if known:
            for k, material in enumerate(materials):
                found = known.get(material.digest)
                if found is not None:
                    table[k] = found
        return table


def rows_of(materials: Sequence[Material], row: dict[str, int]) -> NDArray[np.int64]:
    """Rows (n,) of materials, given those of their digests."""
    return np.array([row[material.digest] for material in materials], dtype=np.int64)
