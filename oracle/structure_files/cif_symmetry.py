"""Whether a CIF's symmetry fits its cell and is consistent; if not, it generates wrong atoms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import spglib
from pymatgen.core.lattice import Lattice
from pymatgen.core.operations import SymmOp

from oracle.materials.crystal_checks import Unusable

_METRIC_TOLERANCE = 0.02  # relative, in the metric tensor; cells have at least two digits
_NUMBERS = ("_space_group_IT_number", "_symmetry_Int_Tables_number")
_NAMES = ("_space_group_name_H-M_alt", "_symmetry_space_group_name_H-M")
_LISTED = (
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop_operation_xyz",
    "_space_group_symop_magn_operation",
)


def check_symmetry(lattice: Lattice, operations: Sequence[SymmOp], tags: Mapping[str, Any]) -> None:
    """Refuse operations that do not fit the cell, and a name and a number of different groups.

    Usually, rhombohedral axes were combined with operations for hexagonal axes, which turns the 5
    atoms of Bi2Te3 into 75.

    Args:
        lattice: of the file.
        operations: those that were applied to its sites.
        tags: of the block.

    Raises:
        Unusable: names the space group.
    """
    name = _first(tags, _NAMES)
    if not all(_keeps(lattice, operation) for operation in operations):
        cell = ", ".join(f"{x:g}" for x in (*lattice.abc, *lattice.angles))
        raise Unusable(
            f"its cell ({cell}) does not have the symmetry of its space group "
            f"{name or 'operations'!r}; expected axes and operations of one setting: correct one "
            "of them, or list all atoms in P 1"
        )
    number = _first(tags, _NUMBERS)
    if name and number.isdigit() and not any(key.startswith(_LISTED) for key in tags):
        actual = _number_of(operations)
        if actual not in (int(number), None):
            raise Unusable(
                f"its space group {name!r} is number {actual}, but the number given is {number}; "
                "expected name and number of one group: correct what is wrong"
            )


def _keeps(lattice: Lattice, operation: SymmOp) -> bool:
    """Whether an operation preserves the lengths and angles of the cell."""
    metric = lattice.matrix @ lattice.matrix.T
    rotation = operation.rotation_matrix
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    return bool((np.abs(rotation.T @ metric @ rotation - metric) < _METRIC_TOLERANCE * scale).all())


def _number_of(operations: Sequence[SymmOp]) -> int | None:
    rotations = np.array([np.rint(o.rotation_matrix) for o in operations], dtype=np.intc)
    translations = np.array([o.translation_vector for o in operations])
    group = spglib.get_spacegroup_type_from_symmetry(rotations, translations)
    return None if group is None else int(group.number)


def _first(tags: Mapping[str, Any], keys: Sequence[str]) -> str:
    """The first value that is given under one of the keys, stripped; empty if there is none."""
    for key in keys:
        value = tags.get(key)
        text = str(value[0] if isinstance(value, list) and value else value or "").strip()
        if text not in ("", ".", "?"):
            return text
    return ""
