"""Training labels with their errors, and outcomes of the stability test, from evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Measured, Outcome, Unstable, quantity_of, scalar
from oracle.materials.material import Material
from surrogate.contract.protocol import Output

Array = NDArray[np.float64]
_TELLING_STAGES = frozenset({"relax", "fc2", "stability"})  # where failing hints at instability
_FAILURE_CONFIDENCE = 0.5


@dataclass(frozen=True)
class Labels:
    """Training labels of one output.

    Args:
        materials: n distinct materials.
        values: (n,), on the modelled scale.
        noise: (n,), standard error of each value on that scale; 0 where the oracle states none.
    """

    materials: tuple[Material, ...]
    values: Array
    noise: Array


@dataclass(frozen=True)
class Stabilities:
    """Outcomes of the stability test.

    Args:
        materials: n distinct materials.
        stable: (n,), 1 for stable and 0 for unstable.
        confidence: (n,), statistical weight of each outcome, 0 to 1.
    """

    materials: tuple[Material, ...]
    stable: Array
    confidence: Array


def latest(
    evaluations: Sequence[Outcome],
) -> tuple[dict[str, dict[str, Outcome]], dict[str, Material]]:
    """The latest evaluation of each material by fidelity and digest, and the materials by digest.

    A later evaluation, such as a confirmation, replaces an earlier one at the same fidelity.
    """
    by_fidelity: dict[str, dict[str, Outcome]] = {}
    materials: dict[str, Material] = {}
    for evaluation in evaluations:
        digest = evaluation.material.digest
        by_fidelity.setdefault(evaluation.fidelity, {})[digest] = evaluation
        materials[digest] = evaluation.material
    return by_fidelity, materials


def labels_of(outcomes: Mapping[str, Outcome], output: Output) -> Labels:
    """Training labels of one output from the outcomes of one fidelity, in the same order.

    Raises:
        ValueError: a value that is not finite, not positive although its logarithm is modelled,
            or in a different unit from the others.
    """
    materials, values, noise = [], [], []
    one_unit(outcomes, output.property)
    for evaluation in outcomes.values():
        label = label_of(evaluation, output)
        if label is None:
            continue
        materials.append(evaluation.material)
        values.append(label[0])
        noise.append(label[1])
    return Labels(tuple(materials), np.array(values), np.array(noise))


def one_unit(outcomes: Mapping[str, Outcome], name: str) -> None:
    """Check that a property has the same unit in all outcomes.

    Raises:
        ValueError: two outcomes with different units, which it names.
    """
    units: dict[str, str] = {}
    for evaluation in outcomes.values():
        quantity = quantity_of(evaluation, name) if isinstance(evaluation, Measured) else None
        if quantity is not None and quantity.unit:  # some tables do not say
            units.setdefault(quantity.unit, _name(evaluation))
    if len(units) > 1:
        (first, one), (second, other) = list(units.items())[:2]
        raise ValueError(
            f"{name} is in {first!r} for {one} but in {second!r} for {other}; "
            "all values of a property must have the same unit"
        )


def label_of(evaluation: Outcome, output: Output) -> tuple[float, float] | None:
    """Value and standard error on the modelled scale; None where the property is missing.

    Raises:
        ValueError: the value is not finite, or not positive although its logarithm is modelled.
    """
    pair = scalar(evaluation, output.property, output.temperature, output.direction)
    if not isinstance(evaluation, Measured) or pair is None:
        return None
    return _checked(evaluation, output, *pair)


def stabilities_of(outcomes: Mapping[str, Outcome]) -> Stabilities:
    """Outcomes of the stability test at one fidelity, in the order of `outcomes`.

    A permanent failure to relax or to give force constants counts as half an instability: soft
    crystals fail there more often, but stable ones sometimes do too. Other failures say nothing
    about stability.
    """
    rows: list[tuple[Material, float, float]] = []
    for outcome in outcomes.values():
        if isinstance(outcome, Measured):
            rows.append((outcome.material, 1.0, 1.0))
        elif isinstance(outcome, Unstable):
            rows.append((outcome.material, 0.0, 1.0))
        elif outcome.permanent and outcome.stage in _TELLING_STAGES:
            rows.append((outcome.material, 0.0, _FAILURE_CONFIDENCE))
    return Stabilities(
        tuple(row[0] for row in rows),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows]),
    )


def _checked(
    evaluation: Measured, output: Output, value: float, error: float | None
) -> tuple[float, float]:
    """Value and error on the modelled scale."""
    if not math.isfinite(value):
        raise ValueError(
            f"{output.property} of {_name(evaluation)} is {value}; expected a finite number: "
            "remove the record or evaluate it again"
        )
    if error is not None and not (math.isfinite(error) and error >= 0):
        raise ValueError(
            f"the error of {output.property} of {_name(evaluation)} is {error}; expected a "
            "finite number of at least 0, or no error at all"
        )
    if not output.log:
        return value, error or 0.0
    if value <= 0:
        raise ValueError(
            f"{output.property} of {_name(evaluation)} is {value}; expected a positive number, "
            "because its logarithm is modelled"
        )
    return math.log10(value), (error or 0.0) / (value * math.log(10.0))


def _name(evaluation: Outcome) -> str:
    return f"{evaluation.material.formula} ({evaluation.material.digest[:12]})"
