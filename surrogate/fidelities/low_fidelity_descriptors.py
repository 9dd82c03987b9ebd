"""Vibrational properties from evaluations at lower fidelities, as descriptors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Outcome, scalar
from oracle.materials.material import Material
from surrogate.features.inputs import Inputs

Array = NDArray[np.float64]
_TEMPERATURE = 300.0  # K, for properties that depend on it
LOW_FIDELITY_PROPERTIES = {
    "sound_velocity_longitudinal": 0.15,
    "sound_velocity_transverse": 0.15,
    "debye_temperature": 0.2,
    "max_frequency_thz": 0.2,
    "max_msd": 0.3,
    "anharmonicity": 0.2,
    "gruneisen_mean": 0.2,
}
"""Properties used as descriptors, with the rough standard deviation of log10 of each."""


@dataclass(frozen=True)
class LowFidelityDescriptors:
    """Descriptors by material digest; NaN where an evaluation lacks the property.

    Args:
        rows: log10 of the properties named in `LOW_FIDELITY_PROPERTIES`, (7,) for each digest.
    """

    rows: Mapping[str, Array]

    @classmethod
    def of(
        cls, by_fidelity: Mapping[str, Mapping[str, Outcome]], fidelity: str
    ) -> LowFidelityDescriptors:
        """Descriptors from all fidelities other than `fidelity`, averaged where several have them.

        Evaluations at `fidelity` itself are left out, because they are not available for the
        materials to be predicted.
        """
        rows: dict[str, list[Array]] = {}
        for name, outcomes in by_fidelity.items():
            if name == fidelity:
                continue
            for digest, outcome in outcomes.items():
                row = np.array([_logarithm(outcome, key) for key in LOW_FIDELITY_PROPERTIES])
                if np.isfinite(row).any():
                    rows.setdefault(digest, []).append(row)
        return cls({digest: _mean(rows) for digest, rows in rows.items()})

    def added(self, inputs: Inputs, materials: Sequence[Material]) -> Inputs:
        """The inputs of n materials with one more block (n, 7); unchanged if there are no rows.

        Standardisation replaces NaN by the mean.
        """
        if not self.rows:
            return inputs
        blank = np.full(len(LOW_FIDELITY_PROPERTIES), np.nan)
        block = np.stack([self.rows.get(m.digest, blank) for m in materials])
        return replace(
            inputs,
            blocks=(*inputs.blocks, block),
            spreads=(*inputs.spreads, np.array(list(LOW_FIDELITY_PROPERTIES.values()))),
            mirrors=(*inputs.mirrors, np.arange(len(LOW_FIDELITY_PROPERTIES))),
        )


def _logarithm(outcome: Outcome, name: str) -> float:
    value = scalar(outcome, name, _TEMPERATURE)
    return float(np.log10(value[0])) if value is not None and value[0] > 0 else float("nan")


def _mean(rows: Sequence[Array]) -> Array:
    """Column means of the values that are not NaN."""
    table = np.stack(rows)
    count = np.isfinite(table).sum(axis=0)
    total = np.where(np.isfinite(table), table, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
