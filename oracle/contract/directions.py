"""One number of a conductivity tensor: along a direction, or an extreme of all directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.contract.property_spec import Direction

Array = NDArray[np.float64]
_OBLIQUE = 0.02  # sine of an angle of 1°; smaller ones are rounding of a direction


def along(tensors: Array, direction: Direction | None) -> Array:
    """What symmetric tensors (..., 3, 3) are along a direction, (...).

    ``n · κ n`` with the unit vector ``n``, which is the heat flow along ``n`` for a unit gradient
    along it. Without a direction, a third of the trace, which is the mean over all directions.
    """
    if direction is None:
        return np.asarray(np.trace(tensors, axis1=-2, axis2=-1) / 3.0)
    if isinstance(direction, str):
        symmetric = (tensors + np.swapaxes(tensors, -1, -2)) / 2.0
        principal = np.linalg.eigvalsh(symmetric)
        return np.asarray(principal[..., 0 if direction == "min" else -1])
    vector = np.array(direction, dtype=float)
    unit = vector / np.linalg.norm(vector)
    return np.asarray(np.einsum("i,...ij,j->...", unit, tensors, unit))


def across_vacuum(vacuum: Mapping[str, Any], direction: Direction | None) -> bool:
    """Whether heat along a direction would have to cross the vacuum around a slab or wire.

    The mean over all directions, which includes those, is not refused: it states by a caution that
    it is per volume of the cell.

    Args:
        vacuum: `oracle.materials.vacuum.Vacuum` as it is recorded: ``wire``, and ``axis``, which
            records of earlier versions lack, so that nothing is known of them.
        direction: of an objective, in the same frame.
    """
    axis = vacuum.get("axis")
    if axis is None or direction is None:
        return False
    if isinstance(direction, str):
        return direction == "min"  # conductivities across the vacuum are the smallest
    cosine = abs(float(np.dot(axis, direction) / np.linalg.norm(direction)))
    leaving = np.sqrt(max(0.0, 1.0 - cosine**2)) if vacuum["wire"] else cosine
    return bool(leaving > _OBLIQUE)


def in_words(name: str, direction: Direction | None) -> str:
    """``κ along [0 0 1]``, ``smallest principal κ``, or the name alone without a direction."""
    if direction is None:
        return name
    if isinstance(direction, str):
        return f"{'smallest' if direction == 'min' else 'largest'} principal {name}"
    return f"{name} along [{' '.join(f'{x:g}' for x in direction)}]"
