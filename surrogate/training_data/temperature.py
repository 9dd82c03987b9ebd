"""How a property depends on temperature, so that labels at one temperature inform another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Measured, Outcome
from oracle.contract.property_table import spec_of
from surrogate.contract.protocol import Output
from surrogate.features.inputs import Inputs
from surrogate.training_data.labels import Labels, label_of, labels_of
from surrogate.training_data.problem import Model, Problem
from surrogate.training_data.scaling import TargetScale

Array = NDArray[np.float64]
Learn = Callable[[Problem], Model]
_REFERENCE = 300.0  # K
_UNKNOWN_SLOPE = (0.0, 1.0)
"""Prior slope of properties not known to change with temperature, and its standard deviation."""
_INTERVALS = 4  # most temperature intervals of one material that are learned from
_NOISE = 0.02  # of a slope between two temperatures; their errors are correlated and nearly cancel


@dataclass(frozen=True)
class Change:
    """Change of a property of n materials between two temperatures, on the modelled scale.

    Args:
        mean: (n,).
        root: (n, r), matrix square root of the epistemic covariance.
        aleatoric: (n,), standard deviation that more labels would not reduce.
    """

    mean: Array
    root: Array
    aleatoric: Array

    @property
    def std(self) -> Array:
        """Total standard deviation (n,), epistemic and aleatoric."""
        return np.sqrt(np.square(self.root).sum(axis=1) + np.square(self.aleatoric))


@dataclass(frozen=True)
class TemperatureHead:
    """Slope of a property against log10 of temperature, as a function of material and temperature.

    The labels are slopes between neighbouring temperatures of one evaluation. They are learned by
    the same kind of model as the property itself, with temperature as a further input, around a
    prior: kappa falls as 1/T, other properties do not change.

    Args:
        model: of standardised slopes.
        scale: standardisation of the slopes' differences from their prior.
        prior: prior mean of the slope.
    """

    model: Model
    scale: TargetScale
    prior: float

    @classmethod
    def of(
        cls,
        output: Output,
        outcomes: Mapping[str, Outcome],
        row: dict[str, int],
        inputs: Inputs,
        learn: Learn,
    ) -> TemperatureHead:
        """Learn slopes from outcomes at several temperatures; without any, the prior.

        Args:
            output: the property; its temperature is ignored.
            outcomes: of one fidelity, by digest.
            row: row of each digest in the inputs.
            inputs: of all materials in `outcomes`.
            learn: fits a model to a problem.

        Raises:
            ValueError: a value that is not finite, or not positive where its logarithm is modelled.
        """
        rows, middles, slopes = [], [], []
        for digest, outcome in outcomes.items():
            for middle, slope in _slopes(output, outcome):
                rows.append(row[digest])
                middles.append(middle)
                slopes.append(slope)
        known = spec_of(output.property).slope if output.log else None
        prior, typical = known or _UNKNOWN_SLOPE
        residuals = np.array(slopes) - prior
        scale = TargetScale.of(residuals, physical=prior != 0.0, typical=typical)
        slope_rows = np.array(rows, dtype=np.int64)
        problem = Problem(
            inputs,
            slope_rows,
            _columns(np.array(middles)),
            (residuals - scale.centre) / scale.spread,
            np.full(len(slope_rows), _NOISE / scale.spread),
        )
        return cls(learn(problem), scale, prior)

    def change(self, inputs: Inputs, start: Array, end: float) -> Change:
        """Change of the property of n materials from temperature `start` (n,) to `end`, in K.

        The slope at the midpoint, on a logarithmic scale, is used for the whole interval.
        """
        begin, stop = np.log10(start / _REFERENCE), math.log10(end / _REFERENCE)
        prediction = self.model.predict(inputs, _columns((begin + stop) / 2.0))
        log_ratio, spread = stop - begin, self.scale.spread
        return Change(
            log_ratio * (self.prior + self.scale.centre + spread * prediction.mean),
            spread * log_ratio[:, None] * prediction.root,
            spread * np.abs(log_ratio) * prediction.aleatoric,
        )


@dataclass(frozen=True)
class TemperatureHeads:
    """Training labels of any output, extrapolated from other temperatures where necessary.

    Args:
        outcomes: of one fidelity, by digest.
        row: row of each digest in the inputs.
        inputs: of all materials in `outcomes`.
        learn: fits a model to a problem.
    """

    outcomes: Mapping[str, Outcome]
    row: dict[str, int]
    inputs: Inputs
    learn: Learn
    _known: dict[Output, TemperatureHead] = field(default_factory=dict)

    def of(self, output: Output) -> TemperatureHead:
        """Temperature dependence of a property; fitted on first use, as few campaigns need it."""
        key = replace(output, temperature=None)
        if key not in self._known:
            self._known[key] = TemperatureHead.of(
                output, self.outcomes, self.row, self.inputs, self.learn
            )
        return self._known[key]

    def labels(self, output: Output) -> Labels:
        """Training labels at the output's temperature.

        An evaluation without a value at that temperature is extrapolated from the nearest
        temperature it has; the uncertainty of the extrapolation is added to the label's noise.

        Raises:
            ValueError: as for `surrogate.training_data.labels.labels_of`.
        """
        known = labels_of(self.outcomes, output)
        have = {material.digest for material in known.materials}
        others = [
            (outcome.material, *nearest)
            for digest, outcome in self.outcomes.items()
            if digest not in have and (nearest := _nearest(output, outcome)) is not None
        ]
        if not others:
            return known
        assert output.temperature is not None  # otherwise `others` would be empty
        rows = np.array([self.row[material.digest] for material, *_ in others], dtype=np.int64)
        start, values, noise = (np.array([other[k] for other in others]) for k in (1, 2, 3))
        change = self.of(output).change(self.inputs.take(rows), start, output.temperature)
        return Labels(
            (*known.materials, *(material for material, *_ in others)),
            np.concatenate([known.values, values + change.mean]),
            np.concatenate([known.noise, np.hypot(noise, change.std)]),
        )


def _nearest(output: Output, outcome: Outcome) -> tuple[float, float, float] | None:
    """Nearest temperature (K) at which an outcome has the property, with its value and error."""
    if output.temperature is None or not isinstance(outcome, Measured):
        return None
    wanted = output.temperature
    known = [t for t in outcome.temperature if t > 0]
    for temperature in sorted(known, key=lambda t: abs(math.log(t / wanted))):
        label = label_of(outcome, _at(output, temperature))
        if label is not None:
            return temperature, *label
    return None


def _slopes(output: Output, outcome: Outcome) -> list[tuple[float, float]]:
    """(log10 of the midpoint over 300 K, slope per unit of log10 T) of each interval."""
    if not isinstance(outcome, Measured):
        return []
    grid = sorted(outcome.temperature)
    points = [(t, label_of(outcome, _at(output, t))) for t in grid if t > 0]
    known = [(math.log10(t / _REFERENCE), label[0]) for t, label in points if label]
    if len(known) > _INTERVALS + 1:
        chosen = np.linspace(0, len(known) - 1, _INTERVALS + 1).round().astype(int)
        known = [known[k] for k in chosen]
    return [
        ((low + high) / 2.0, (after - before) / (high - low))
        for (low, before), (high, after) in itertools.pairwise(known)
    ]


def _at(output: Output, temperature: float) -> Output:
    return replace(output, temperature=temperature)


def _columns(middles: Array) -> Array:
    """Powers 1 to 3 of log10(T / 300 K) as input columns (n, 3)."""
    return np.stack([middles, np.square(middles), middles**3], axis=1).reshape(-1, 3)
