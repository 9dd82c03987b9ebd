"""The phonon Boltzmann equation, through phono3py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py
from phono3py.api_jointdos import Phono3pyJointDos
from phono3py.phonon3.gruneisen import Gruneisen
from phonopy.phonon.grid import get_ir_grid_points

from oracle.atomic_data import mass_variances
from oracle.bose import PLANCK_BOLTZMANN, mode_capacity
from oracle.degenerate import averages_at_once
from oracle.errors import OracleError
from oracle.settings import PhononSettings

Array = NDArray[np.float64]
_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))  # phono3py's order of tensors
_ANGSTROM_PER_MICRON = 1e4
_SLOW = 0.1  # THz; parameters of slower modes are ratios of noise
HEAVY = 1e6
"""W/m/K; above it the lifetimes are those of a mesh too coarse to scatter."""


@dataclass(frozen=True)
class Transport:
    """Conductivity and what it is made of.

    Args:
        mesh: of q points.
        particle: (n_temperatures, 3, 3), W/m/K, the populations' part.
        coherence: the same of the off-diagonal (Wigner) part, or None where not asked for.
        frequencies: (n_q, n_bands), THz, at the irreducible points.
        weights: (n_q,), multiplicities.
        mode_kappa: (n_temperatures, n_q, n_bands), W/m/K; a third of the trace of each mode's
            part, whose sum is a third of the trace of `particle`.
        velocities: (n_q, n_bands, 3), group velocities, THz Å.
        linewidths: (n_temperatures, n_q, n_bands), half widths at half maximum of all scattering
            together, THz.
        isotope_linewidths: (n_q, n_bands), the isotopes' share, THz, or None without them.
    """

    mesh: tuple[int, int, int]
    particle: Array
    coherence: Array | None
    frequencies: Array
    weights: Array
    mode_kappa: Array
    velocities: Array
    linewidths: Array
    isotope_linewidths: Array | None

    def scattered_too(self, widths: Array) -> Array:
        """Particle part (n_temperatures,), a third of its trace, with more scattering, W/m/K.

        Matthiessen's rule in the relaxation-time approximation: linewidths add.

        Args:
            widths: (n_q, n_bands), half widths of the scattering that was left out, THz.
        """
        with np.errstate(invalid="ignore"):
            share = np.where(self.linewidths > 0, self.linewidths / (self.linewidths + widths), 0.0)
        return np.asarray((self.mode_kappa * share).sum(axis=(1, 2)))

    @property
    def lifetimes(self) -> Array:
        """Of the modes (n_temperatures, n_q, n_bands), ps: ``1 / (4 π linewidth)``."""
        with np.errstate(divide="ignore"):
            return np.where(self.linewidths > 0, 1 / (4 * np.pi * self.linewidths), 0.0)

    @property
    def mean_free_paths(self) -> Array:
        """Of the modes (n_temperatures, n_q, n_bands), Å."""
        return self.lifetimes * np.linalg.norm(self.velocities, axis=-1)

    @property
    def kappa(self) -> Array:
        """Total (n_temperatures, 3, 3), W/m/K."""
        return self.particle if self.coherence is None else self.particle + self.coherence

    @property
    def mean(self) -> Array:
        """A third of the trace of the total (n_temperatures,), W/m/K."""
        return np.trace(self.kappa, axis1=1, axis2=2) / 3


@averages_at_once()
def conductivity(
    phonons: Phono3py,
    settings: PhononSettings,
    mesh: tuple[int, int, int],
    *,
    coherence: bool | None = None,
    isotope: bool | None = None,
    temperatures: tuple[float, ...] | None = None,
    checked: bool = True,
) -> Transport:
    """Solve the Boltzmann equation for given force constants.

    Args:
        phonons: with fc2 and fc3 set.
        settings: transport, isotope, boundary_um, and the defaults of the following.
        mesh: of q points.
        coherence: whether the off-diagonal part is computed.
        isotope: whether isotopes scatter.
        temperatures: K.
        checked: whether a conductivity that is not finite is an error.

    Raises:
        OracleError: stage ``bte``; out of memory, or a conductivity that is not finite.
    """
    off_diagonal = settings.coherence if coherence is None else coherence
    scatters = settings.isotope if isotope is None else isotope
    grid = settings.temperatures if temperatures is None else temperatures
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
            temperatures=list(grid),
            is_isotope=scatters,
            mass_variances=mass_variances(phonons.primitive.symbols) if scatters else None,
            boundary_mfp=boundary_length(settings),
            transport_type="SMM19" if off_diagonal else None,
            log_level=0,
        )
    except MemoryError as error:
        raise OracleError(
            "bte", f"out of memory at mesh {mesh}; give a coarser mesh", transient=True
        ) from error
    found = phonons.thermal_conductivity
    particle, off = _parts(phonons, settings, off_diagonal)
    modes = _mode_kappa(found, len(grid), off_diagonal) / np.prod(mesh)
    result = Transport(
        mesh=mesh,
        particle=_symmetrised(phonons, particle),
        coherence=None if off is None else _symmetrised(phonons, off),
        frequencies=np.asarray(found.frequencies, dtype=np.float64),
        weights=np.asarray(found.grid_weights, dtype=np.float64),
        mode_kappa=modes,
        velocities=np.asarray(found.group_velocities, dtype=np.float64),
        linewidths=_linewidths(found, boundary_length(settings)),
        isotope_linewidths=(
            None if found.gamma_isotope is None else np.asarray(found.gamma_isotope)[0]
        ),
    )
    if checked and not (np.isfinite(result.kappa).all() and np.abs(result.kappa).max() < HEAVY):
        raise OracleError("bte", f"kappa is not finite at mesh {mesh}; give a denser mesh")
    return result


def boundary_length(settings: PhononSettings) -> float | None:
    """Mean free path of boundary scattering, µm, or None where there is none."""
    if settings.boundary_um is None:
        return None
    p = settings.boundary_specularity
    return settings.boundary_um * (1 + p) / (1 - p)


def _linewidths(found: Any, boundary: float | None) -> Array:
    """Half widths (n_temperatures, n_q, n_bands) of all scattering by Matthiessen's rule, THz."""
    total = np.array(found.gamma, dtype=np.float64)[0]
    if found.gamma_isotope is not None:
        total += np.asarray(found.gamma_isotope)[0]
    if boundary is not None:
        speeds = np.linalg.norm(np.asarray(found.group_velocities), axis=-1)
        total += speeds / (4 * np.pi * boundary * _ANGSTROM_PER_MICRON)
    return total


def _parts(
    phonons: Phono3py, settings: PhononSettings, off_diagonal: bool
) -> tuple[Array, Array | None]:
    """Particle and coherence part of kappa as tensors (n_temperatures, 3, 3)."""
    found = phonons.thermal_conductivity
    total = np.asarray(found.kappa)[0]
    if not off_diagonal:
        return _tensors(total), None
    extra = found._kappa_solver.get_extra_kappa_output()
    inter = np.asarray(extra["kappa_inter"])[0]
    if settings.transport == "lbte":  # whose `kappa` leaves the off-diagonal part out
        return _tensors(np.asarray(extra["kappa_intra_exact"])[0]), _tensors(inter)
    return _tensors(total - inter), _tensors(inter)


def _mode_kappa(found: object, n_temperatures: int, off_diagonal: bool) -> Array:
    """A third of the trace of each mode's part (n_temperatures, n_q, n_bands), times mesh."""
    if off_diagonal:
        matrix = np.asarray(found._kappa_solver.mode_kappa_matrix)[0]  # type: ignore[attr-defined]
        modes = np.einsum("tqbbv->tqbv", matrix)
    else:
        modes = np.asarray(found.mode_kappa)[0]  # type: ignore[attr-defined]
    return modes[..., :3].mean(axis=-1)[:n_temperatures]


def _tensors(voigt: Array) -> Array:
    tensors = np.zeros((len(voigt), 3, 3))
    for column, (i, j) in enumerate(_VOIGT):
        tensors[:, i, j] = tensors[:, j, i] = voigt[:, column]
    return tensors


def _symmetrised(phonons: Phono3py, tensors: Array) -> Array:
    """Average over the point group, in Cartesian coordinates."""
    cell = phonons.primitive.cell.T
    rotations = [
        cell @ r @ np.linalg.inv(cell) for r in phonons.primitive_symmetry.pointgroup_operations
    ]
    return np.mean([r @ tensors @ r.T for r in rotations], axis=0)


@dataclass(frozen=True)
class ModeGruneisen:
    """Grüneisen parameters of the modes, with the ions following the strain.

    Args:
        qpoints: (n_q, 3), reduced coordinates; a full mesh shifted off the zone centre.
        frequencies: (n_q, n_bands), THz.
        values: (n_q, n_bands), a third of the trace of each mode's tensor.
    """

    qpoints: Array
    frequencies: Array
    values: Array

    def mean(self, temperature: float) -> float:
        """Root mean square weighted by the heat capacity at a temperature in K."""
        x = PLANCK_BOLTZMANN * np.maximum(self.frequencies, 1e-3) / temperature
        capacity = mode_capacity(x) * (self.frequencies > _SLOW)
        return float(np.sqrt(np.sum(capacity * self.values**2) / np.sum(capacity)))

    def write(self, folder: Path) -> str:
        """Write ``gruneisen.hdf5`` with the fields as data sets; returns the file's name."""
        with h5py.File(folder / "gruneisen.hdf5", "w") as file:
            file["qpoint"] = self.qpoints
            file["frequency"] = self.frequencies
            file["gruneisen"] = self.values
        return "gruneisen.hdf5"


def mode_gruneisen(
    phonons: Phono3py, fc2: Array, fc3: Array, mesh: tuple[int, int, int]
) -> ModeGruneisen:
    """Grüneisen parameters from third-order constants.

    Args:
        phonons: whose supercell of third order is meant.
        fc2: compact, in the supercell of third order.
        fc3: compact.
        mesh: of q points, shifted off the zone centre.
    """
    solver = Gruneisen(fc2, fc3, phonons.supercell, phonons.primitive)
    axes = [(np.arange(n) + 0.5) / n for n in mesh]
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 3)
    solver.set_qpoints(points)
    solver.run()
    tensors = np.asarray(solver.gruneisen_parameters, dtype=np.float64)
    return ModeGruneisen(
        qpoints=points,
        frequencies=np.asarray(solver.frequencies, dtype=np.float64),
        values=np.trace(tensors, axis1=-2, axis2=-1) / 3,
    )


def phase_space(phonons: Phono3py, mesh: tuple[int, int, int]) -> float:
    """Three-phonon phase space, ps.

    How much room energy and momentum leave for three-phonon processes, whatever their strength
    (Lindsay and Broido, J. Phys.: Condens. Matter 20, 165209 (2008), eqs. 3 to 5)::

        P3 = 2 / (3 n_bands³) <sum over bands of D+ + D- / 2>,
        D± = 1/N sum δ(ν ± ν' - ν'')

    with ordinary frequencies ν; with angular ones, as some papers have it, it is 2π times smaller.

    Args:
        phonons: with fc2 set.
        mesh: of q points.
    """
    total, weights = 0.0, 0
    for joint in joint_densities(phonons, mesh):
        # phono3py's first density holds emission of either partner, D+ twice; the second is D-.
        first, second = (
            np.interp(joint.modes, joint.frequencies, joint.densities[:, k]) for k in (0, 1)
        )
        total += joint.weight * float(np.sum(first + second)) / 2
        weights += joint.weight
        bands = len(joint.modes)
    return 2 * total / weights / (3 * bands**3)


@dataclass(frozen=True)
class JointDensity:
    """Joint densities of states at one q point.

    Args:
        weight: multiplicity of the point.
        modes: (n_bands,), THz, frequencies at the point.
        frequencies: (n,), THz, of the densities.
        densities: (n, 2), 1/THz; of ``ν ± ν' ∓ ν''`` and of ``ν - ν' - ν''``.
    """

    weight: int
    modes: Array
    frequencies: Array
    densities: Array


def joint_densities(phonons: Phono3py, mesh: tuple[int, int, int]) -> Iterator[JointDensity]:
    """Of every irreducible point of a mesh, by the tetrahedron method.

    Args:
        phonons: with fc2 set.
        mesh: of q points.
    """
    solver = Phono3pyJointDos(
        phonons.phonon_supercell,
        phonons.phonon_primitive,
        phonons.fc2,
        mesh=list(mesh),
        nac_params=phonons.nac_params,
        log_level=0,
    )
    points, weights, _ = get_ir_grid_points(solver.grid)
    for point, weight in zip(solver.grid.grg2bzg[points], weights, strict=True):
        solver.run([int(point)])
        yield JointDensity(
            weight=int(weight),
            modes=np.asarray(solver._jdos.phonons.frequencies[point]),
            frequencies=np.asarray(solver.frequency_points),
            densities=np.asarray(solver.joint_dos)[0, 0],
        )


def write_kappa(folder: Path, phonons: Phono3py, found: Transport, temperatures: Array) -> str:
    """Write ``kappa-m*.hdf5`` with phono3py's names of data sets; returns the file's name.

    ``lifetime`` (ps) and ``mean_free_path`` (Å) of all scattering together are added.
    """
    calculator = phonons.thermal_conductivity
    name = "kappa-m" + "".join(str(n) for n in found.mesh) + ".hdf5"
    with h5py.File(folder / name, "w") as file:
        file["temperature"] = temperatures
        file["mesh"] = np.array(found.mesh)
        file["frequency"] = found.frequencies
        file["weight"] = found.weights.astype(np.int64)
        file["qpoint"] = np.asarray(calculator.qpoints)
        file["gamma"] = np.asarray(calculator.gamma)[0]
        file["group_velocity"] = np.asarray(calculator.group_velocities)
        if calculator.gamma_isotope is not None:
            file["gamma_isotope"] = np.asarray(calculator.gamma_isotope)[0]
        file["lifetime"] = found.lifetimes
        file["mean_free_path"] = found.mean_free_paths
        file["heat_capacity"] = np.asarray(calculator.mode_heat_capacities)
        for key, tensor in (("kappa", found.kappa), ("kappa_intra", found.particle)):
            file[key] = np.stack([tensor[:, i, j] for i, j in _VOIGT], axis=1)
        if found.coherence is not None:
            file["kappa_inter"] = np.stack([found.coherence[:, i, j] for i, j in _VOIGT], axis=1)
    return name
