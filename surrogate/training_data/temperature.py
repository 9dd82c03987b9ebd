"""How a property runs with temperature: what is known at one temperature, told at another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Measured, Outcome
from surrogate.contract.protocol import Output
from surrogate.features.inputs import Inputs
from surrogate.training_data.labels import Labels, label_of, labels_of
from surrogate.training_data.problem import Model, Problem
from surrogate.training_data.scaling import TargetScale

Array = NDArray[np.float64]
Learn = Callable[[Problem], Model]
_REFERENCE = 300.0  # K
_SLOPES = {"kappa": (-1.0, 0.15)}
"""Slope of log10 with log10 of temperature where three-phonon scattering alone limits kappa above
the Debye temperature (Ziman, Electrons and Phonons, ch. 8), and how far crystals stray from it."""
_INTERVALS = 4  # most of one material's that are learned from
_NOISE = 0.02  # of a slope between two temperatures, whose errors are nearly the same


@dataclass(frozen=True)
class Change:
    """What the way from one temperature to another adds for n materials, on the modelled scale.

    Args:
        mean: (n,).
        root: (n, r), of the epistemic covariance.
        aleatoric: (n,), standard deviation.
    """

    mean: Array
    root: Array
    aleatoric: Array

    @property
    def std(self) -> Array:
        """Of both kinds (n,)."""
        return np.sqrt(np.square(self.root).sum(axis=1) + np.square(self.aleatoric))


@dataclass(frozen=True)
class TemperatureHead:
    """Slope of a property against log10 of temperature, as a function of material and temperature.

    Slopes between neighbouring temperatures of one evaluation are the labels. They are learned by
    the same kind of model as the property itself, with the temperature as a further input, around
    a prior: kappa falls as 1/T, other properties stay.

    Args:
        model: of slopes, on the scale of 1.
        scale: of what slopes differ by from their prior.
        prior: slope before any label.
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
        """Learn it from outcomes at several temperatures; the prior where there are none.

        Args:
            output: the property; its temperature does not matter.
            outcomes: of one fidelity, by digest.
            row: of each digest among the inputs.
            inputs: of all materials in `outcomes`.
            learn: makes a model.

        Raises:
            ValueError: a label that is not finite, or not positive where its logarithm is modelled.
        """
        rows, middles, slopes = [], [], []
        for digest, outcome in outcomes.items():
            for middle, slope in _slopes(output, outcome):
                rows.append(row[digest])
                middles.append(middle)
                slopes.append(slope)
        prior, typical = _SLOPES.get(output.property, (0.0, 1.0)) if output.log else (0.0, 1.0)
        left = np.array(slopes) - prior
        scale = TargetScale.of(left, physical=prior != 0.0, typical=typical)
        at = np.array(rows, dtype=np.int64)
        problem = Problem(
            inputs,
            at,
            _columns(np.array(middles)),
            (left - scale.centre) / scale.spread,
            np.full(len(at), _NOISE / scale.spread),
        )
        return cls(learn(problem), scale, prior)

    def change(self, inputs: Inputs, start: Array, end: float) -> Change:
        """What n materials change by between temperatures `start` (n,) and `end`, in K.

        The slope at the middle, on the logarithmic scale, is taken for the whole way.
        """
        begin, stop = np.log10(start / _REFERENCE), math.log10(end / _REFERENCE)
        found = self.model.predict(inputs, _columns((begin + stop) / 2.0))
        way, spread = stop - begin, self.scale.spread
        return Change(
            way * (self.prior + self.scale.centre + spread * found.mean),
            spread * way[:, None] * found.root,
            spread * np.abs(way) * found.aleatoric,
        )


@dataclass(frozen=True)
class TemperatureHeads:
    """Labels of any output, carried from other temperatures where they have to be.

    Args:
        outcomes: of one fidelity, by digest.
        row: of each digest among the inputs.
        inputs: of all materials in `outcomes`.
        learn: makes a model.
    """

    outcomes: Mapping[str, Outcome]
    row: dict[str, int]
    inputs: Inputs
    learn: Learn
    _known: dict[tuple[str, bool], TemperatureHead] = field(default_factory=dict)

    def of(self, output: Output) -> TemperatureHead:
        """How a property runs; fitted when first asked for, as most campaigns never do."""
        key = (output.property, output.log)
        if key not in self._known:
            self._known[key] = TemperatureHead.of(
                output, self.outcomes, self.row, self.inputs, self.learn
            )
        return self._known[key]

    def labels(self, output: Output) -> Labels:
        """Labels at the output's temperature.

        An evaluation that reaches to that temperature is taken as it is. Another one is taken at
        the nearest temperature it has; the error of the way is noise of the label.

        Raises:
            ValueError: as `surrogate.training_data.labels.labels_of`.
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
        assert output.temperature is not None  # else there would be no other temperature
        rows = np.array([self.row[material.digest] for material, *_ in others], dtype=np.int64)
        start, values, noise = (np.array([other[k] for other in others]) for k in (1, 2, 3))
        change = self.of(output).change(self.inputs.take(rows), start, output.temperature)
        return Labels(
            (*known.materials, *(material for material, *_ in others)),
            np.concatenate([known.values, values + change.mean]),
            np.concatenate([known.noise, np.hypot(noise, change.std)]),
        )


def _nearest(output: Output, outcome: Outcome) -> tuple[float, float, float] | None:
    """Nearest temperature at which an outcome has the property, its value and noise there."""
    if output.temperature is None or not isinstance(outcome, Measured):
        return None
    wanted = output.temperature
    known = [t for t in outcome.temperature if t > 0]
    for temperature in sorted(known, key=lambda t: abs(math.log(t / wanted))):
        found = label_of(outcome, _at(output, temperature))
        if found is not None:
            return temperature, *found
    return None


def _slopes(output: Output, outcome: Outcome) -> list[tuple[float, float]]:
    """(log10 of the middle over 300 K, slope per unit of log10 T) of neighbouring temperatures."""
    if not isinstance(outcome, Measured):
        return []
    grid = sorted(outcome.temperature)
    points = [(t, label_of(outcome, _at(output, t))) for t in grid if t > 0]
    known = [(math.log10(t / _REFERENCE), found[0]) for t, found in points if found]
    if len(known) > _INTERVALS + 1:
        kept = np.linspace(0, len(known) - 1, _INTERVALS + 1).round().astype(int)
        known = [known[k] for k in kept]
    return [
        ((low + high) / 2.0, (after - before) / (high - low))
        for (low, before), (high, after) in itertools.pairwise(known)
    ]


def _at(output: Output, temperature: float) -> Output:
    return Output(output.property, temperature, output.log)


def _columns(middles: Array) -> Array:
    """The temperature as input columns (n, 3)."""
    return np.stack([middles, np.square(middles), middles**3], axis=1).reshape(-1, 3)
