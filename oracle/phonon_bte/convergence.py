"""How the conductivity depends on the mesh of q points, and on the second-order supercell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py
from phonopy import Phonopy

from oracle.formulas.changes import change, usable
from oracle.materials.reciprocal import Mesh, coarsened, refined
from oracle.phonon_bte.between_points import carries_heat, with_all_waves
from oracle.phonon_bte.conductivity import Transport, conductivity
from oracle.phonon_bte.sparse import sparse_conductivity
from oracle.phonons.doubts import Doubt
from oracle.phonons.second_order import Harmonic
from oracle.phonons.settings import PhononSettings
from oracle.phonons.supercells import set_constants
from oracle.phonons.third_order import ThirdOrder
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
COARSER = (1.25, 1.4)
"""Ratios of the spacings of the meshes that serve to estimate the error to that of the mesh."""
SHARE = 0.5
"""Standard error of a mesh, as a fraction of the changes from coarser ones; docs/physics.md."""
SPARSE_SHARE = 0.25
"""The same of a mesh with interpolated lifetimes, as a fraction of the change from a mesh of those
points that have lifetimes of their own."""
OF_THE_REST = 0.2
"""Relative standard error of what the modes between the points of the mesh add."""
OF_THE_CELL = 0.25
"""Change from the second-order supercell to an infinite one, over that from the third-order one to
it, in units of the ratio of their numbers of atoms; docs/physics.md."""
ALIKE = 0.05
"""Relative standard error where supercells of both orders are alike in size. It is 0 to 3 % with
432 atoms in second order (docs/physics.md), and may be larger."""
LEAST_OF_CELL = 0.01
"""Relative standard error because of the second-order supercell where nothing shows a larger one:
changes between cells of other shapes (docs/physics.md), which one coincidence may hide."""
_ALIKE_SIZES = 1.75  # ratio of the numbers of atoms below which nothing is learned from a change
_SMALL_CHANGES = 2
_MOST = 0.5
"""Share of kappa that waves between the points carry above which they are said to; it is 0.2 for
silicon and 0.3 for wurtzite ZnS at 300 K on their usual meshes."""


class Judge:
    """Conductivity on a coarse mesh, by which third-order force constants are compared.

    Linewidths due to isotopes depend only on second-order force constants and are computed once.
    """

    def __init__(self, settings: PhononSettings, mesh: Mesh) -> None:
        self._settings = settings
        self._mesh = mesh
        self._isotopes: Array | None = None

    def __call__(self, phonons: Phono3py) -> Array:
        """A third of the trace of the particle part (n_temperatures,), W/m/K.

        If the mesh is too coarse for the temperature, the result may be 0, not finite or far too
        large; see `change`.

        Args:
            phonons: with fc2, the same at each call, and fc3 set.

        Raises:
            OracleError: stage ``bte``; out of memory.
        """
        transport = conductivity(
            phonons,
            self._settings,
            self._mesh,
            coherence=False,
            isotope=self._settings.isotope and self._isotopes is None,
            checked=False,
        )
        if self._isotopes is not None:
            return transport.scattered_too(self._isotopes)
        if self._settings.transport == "rta":  # otherwise kappa does not follow from linewidths
            self._isotopes = transport.isotope_linewidths
        return transport.mean


@dataclass(frozen=True)
class Solution:
    """The answer on one mesh.

    Args:
        on_mesh: what the mesh gives.
        of_all_waves: the same with the modes between its points; see `with_all_waves`.
    """

    on_mesh: Transport
    of_all_waves: Transport


def solution(
    phonons: Phono3py, dynamics: Phonopy, settings: PhononSettings, mesh: Mesh
) -> Solution:
    """Transport on a mesh, and that of all waves.

    Args:
        phonons: with fc2 and fc3 set.
        dynamics: of the same fc2.
        settings: of the oracle.
        mesh: of q points.

    Raises:
        OracleError: stage ``bte``; see `conductivity`.
    """
    if settings.sparse > 1:
        on_mesh = sparse_conductivity(phonons, dynamics, settings, mesh)
    else:
        on_mesh = conductivity(phonons, settings, mesh)
    of_all_waves = with_all_waves(on_mesh, phonons, dynamics, settings)
    if not (carries_heat(on_mesh) and carries_heat(of_all_waves)):
        raise OracleError("bte", f"kappa is not determined at mesh {mesh}; give a denser mesh")
    return Solution(on_mesh, of_all_waves)


def converged(
    phonons: Phono3py, dynamics: Phonopy, settings: PhononSettings, mesh: Mesh, context: Context
) -> list[Solution]:
    """Transport on ever denser meshes until kappa has twice changed by less than the tolerance.

    A single small change may be chance: what a mesh gives scatters around the limit.

    Args:
        phonons: with fc2 and fc3 set.
        dynamics: of the same fc2.
        settings: of the oracle; at most ``converge_meshes`` meshes are tried.
        mesh: the first one.
        context: its deadline is checked before every mesh.

    Returns:
        One result per mesh; the last one is the answer.

    Raises:
        OracleError: stage ``bte``; see `conductivity`.
    """
    history = [solution(phonons, dynamics, settings, mesh)]
    small = 0
    while len(history) < settings.converge_meshes and small < _SMALL_CHANGES:
        context.check("bte")
        last = history[-1]
        finer = refined(last.on_mesh.mesh, settings.sparse)
        history.append(solution(phonons, dynamics, settings, finer))
        changes = np.log(history[-1].of_all_waves.mean / last.of_all_waves.mean)
        small = small + 1 if np.abs(changes).max() < settings.tolerance else 0
    return history


def has_converged(history: list[Solution], tolerance: float) -> bool:
    """Whether kappa has changed by less than the tolerance twice in a row, at the end."""
    logs = np.log([one.of_all_waves.mean for one in history[-_SMALL_CHANGES - 1 :]])
    changes = np.abs(np.diff(logs, axis=0))
    return len(changes) == _SMALL_CHANGES and bool((changes < tolerance).all())


def error(
    solved: Solution, phonons: Phono3py, dynamics: Phonopy, settings: PhononSettings
) -> Array:
    """Relative standard error (n_temperatures,) of the particle part due to the mesh.

    It consists of a share of the root mean square change from two coarser meshes, each with all
    waves, and of a share of what the modes between the points have added. Where lifetimes are
    interpolated, the only coarser mesh has the points whose lifetimes are not, and the error of
    interpolation is added.

    Args:
        solved: on the mesh whose error is estimated.
        phonons: with fc2 and fc3 set.
        dynamics: of the same fc2.
        settings: of the oracle.

    Raises:
        OracleError: stage ``bte``; out of memory.
    """
    best = _particle(solved.of_all_waves)
    changes = []
    sparse = settings.sparse > 1
    for ratio in (settings.sparse,) if sparse else COARSER:
        mesh = coarsened(solved.on_mesh.mesh, ratio)
        coarse = conductivity(phonons, settings, mesh, coherence=False, checked=False)
        changes.append(change(best, _particle(with_all_waves(coarse, phonons, dynamics, settings))))
    added = OF_THE_REST * change(best, _particle(solved.on_mesh))
    share = SPARSE_SHARE if sparse else SHARE
    error = np.hypot(share * np.sqrt(np.mean(np.square(changes), axis=0)), added)
    interpolated = solved.on_mesh.interpolation_error
    return error if interpolated is None else np.hypot(error, interpolated)


def cell_error(
    small: Phono3py, phonons: Phono3py, third: ThirdOrder, settings: PhononSettings, mesh: Mesh
) -> Array:
    """Relative standard error (n_temperatures,) because second-order constants end at their cell.

    With the second-order constants of the third-order supercell in their place, kappa changes on
    the coarse mesh; `OF_THE_CELL` of this change is taken, times the number of atoms of the smaller
    cell over that of the larger one, but at least `LEAST_OF_CELL`, also where either conductivity
    is not determined, as it is not in the cold on a coarse mesh. Where both cells are alike in
    size, or the constants belong to other temperatures, nothing is learned from them, and it is
    `ALIKE`.

    Args:
        small: phono3py's description without a second-order supercell; its constants are replaced.
        phonons: with one, and with the force constants of the answer.
        third: third-order force constants, and second-order ones in the same supercell.
        settings: of the oracle.
        mesh: on which third-order force constants were judged.

    Raises:
        OracleError: stage ``bte``; out of memory.
    """
    sizes = sorted(len(cell) for cell in (small.supercell, phonons.phonon_supercell))
    at_rest = settings.force_constants == "finite-difference"
    if _ALIKE_SIZES * sizes[0] > sizes[1] or (at_rest and settings.finite_temperature is not None):
        return np.full(len(settings.temperatures), ALIKE)
    small.nac_params = phonons.nac_params
    set_constants(small, third.fc2, third.scattering)
    found, reference = (Judge(settings, mesh)(one) for one in (small, phonons))
    known = usable(found) & usable(reference)
    share = OF_THE_CELL * sizes[0] / sizes[1]
    changes = np.where(known, share * np.abs(change(found, reference)), 0.0)
    return np.maximum(changes, LEAST_OF_CELL)


def errors(
    solved: Solution,
    crystal: Harmonic,
    small: Phono3py,
    third: ThirdOrder,
    settings: PhononSettings,
    mesh: Mesh,
) -> dict[str, Array]:
    """Relative standard errors (n_temperatures,) of kappa, by what they are due to.

    Args:
        solved: the answer.
        crystal: with the force constants of the answer.
        small: as for `cell_error`, like the following arguments.
        third: third-order force constants and their error.
        settings: of the oracle.
        mesh: on which third-order force constants were judged.

    Raises:
        OracleError: stage ``bte``; out of memory.
    """
    return {
        "third-order force constants": third.error,
        "the third-order cutoff": np.full(len(settings.temperatures), third.cut),
        "the mesh": error(solved, crystal.phonons, crystal.dynamics, settings),
        "the supercell": cell_error(small, crystal.phonons, third, settings, mesh),
    }


def beyond_the_mesh(solved: Solution, temperatures: Sequence[float]) -> Doubt:
    """The caution that most of kappa belongs to waves that the mesh does not hold.

    Their lifetimes are extrapolated from shorter waves. In the cold, only long waves are left.

    Args:
        solved: on the mesh of the answer.
        temperatures: K.
    """
    shares = 1.0 - _particle(solved.on_mesh) / _particle(solved.of_all_waves)

    def text(i: int, named: bool) -> str:
        where = f" at {temperatures[i]:g} K" if named else ""
        return (
            f"most of kappa is extrapolated{where}: {shares[i]:.0%} of it belongs to waves between "
            f"the points of the mesh {list(solved.on_mesh.mesh)}, give a denser mesh"
        )

    return Doubt(shares > _MOST, int(np.argmax(shares)), text)


def _particle(transport: Transport) -> Array:
    """A third of the trace of the particle part (n_temperatures,), W/m/K."""
    return np.trace(transport.particle, axis1=1, axis2=2) / 3
