"""An evaluation as one flat JSON document, for people and programs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.evaluation import Failed, Measured, Quantity, Unstable
from oracle.material import Crystal

Array = NDArray[np.float64]
_TENSORS = ("kappa", "kappa_particle", "kappa_coherence")
_ROUNDING = 1e-10  # of a tensor's largest component, what rotations and sums leave of a zero
_NUMBERS = (
    "heat_capacity",
    "min_frequency_thz",
    "max_frequency_thz",
    "gruneisen_mean",
    "max_msd",
    "anharmonicity",
    "energy_per_atom",
    "volume",
    "force_calls",
)


def evaluation_json(
    evaluation: Measured | Unstable | Failed, rotation: Array | None = None
) -> dict[str, Any]:
    """The document of ``phonoscout evaluate --json``.

    Args:
        evaluation: any outcome.
        rotation: (3, 3), takes the frame in which tensors are wanted to that of the crystal's
            conventional cell (see `oracle.canonical.canonicalize`); None leaves them there.

    Returns:
        Keys that the outcome has no value for hold None. ``temperature`` is (n,), ``kappa`` and
        its parts (n, 3, 3) in ``kappa_unit``, ``heat_capacity`` (n,) in k_B per atom, ``max_msd``
        (n,) in Å². ``std`` is the standard error of a third of kappa's trace, (n,); ``errors`` has
        those of other properties by name. Components of a tensor that are zero but for the
        arithmetic's rounding are zero.
    """
    properties = evaluation.properties
    crystal = evaluation.material if isinstance(evaluation.material, Crystal) else None
    kappa = properties.get("kappa")
    document: dict[str, Any] = {
        "status": evaluation.status,
        "formula": evaluation.material.formula,
        "spacegroup": None if crystal is None else crystal.spacegroup[0],
        "spacegroup_number": None if crystal is None else crystal.spacegroup[1],
        "temperature": list(getattr(evaluation, "temperature", ())),
        "kappa_unit": "W/m/K" if kappa is None else kappa.unit,
        "std": None if kappa is None else kappa.std,
        "errors": {n: q.std for n, q in properties.items() if n != "kappa" and q.std is not None},
    }
    document |= {name: _tensor(properties.get(name), rotation) for name in _TENSORS}
    document |= {name: _value(properties.get(name)) for name in _NUMBERS}
    others = sorted(set(properties) - {*_TENSORS, *_NUMBERS})
    document |= {name: _value(properties[name]) for name in others}
    document |= {
        name: _without_rounding(document[name])
        for name, quantity in properties.items()
        if _is_tensor(quantity.value)
    }
    if document["min_frequency_thz"] is None and isinstance(evaluation, Unstable):
        document["min_frequency_thz"] = evaluation.min_frequency
    return document | {
        "q_point": getattr(evaluation, "q_point", None),
        "reason": getattr(evaluation, "reason", None),
        "message": getattr(evaluation, "message", None),
        "low_confidence": getattr(evaluation, "low_confidence", None),
        "fidelity": evaluation.fidelity,
        "stage": evaluation.stage,
        "seconds": evaluation.cost_s,
        "oracle_digest": evaluation.method,
        "environment": dict(evaluation.environment),
        "provenance": dict(evaluation.provenance),
    }


def _value(quantity: Quantity | None) -> Any:
    return None if quantity is None else quantity.value


def _tensor(quantity: Quantity | None, rotation: Array | None) -> Any:
    """A quantity's tensors (..., 3, 3) in the wanted frame; scalars stay what they are."""
    if quantity is None or rotation is None:
        return _value(quantity)
    values = np.asarray(quantity.value, dtype=float)
    if values.shape[-2:] != (3, 3):
        return quantity.value
    return (rotation.T @ values @ rotation).tolist()


def _is_tensor(value: Any) -> bool:
    """Whether a value is one or several square matrices."""
    if not isinstance(value, list):
        return False
    shape: tuple[int, ...] = np.shape(value)
    return len(shape) >= 2 and shape[-1] == shape[-2]


def _without_rounding(value: Any) -> Any:
    """Matrices (..., n, n) whose components far below the largest of each are exactly zero."""
    values = np.asarray(value, dtype=float)
    largest = np.abs(values).max(axis=(-2, -1), keepdims=True)
    return np.where(np.abs(values) < _ROUNDING * largest, 0.0, values).tolist()
