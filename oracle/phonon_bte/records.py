"""What an evaluation records of its transport calculation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py

from oracle.phonon_bte.convergence import Solution
from oracle.phonons import supercells
from oracle.phonons.relax import Relaxed
from oracle.phonons.third_order import ThirdOrder

Array = NDArray[np.float64]
_KEYS = {
    "third-order force constants": "fc3",
    "the third-order cutoff": "cutoff",
    "the mesh": "mesh",
    "the supercell": "supercell",
}


def transport_record(
    relaxed: Relaxed,
    phonons: Phono3py,
    third: ThirdOrder,
    solution: Solution,
    parts: Mapping[str, Array],
    error: Array,
) -> dict[str, Any]:
    """Supercells, mesh and errors for the provenance, as JSON.

    Supercells are rows in terms of the conventional vectors, as in settings.

    Args:
        relaxed: gives the conventional vectors.
        phonons: with the supercells of both orders.
        third: third-order force constants and their error.
        solution: of the Boltzmann equation.
        parts: (n_temperatures,) each, relative standard errors of kappa by their source.
        error: (n_temperatures,), all of them.
    """
    cells = (phonons.supercell_matrix, phonons.phonon_supercell_matrix)
    fc3, fc2 = (
        supercells.in_conventional(matrix, phonons.unitcell, relaxed.cell) for matrix in cells
    )
    return {
        "mesh": list(solution.on_mesh.mesh),
        "kappa_on_mesh": one_or_all(solution.on_mesh.mean),
        "supercell": fc3,
        "fc2_supercell": fc2,
        "fc3_cutoff": third.cutoff,
        "fc3_constants": third.constants,
        "fc3_left_out": third.left_out,
        "fc3_reaches_beyond": third.beyond,
        "fc3_supercells": third.supercells,
        "relative_error": {
            **{_KEYS[name]: one_or_all(part) for name, part in parts.items()},
            "total": one_or_all(error),
        },
    }


def one_or_all(values: Array) -> float | list[float]:
    """The number at a single temperature, or the list (n_temperatures,) at several."""
    return float(values[0]) if len(values) == 1 else [float(value) for value in values]
