"""An evaluation as one flat JSON document, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oracle.contract.evaluation import Failed, Measured, Quantity, Unstable
from oracle.contract.property_table import PROPERTY_TABLE, spec_of
from oracle.materials.crystal import Crystal

if TYPE_CHECKING:
    from oracle.phonons.axes import Axes

Array = NDArray[np.float64]
_ROUNDING = 1e-10  # relative to a tensor's largest component; smaller ones are due to rounding
_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
_PROMISED = tuple(name for name, spec in PROPERTY_TABLE.items() if spec.promised)


def evaluation_json(
    evaluation: Measured | Unstable | Failed,
    rotation: Array | None = None,
    axes: Axes | None = None,
) -> dict[str, Any]:
    """The document of ``phonoscout evaluate --json``.

    Args:
        evaluation: any.
        rotation: (3, 3), takes the frame in which tensors are to be given to that of the crystal's
            conventional cell (see `oracle.materials.crystal.canonicalize`); None gives them in the
            latter.
        axes: of the file that was evaluated. Tensors are given in its frame, ``q_point`` in
            reciprocal vectors of its lattice, and ``provenance.axes`` has supercells and mesh along
            its axes.

    Returns:
        The document; keys without a value are None. ``temperature`` is (n,), ``kappa`` and its
        parts (n, 3, 3) in ``kappa_unit``, ``heat_capacity`` (n,) in k_B per atom, ``max_msd`` (n,)
        in Å². ``std`` is the standard error of a third of the trace of kappa, (n,); ``errors`` has
        those of other properties by name, ``units`` the units of a user's own. Components of a
        tensor that are zero up to rounding are exactly zero.
    """
    rotation = rotation if axes is None else axes.rotation
    properties = evaluation.properties
    crystal = evaluation.material if isinstance(evaluation.material, Crystal) else None
    kappa = properties.get("kappa")
    document: dict[str, Any] = {
        "status": evaluation.status,
        "formula": evaluation.material.formula,
        "spacegroup": None if crystal is None else crystal.spacegroup[0],
        "spacegroup_number": None if crystal is None else crystal.spacegroup[1],
        "temperature": list(evaluation.temperature) if isinstance(evaluation, Measured) else [],
        "kappa_unit": spec_of("kappa").unit if kappa is None else kappa.unit,
        "units": {n: q.unit for n, q in properties.items() if n not in PROPERTY_TABLE},
        "std": None if kappa is None else kappa.std,
        "errors": {n: q.std for n, q in properties.items() if n != "kappa" and q.std is not None},
    }
    names = [*_PROMISED, *sorted(set(properties) - set(_PROMISED))]
    document |= {name: _value(properties.get(name), rotation) for name in names}
    document |= {
        name: _without_rounding(document[name])
        for name, quantity in properties.items()
        if _is_tensor(quantity.value)
    }
    if document["min_frequency_thz"] is None and isinstance(evaluation, Unstable):
        document["min_frequency_thz"] = evaluation.min_frequency
    return document | {
        "q_point": _q_point(evaluation, axes),
        "reason": evaluation.reason if isinstance(evaluation, Unstable) else None,
        "message": evaluation.message if isinstance(evaluation, Failed) else None,
        "low_confidence": evaluation.low_confidence if isinstance(evaluation, Measured) else None,
        "fidelity": evaluation.fidelity,
        "stage": evaluation.stage,
        "seconds": evaluation.cost_s,
        "oracle_digest": evaluation.method,
        "environment": dict(evaluation.environment),
        "provenance": _provenance(evaluation, axes),
    }


def turned(quantity: Quantity, rotation: Array) -> Any:
    """A quantity's value in another frame; scalars do not change.

    Args:
        quantity: in the frame of the crystal's conventional cell.
        rotation: (3, 3), orthogonal, takes the other frame to that one.
    """
    kind = quantity.tensor_kind
    if kind is None:
        return quantity.value
    values = np.asarray(quantity.value, dtype=float)
    if kind == "cartesian-2":
        return (rotation.T @ values @ rotation).tolist()
    # A Voigt matrix is not a tensor; the tensor of fourth rank that it stands for is rotated.
    rows, columns = np.array(_VOIGT).T
    place = np.zeros((3, 3), dtype=int)
    place[rows, columns] = place[columns, rows] = range(6)
    fourth = values[..., place[:, :, None, None], place[None, None, :, :]]
    rotated = np.einsum("pi,qj,rk,sl,...pqrs->...ijkl", *[rotation] * 4, fourth, optimize=True)
    return rotated[..., rows[:, None], columns[:, None], rows, columns].tolist()


def _value(quantity: Quantity | None, rotation: Array | None) -> Any:
    if quantity is None or rotation is None:
        return None if quantity is None else quantity.value
    return turned(quantity, rotation)


def _q_point(evaluation: Measured | Unstable | Failed, axes: Axes | None) -> Any:
    q_point = evaluation.q_point if isinstance(evaluation, Unstable) else None
    return q_point if axes is None or q_point is None else axes.reduced(q_point)


def _provenance(evaluation: Measured | Unstable | Failed, axes: Axes | None) -> dict[str, Any]:
    """The provenance along canonical axes, with supercells and mesh along the file's axes added."""
    record = dict(evaluation.provenance)
    return record if axes is None else record | {"axes": axes.record(record)}


def _is_tensor(value: Any) -> bool:
    """Whether a value is one or several square matrices."""
    if not isinstance(value, list):
        return False
    shape: tuple[int, ...] = np.shape(value)
    return len(shape) >= 2 and shape[-1] == shape[-2]


def _without_rounding(value: Any) -> Any:
    """Matrices (..., n, n) in which components far below the largest one are exactly zero."""
    values = np.asarray(value, dtype=float)
    largest = np.abs(values).max(axis=(-2, -1), keepdims=True)
    return np.where(np.abs(values) < _ROUNDING * largest, 0.0, values).tolist()
