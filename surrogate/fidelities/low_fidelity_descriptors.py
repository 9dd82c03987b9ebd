"""What evaluations at cheaper fidelities tell of a crystal's vibrations, as descriptors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Outcome, scalar
from oracle.materials.material import Material
from surrogate.features.inputs import Inputs

Array = NDArray[np.float64]
_TEMPERATURE = 300.0  # K, of what depends on it
FINDINGS = {
    "sound_velocity_longitudinal": 0.15,
    "sound_velocity_transverse": 0.15,
    "debye_temperature": 0.2,
    "max_frequency_thz": 0.2,
    "max_msd": 0.3,
    "anharmonicity": 0.2,
    "gruneisen_mean": 0.2,
}
"""Properties that are looked for, with the rough standard deviation of log10 of each."""


@dataclass(frozen=True)
class Findings:
    """Descriptors by material digest; NaN where the evaluation does not tell.

    Args:
        rows: log10 of the properties named in `FINDINGS`, (7,) each.
    """

    rows: Mapping[str, Array]

    @classmethod
    def of(cls, found: Mapping[str, Mapping[str, Outcome]], fidelity: str) -> Findings:
        """All that fidelities other than `fidelity` found; what two of them found is averaged.

        Labels of `fidelity` itself are left out: what they found is not known of the materials
        that a prediction is asked for.
        """
        known: dict[str, list[Array]] = {}
        for name, outcomes in found.items():
            if name == fidelity:
                continue
            for digest, outcome in outcomes.items():
                row = np.array([_logarithm(outcome, key) for key in FINDINGS])
                if np.isfinite(row).any():
                    known.setdefault(digest, []).append(row)
        return cls({digest: _mean(rows) for digest, rows in known.items()})

    def added(self, inputs: Inputs, materials: Sequence[Material]) -> Inputs:
        """The inputs of n materials with one more block (n, 7); unchanged where nothing is known.

        Standardisation puts what is typical where a NaN is.
        """
        if not self.rows:
            return inputs
        blank = np.full(len(FINDINGS), np.nan)
        block = np.stack([self.rows.get(m.digest, blank) for m in materials])
        return replace(
            inputs,
            blocks=(*inputs.blocks, block),
            spreads=(*inputs.spreads, np.array(list(FINDINGS.values()))),
            mirrors=(*inputs.mirrors, np.arange(len(FINDINGS))),
        )


def _logarithm(outcome: Outcome, name: str) -> float:
    found = scalar(outcome, name, _TEMPERATURE)
    return float(np.log10(found[0])) if found is not None and found[0] > 0 else float("nan")


def _mean(rows: Sequence[Array]) -> Array:
    """Mean of what is known, column by column."""
    table = np.stack(rows)
    count = np.isfinite(table).sum(axis=0)
    total = np.where(np.isfinite(table), table, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
