"""The phonon Boltzmann equation, solved with phono3py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py
from phonopy.phonon.grid import get_ir_grid_points

from oracle.formulas.changes import HEAVY
from oracle.materials.reciprocal import Mesh
from oracle.phonon_bte.degenerate import averages_at_once
from oracle.phonon_bte.interaction import interactions_by_transform
from oracle.phonon_bte.isotopes import isotopes_by_stars
from oracle.phonon_bte.shortest import triples_at_once
from oracle.phonons.atomic_data import mass_variances
from oracle.phonons.settings import PhononSettings
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))  # phono3py's order of tensors
_ANGSTROM_PER_MICRON = 1e4
_CONDUCTS = 1e-9  # of the largest principal value of kappa; smaller ones are rounding


@dataclass(frozen=True)
class Transport:
    """Conductivity and the contributions of modes.

    Args:
        mesh: of q points.
        points: (n_q, 3), the irreducible points in reduced coordinates of the primitive cell.
        particle: (n_temperatures, 3, 3), W/m/K, the part due to mode populations.
        coherence: (n_temperatures, 3, 3), W/m/K, the off-diagonal (Wigner) part; None where it was
            not requested.
        frequencies: (n_q, n_bands), THz, at the irreducible points.
        weights: (n_q,), multiplicities of these points.
        mode_kappa: (n_temperatures, n_q, n_bands), W/m/K; a third of the trace of each mode's
            contribution, the sum of which is a third of the trace of `particle`.
        velocities: (n_q, n_bands, 3), group velocities, THz Å.
        linewidths: (n_temperatures, n_q, n_bands), half widths at half maximum due to all
            scattering, THz.
        isotope_linewidths: (n_q, n_bands), half widths due to isotopes, THz, or None without them.
        interpolation_error: (n_temperatures,), relative standard error of the particle part because
            lifetimes were interpolated, or None where they were not.
    """

    mesh: tuple[int, int, int]
    points: Array
    particle: Array
    coherence: Array | None
    frequencies: Array
    weights: Array
    mode_kappa: Array
    velocities: Array
    linewidths: Array
    isotope_linewidths: Array | None
    interpolation_error: Array | None = None

    def scattered_too(self, widths: Array) -> Array:
        """A third of the trace of the particle part (n_temperatures,) with more scattering, W/m/K.

        By Matthiessen's rule, linewidths add in the relaxation-time approximation.

        Args:
            widths: (n_q, n_bands), half widths due to the additional scattering, THz.
        """
        with np.errstate(invalid="ignore"):
            factor = np.where(
                self.linewidths > 0, self.linewidths / (self.linewidths + widths), 0.0
            )
        return np.asarray((self.mode_kappa * factor).sum(axis=(1, 2)))

    @property
    def lifetimes(self) -> Array:
        """Lifetimes of the modes (n_temperatures, n_q, n_bands), ps: ``1 / (4 π linewidth)``."""
        with np.errstate(divide="ignore"):
            return np.where(self.linewidths > 0, 1 / (4 * np.pi * self.linewidths), 0.0)

    @property
    def mean_free_paths(self) -> Array:
        """Mean free paths of the modes (n_temperatures, n_q, n_bands), Å."""
        return self.lifetimes * np.linalg.norm(self.velocities, axis=-1)

    @property
    def kappa(self) -> Array:
        """Total conductivity (n_temperatures, 3, 3), W/m/K."""
        return self.particle if self.coherence is None else self.particle + self.coherence

    @property
    def mean(self) -> Array:
        """A third of the trace of the total conductivity (n_temperatures,), W/m/K."""
        return np.trace(self.kappa, axis1=1, axis2=2) / 3


@interactions_by_transform()
@isotopes_by_stars()
@averages_at_once()
@triples_at_once()
def conductivity(
    phonons: Phono3py,
    settings: PhononSettings,
    mesh: tuple[int, int, int],
    *,
    coherence: bool | None = None,
    isotope: bool | None = None,
    temperatures: tuple[float, ...] | None = None,
    checked: bool = True,
    every: int = 1,
    at: NDArray[np.bool_] | None = None,
) -> Transport:
    """Solve the Boltzmann equation for given force constants.

    Args:
        phonons: with fc2 and fc3 set.
        settings: `transport`, `boundary_um`, and the defaults of the following arguments.
        mesh: of q points.
        coherence: whether the off-diagonal part is computed.
        isotope: whether scattering by isotopes is included.
        temperatures: K.
        checked: whether a conductivity that is not finite is an error.
        every: the points along each vector, of which every so-many-th is computed, together with
            those around the zone centre (`is_computed`); a divisor of the mesh. Unless it is 1,
            the result has these points only, `particle` and `mode_kappa` are those of their own
            stars and do not add up to a conductivity, and `coherence` is that of the sparse points.
            Not for the full solution.
        at: (*mesh), the points that are computed instead, with the symmetry of the crystal. The
            off-diagonal part must not be asked for.

    Raises:
        OracleError: stage ``bte``; out of memory, or a conductivity that is not finite.
    """
    off_diagonal = settings.coherence if coherence is None else coherence
    scatters = settings.isotope if isotope is None else isotope
    grid = settings.temperatures if temperatures is None else temperatures
    _run(
        phonons, settings, mesh, off_diagonal=off_diagonal, isotope=scatters, temperatures=grid,
        every=every, at=at,
    )  # fmt: skip
    solved = phonons.thermal_conductivity
    particle, off = _parts(phonons, settings, off_diagonal)
    if off is not None and every > 1:
        off = _sparse_coherence(solved, mesh, every)
    modes = _mode_kappa(solved, len(grid), off_diagonal) / np.prod(mesh)
    result = Transport(
        mesh=mesh,
        points=np.asarray(solved.qpoints, dtype=np.float64),
        particle=symmetrised(phonons, particle),
        coherence=None if off is None else symmetrised(phonons, off),
        frequencies=np.asarray(solved.frequencies, dtype=np.float64),
        weights=np.asarray(solved.grid_weights, dtype=np.float64),
        mode_kappa=modes,
        velocities=np.asarray(solved.group_velocities, dtype=np.float64),
        linewidths=_linewidths(solved, settings),
        isotope_linewidths=_isotope_linewidths(solved),
    )
    if checked and not (np.isfinite(result.kappa).all() and np.abs(result.kappa).max() < HEAVY):
        raise OracleError("bte", f"kappa is not finite at mesh {mesh}; give a denser mesh")
    return result


def _run(
    phonons: Phono3py,
    settings: PhononSettings,
    mesh: tuple[int, int, int],
    *,
    off_diagonal: bool,
    isotope: bool,
    temperatures: tuple[float, ...],
    every: int,
    at: NDArray[np.bool_] | None,
) -> None:
    """Have phono3py solve the equation on a mesh; the result stays with `phonons`."""
    phonons.mesh_numbers = list(mesh)
    try:
        # Without the averages, kappa depends on rounding: on how eigenvectors of degenerate modes
        # (NaCl by 3 % on a 5x5x5 mesh, 0.1 % on 9x9x9) and the diagonal of the tetrahedra were
        # chosen, and on what is left of the acoustic frequencies at the zone centre.
        phonons.init_phph_interaction(
            average_degenerate_weights=True,
            symmetrize_tetrahedra=True,
            exclude_gamma_acoustic=True,
        )
        phonons.run_thermal_conductivity(
            is_LBTE=settings.transport == "lbte",
            temperatures=list(temperatures),
            is_isotope=isotope,
            mass_variances=mass_variances(phonons.primitive.symbols) if isotope else None,
            boundary_mfp=boundary_length(settings),
            transport_type="SMM19" if off_diagonal else None,
            grid_points=_computed_points(phonons, mesh, every, at),
            log_level=0,
        )
    except MemoryError as error:
        raise OracleError(
            "bte", f"out of memory at mesh {mesh}; give a coarser mesh", transient=True
        ) from error


def is_computed(numbers: NDArray[np.int64], mesh: Mesh, every: int) -> NDArray[np.bool_]:
    """Whether lifetimes are computed at points (..., 3), in units of the spacing of the mesh.

    They are at every so-many-th point along each vector, and at the neighbours of the zone centre.
    """
    around = (numbers + np.array(mesh) // 2) % mesh - np.array(mesh) // 2
    longest = np.abs(around).max(axis=-1) <= 1
    return np.asarray((numbers % every == 0).all(axis=-1) | longest)


def _computed_points(
    phonons: Phono3py, mesh: Mesh, every: int, at: NDArray[np.bool_] | None
) -> NDArray[np.int64] | None:
    """The irreducible points that are computed, as phono3py counts them; None for all."""
    if every == 1 and at is None:
        return None
    grid = phonons.grid
    irreducible = grid.grg2bzg[get_ir_grid_points(grid)[0]]
    numbers = np.rint(grid.addresses[irreducible] @ grid.QDinv.T * mesh).astype(np.int64)
    chosen = is_computed(numbers, mesh, every) if at is None else at[tuple((numbers % mesh).T)]
    return np.asarray(irreducible[chosen], dtype=np.int64)


def _sparse_coherence(solved: Any, mesh: Mesh, every: int) -> Array:
    """The off-diagonal part (n_temperatures, 3, 3), W/m/K, that the sparse points give."""
    numbers = np.rint(np.asarray(solved.qpoints) * mesh).astype(np.int64)
    sparse = (numbers % every == 0).all(axis=1)
    matrices = np.asarray(solved._kappa_solver.mode_kappa_matrix)[0][:, sparse]
    diagonal = np.einsum("tqbbv->tv", matrices)
    points = np.prod(mesh) / every**3
    return _tensors((matrices.sum(axis=(1, 2, 3)) - diagonal).real / points)


def boundary_length(settings: PhononSettings) -> float | None:
    """Mean free path of boundary scattering, µm, or None where there is none."""
    if settings.boundary_um is None:
        return None
    p = settings.boundary_specularity
    return settings.boundary_um * (1 + p) / (1 - p)


def boundary_widths(velocities: Array, settings: PhononSettings) -> Array:
    """Half widths (...) due to boundaries, THz, of modes with velocities (..., 3), THz Å."""
    length = boundary_length(settings)
    if length is None:
        return np.zeros(velocities.shape[:-1])
    speeds = np.linalg.norm(velocities, axis=-1)
    return np.asarray(speeds / (4 * np.pi * length * _ANGSTROM_PER_MICRON))


def _linewidths(solved: Any, settings: PhononSettings) -> Array:
    """Half widths (n_temperatures, n_q, n_bands) of all scattering by Matthiessen's rule, THz."""
    total = np.array(solved.gamma, dtype=np.float64)[0]
    if solved.gamma_isotope is not None:
        total += np.asarray(solved.gamma_isotope)[0]
    return total + boundary_widths(np.asarray(solved.group_velocities), settings)


def _isotope_linewidths(solved: Any) -> Array | None:
    """Half widths (n_q, n_bands) due to isotopes, THz, or None without them."""
    return None if solved.gamma_isotope is None else np.asarray(solved.gamma_isotope)[0]


def _parts(
    phonons: Phono3py, settings: PhononSettings, off_diagonal: bool
) -> tuple[Array, Array | None]:
    """Particle and coherence parts of kappa as tensors (n_temperatures, 3, 3)."""
    solved = phonons.thermal_conductivity
    total = np.asarray(solved.kappa)[0]
    if not off_diagonal:
        return _tensors(total), None
    extra = solved._kappa_solver.get_extra_kappa_output()
    inter = np.asarray(extra["kappa_inter"])[0]
    if settings.transport == "lbte":  # here `kappa` does not include the off-diagonal part
        return _tensors(np.asarray(extra["kappa_intra_exact"])[0]), _tensors(inter)
    return _tensors(total - inter), _tensors(inter)


def _mode_kappa(solved: object, n_temperatures: int, off_diagonal: bool) -> Array:
    """A third of the trace of modes' kappa (n_temperatures, n_q, n_bands), times mesh points."""
    if off_diagonal:
        matrix = np.asarray(solved._kappa_solver.mode_kappa_matrix)[0]  # type: ignore[attr-defined]
        modes = np.einsum("tqbbv->tqbv", matrix)
    else:
        modes = np.asarray(solved.mode_kappa)[0]  # type: ignore[attr-defined]
    return modes[..., :3].mean(axis=-1)[:n_temperatures]


def _tensors(voigt: Array) -> Array:
    tensors = np.zeros((len(voigt), 3, 3))
    for column, (i, j) in enumerate(VOIGT):
        tensors[:, i, j] = tensors[:, j, i] = voigt[:, column]
    return tensors


def in_full(phonons: Phono3py, particle: Array, single: Array, full: Array) -> Array:
    """The particle part by full solution, from both solutions on another mesh.

    The matrix that turns one solution into the other there is applied, and the result is made
    symmetric. All arrays are (n_temperatures, 3, 3), W/m/K.

    Args:
        phonons: gives the point group.
        particle: in the relaxation-time approximation.
        single: the same on the other mesh. Where some direction does not conduct there, as across
            layers on a mesh of one point along an axis, the ratio of the traces is applied.
        full: the full solution on the other mesh.
    """
    values = np.linalg.eigvalsh(single)
    if (values[:, 0] <= _CONDUCTS * values[:, -1]).any():
        traces = np.trace(full, axis1=1, axis2=2) / np.trace(single, axis1=1, axis2=2)
        return symmetrised(phonons, traces[:, None, None] * particle)
    found = full @ np.linalg.inv(single) @ particle
    return symmetrised(phonons, (found + np.swapaxes(found, 1, 2)) / 2)


def symmetrised(phonons: Phono3py, tensors: Array) -> Array:
    """Average over the point group, in Cartesian coordinates."""
    cell = phonons.primitive.cell.T
    rotations = [
        cell @ r @ np.linalg.inv(cell) for r in phonons.primitive_symmetry.pointgroup_operations
    ]
    return np.asarray(np.mean([r @ tensors @ r.T for r in rotations], axis=0))
