"""The full solution of the Boltzmann equation, beside that in the relaxation-time approximation.

The relaxation-time approximation counts normal processes as resistance, although they only pass
heat on among modes, so that its conductivity is too low. The full solution needs the collision
matrix of all modes (Chaput, Phys. Rev. Lett. 110, 265506 (2013)), whose size grows with the square
of the number of modes. What is taken from it is the factor between both solutions on one mesh,
which depends less on the mesh than either of them (`docs/physics.md`), so that a coarser mesh
suffices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py

from oracle.contract.evaluation import Quantity, make_quantity
from oracle.formulas.changes import usable
from oracle.materials.reciprocal import Mesh, coarsened
from oracle.phonon_bte.conductivity import Transport, conductivity, in_full
from oracle.phonon_bte.convergence import Solution
from oracle.phonon_bte.records import one_or_all
from oracle.phonons.settings import PhononSettings
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
COARSER = 1.4
"""Least spacing of the mesh of the comparison over that of the mesh of kappa."""
FACTOR_ERROR = 0.03
"""Relative standard error of the factor. On meshes of 6 points along each vector, it was below that
of 9 or 10 points by 0.6 % for NaCl, 2.2 % for LiF and 2.5 % for silicon."""
MOST_ROWS = 4000
"""Rows of the collision matrix (irreducible points, bands and directions) beyond which the mesh is
made still coarser. Such a matrix takes 0.13 GB and half a minute on one core."""
_COARSEST = 4
"""Points along the shortest side of a mesh below which the factor means nothing."""


@dataclass(frozen=True)
class FullSolution:
    """What the full solution changes.

    Args:
        mesh: on which both solutions were compared.
        factor: (n_temperatures,), full over relaxation-time solution, a third of the trace.
        kappa: (n_temperatures, 3, 3), W/m/K, of all waves, with the part of coherences.
    """

    mesh: Mesh
    factor: Array
    kappa: Array


def full_kappa(
    phonons: Phono3py,
    solved: Solution,
    settings: PhononSettings,
    error: Array,
    provenance: dict[str, Any],
) -> dict[str, Quantity]:
    """The property `kappa_lbte`; empty where there is no full solution, as `provenance` says then.

    Args:
        phonons: with fc2 and fc3 set.
        solved: in the relaxation-time approximation.
        settings: with which it was solved.
        error: (n_temperatures,), relative standard errors of its kappa.
        provenance: gets the entry ``full_solution``.
    """
    found = full_solution(phonons, solved, settings)
    if isinstance(found, str):
        provenance["full_solution"] = {"left_out": found}
        return {}
    provenance["full_solution"] = {"mesh": list(found.mesh), "factor": one_or_all(found.factor)}
    std = np.hypot(error, FACTOR_ERROR) * np.trace(found.kappa, axis1=1, axis2=2) / 3
    return {"kappa_lbte": make_quantity("kappa_lbte", found.kappa.tolist(), std=std.tolist())}


def full_solution(
    phonons: Phono3py, solved: Solution, settings: PhononSettings
) -> FullSolution | str:
    """The full solution that belongs to one in the relaxation-time approximation.

    The particle part is multiplied by the matrix that turns one solution on the mesh into the
    other, and made symmetric.

    Args:
        phonons: with fc2 and fc3 set.
        solved: in the relaxation-time approximation.
        settings: with which it was solved.

    Returns:
        The solution, or why there is none.
    """
    coarser = max(COARSER, settings.sparse)
    mesh = _affordable(solved.on_mesh, len(settings.temperatures), coarser)
    if mesh is None:
        return "the crystal has too many modes for its collision matrix"
    full = settings.model_copy(update={"transport": "lbte"})
    try:
        single = solved.on_mesh
        if mesh != single.mesh:
            single = conductivity(phonons, settings, mesh, coherence=False)
        both = conductivity(phonons, full, mesh, coherence=False)
    except OracleError as error:
        return error.message
    one, other = (np.trace(t.particle, axis1=1, axis2=2) / 3 for t in (single, both))
    if not (usable(one) & usable(other)).all() or not _invertible(single.particle):
        return f"kappa is not determined at mesh {mesh}"
    waves = solved.of_all_waves
    particle = in_full(phonons, waves.particle, single.particle, both.particle)
    kappa = particle if waves.coherence is None else particle + waves.coherence
    return FullSolution(mesh, other / one, kappa)


def _affordable(transport: Transport, temperatures: int, coarser: float) -> Mesh | None:
    """A mesh of `coarser` times the spacing of a solution's; None where it would be too coarse."""
    points, bands = transport.frequencies.shape
    most = MOST_ROWS / temperatures ** (1 / 3)  # one matrix for each temperature
    needed = (3 * points * bands / most) ** (1 / 3)
    least = min(_COARSEST, *transport.mesh)
    if min(coarsened(transport.mesh, needed)) < least:
        return None
    mesh = coarsened(transport.mesh, max(coarser, needed))
    return mesh if min(mesh) >= least else coarsened(transport.mesh, max(1.0, needed))


def _invertible(tensors: Array) -> bool:
    """Whether each direction conducts."""
    values = np.linalg.eigvalsh(tensors)
    return bool((values[:, 0] > 1e-9 * values[:, -1]).all())
