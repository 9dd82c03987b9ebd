"""What a training set says: labels with errors, stabilities, and what cheaper fidelities found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Measured, Outcome, Unstable, scalar
from oracle.materials.material import Material
from surrogate.contract.protocol import Output

Array = NDArray[np.float64]
_TELLING_STAGES = frozenset({"relax", "fc2", "stability"})
_FAILURE_CONFIDENCE = 0.5


@dataclass(frozen=True)
class Labels:
    """Values of one output.

    Args:
        materials: n distinct ones.
        values: (n,), modelled scale.
        noise: (n,), standard error of each on that scale; 0 where the oracle states none.
    """

    materials: tuple[Material, ...]
    values: Array
    noise: Array


@dataclass(frozen=True)
class Stabilities:
    """Outcomes of the stability test.

    Args:
        materials: n distinct ones.
        stable: (n,), 1 for stable.
        confidence: (n,), how much of an outcome each one is.
    """

    materials: tuple[Material, ...]
    stable: Array
    confidence: Array


def latest(
    evaluations: Sequence[Outcome],
) -> tuple[dict[str, dict[str, Outcome]], dict[str, Material]]:
    """The last evaluation of each material by fidelity and digest, and the materials by digest.

    A later one replaces an earlier one at the same fidelity: confirmations do.
    """
    found: dict[str, dict[str, Outcome]] = {}
    materials: dict[str, Material] = {}
    for evaluation in evaluations:
        digest = evaluation.material.digest
        found.setdefault(evaluation.fidelity, {})[digest] = evaluation
        materials[digest] = evaluation.material
    return found, materials


def labels_of(outcomes: Mapping[str, Outcome], output: Output) -> Labels:
    """Labels of one output among the outcomes of one fidelity, in their order.

    Raises:
        ValueError: a label that is not finite, not positive though its logarithm is modelled, or
            in another unit than the others.
    """
    materials, values, noise = [], [], []
    one_unit(outcomes, output.property)
    for evaluation in outcomes.values():
        found = label_of(evaluation, output)
        if found is None:
            continue
        materials.append(evaluation.material)
        values.append(found[0])
        noise.append(found[1])
    return Labels(tuple(materials), np.array(values), np.array(noise))


def one_unit(outcomes: Mapping[str, Outcome], name: str) -> None:
    """Refuse outcomes that have a property in different units.

    Raises:
        ValueError: naming two of them.
    """
    units: dict[str, str] = {}
    for evaluation in outcomes.values():
        if isinstance(evaluation, Measured) and name in evaluation.properties:
            units.setdefault(evaluation.properties[name].unit, _name(evaluation))
    if len(units) > 1:
        (first, one), (second, other) = list(units.items())[:2]
        raise ValueError(
            f"{name} is in {first!r} for {one} but in {second!r} for {other}; "
            "labels must have one unit"
        )


def label_of(evaluation: Outcome, output: Output) -> tuple[float, float] | None:
    """Value and standard error on the modelled scale; None where an outcome has no such number.

    Raises:
        ValueError: it is not finite, or not positive though its logarithm is modelled.
    """
    found = scalar(evaluation, output.property, output.temperature)
    if not isinstance(evaluation, Measured) or found is None:
        return None
    return _checked(evaluation, output, *found)


def stabilities_of(outcomes: Mapping[str, Outcome]) -> Stabilities:
    """Stabilities among the outcomes of one fidelity, in their order.

    A permanent failure to relax or to give force constants counts as half an instability: soft
    crystals fail there more often, but so do healthy ones. Other failures tell nothing of the
    material.
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
            "finite number of at least 0, or none"
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
