"""Properties that follow from second-order force constants alone, computed with phonopy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.dynmat_to_fc import get_commensurate_points
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.cells import Primitive
from scipy import constants

from oracle.formulas.bose_einstein import PLANCK_BOLTZMANN, mode_capacity
from oracle.materials.reciprocal import Mesh, mesh_of
from oracle.phonons.elasticity import directions
from oracle.phonons.settings import PhononSettings
from oracle.phonons.symmetry_at_once import symmetry_at_once
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
_NEAR_GAMMA = 0.12  # of the shortest reciprocal vector; here noise can exceed acoustic frequencies
_NEAR_DIRECTIONS = 24
_NEAR_LENGTHS = (0.25, 0.5, 1.0)  # of the region near Γ
_VANISHING = 0.02  # THz
_FEW = 4  # points with lifetimes along a vector, below which no mesh is made coarser
_ALWAYS_WARM = 50.0  # K; above it, the lowest mode of any usable mesh is thermally populated
_FROZEN = 10.0  # h ν / k_B T at which a mode has 0.5 % of its heat capacity
_POINTS_PER_SEGMENT = 41
_AMPLITUDE = constants.hbar / (4 * np.pi * constants.tera * constants.atomic_mass) * 1e20
"""ħ / (4 π THz u), Å²: mean square zero-point displacement of an oscillator of 1 THz and 1 u."""


@dataclass(frozen=True)
class Stability:
    """Extreme frequencies of the spectrum, and whether the crystal is stable.

    Args:
        lowest: lowest frequency, THz; imaginary ones are negative. Acoustic modes near the
            zone centre count as zero where they are within the tolerance.
        q_point: its wave vector in reduced coordinates of the primitive cell.
        highest: highest frequency, THz.
        softest: lowest frequency at the commensurate points, without the three zeros at Γ, THz.
        stable: whether `lowest` is within the tolerance.
        only_long_waves: whether no modes are imaginary beyond the tolerance but acoustic ones that
            are longer than the supercell. Their frequencies are interpolated between those at the
            zone centre and at the first commensurate points, and a supercell that cuts off force
            constants may make them imaginary though they are not.
    """

    lowest: float
    q_point: tuple[float, float, float]
    highest: float
    softest: float
    stable: bool
    only_long_waves: bool = False


@symmetry_at_once()
def dynamics(
    unitcell: PhonopyAtoms,
    supercell: NDArray[np.int64],
    primitive: Primitive,
    fc2: Array,
    polar: dict[str, Any] | None = None,
) -> Phonopy:
    """A Phonopy object for a conventional cell and its force constants.

    Args:
        unitcell: conventional cell.
        supercell: (3, 3), its columns are the supercell in vectors of `unitcell`.
        primitive: phono3py's primitive cell.
        fc2: compact force constants, eV/Å².
        polar: phonopy's parameters of the non-analytic term.

    Raises:
        OracleError: stage ``fc2``; phonopy chooses another primitive cell.
    """
    transform = np.linalg.inv(unitcell.cell.T) @ primitive.cell.T
    phonons = Phonopy(unitcell, supercell_matrix=supercell, primitive_matrix=transform, log_level=0)
    if not np.array_equal(phonons.primitive.p2s_map, primitive.p2s_map):
        raise OracleError("fc2", "the primitive cell is ambiguous; give a symmetric structure")
    phonons.force_constants = fc2
    if polar is not None:
        phonons.nac_params = polar
    return phonons


def transport_mesh(phonons: Any, settings: PhononSettings) -> Mesh:
    """The mesh of the settings, or the one that belongs to their spacing and effort.

    Args:
        phonons: a Phono3py object, for its primitive cell and point group.
        settings: of the oracle.
    """
    operations = phonons.primitive_symmetry.reciprocal_operations
    if settings.mesh is not None:
        _check_symmetry(settings.mesh, operations)
        return settings.mesh
    return affordable_mesh(
        phonons.primitive.cell,
        settings.mesh_spacing,
        3 * len(phonons.primitive),
        operations,
        settings.mesh_effort,
        settings.sparse,
    )


def _check_symmetry(mesh: Mesh, operations: Any) -> None:
    """Refuse a mesh that the point group does not map onto itself.

    Raises:
        OracleError: stage ``bte``.
    """
    ratios = np.array(mesh)[:, None] / np.array(mesh)[None, :]
    images = np.asarray(operations) * ratios
    if np.abs(images - np.rint(images)).max() > 1e-6:
        raise OracleError(
            "bte",
            f"got mesh {list(mesh)} along the vectors of the primitive cell; expected equal "
            "numbers along vectors that the crystal's symmetry turns into each other, or none",
        )


def affordable_mesh(
    cell: Array, spacing: float, bands: int, operations: Any, effort: float, every: int = 1
) -> tuple[int, int, int]:
    """The mesh of a given spacing, or a coarser one if the Boltzmann equation would cost too much.

    Args:
        cell: (3, 3), primitive cell, Å.
        spacing: 1/Å with 2π.
        bands: number of bands, three per atom.
        operations: (n, 3, 3), of the reciprocal point group; the mesh is mapped onto itself.
        effort: largest ``n_q² bands³ / operations / every³``, about the number of three-phonon
            processes, per atom.
        every: at every so-many-th point along each vector, lifetimes are computed.
    """
    mesh, number = mesh_of(cell, spacing, every, operations), len(operations)
    while processes(mesh, bands, number, every) > effort * bands / 3 and max(mesh) > _FEW * every:
        spacing *= 1.02
        mesh = mesh_of(cell, spacing, every, operations)
    return mesh


def processes(mesh: Mesh, bands: int, operations: int, every: int) -> float:
    """About the number of three-phonon processes that are computed; see `affordable_mesh`."""
    return float(np.prod(mesh, dtype=float) ** 2 * bands**3 / operations / every**3)


def stability(phonons: Phonopy, tolerance: float, spacing: float) -> Stability:
    """Look for imaginary modes at all commensurate points, on a dense mesh, and near the centre.

    Frequencies at commensurate points are exact for the supercell. Between them they are
    interpolated, and near the zone centre noise may move an acoustic branch below zero. A mesh has
    few points there, so that waves of three lengths are added in many directions. The sign of still
    longer waves is that of the elastic constants, which finite strain gives without the supercell
    (`oracle.phonons.finite_strain`).

    Args:
        phonons: with force constants.
        tolerance: imaginary frequencies up to this, THz, count as noise.
        spacing: of the mesh, 1/Å with 2π.

    Raises:
        OracleError: stage ``stability``; all frequencies vanish.
    """
    # This primitive matrix of phonopy's is in terms of the supercell's vectors.
    commensurate = get_commensurate_points(
        np.rint(np.linalg.inv(phonons.primitive.primitive_matrix)).astype(int)
    )
    operations = phonons.primitive_symmetry.reciprocal_operations
    mesh = mesh_of(phonons.primitive.cell, spacing, operations=operations)
    phonons.run_mesh(mesh, is_gamma_center=True)
    zone = 1.0 / np.linalg.norm(phonons.primitive.cell, axis=1).max()
    near = directions(_NEAR_DIRECTIONS) @ np.asarray(phonons.primitive.cell).T * zone
    long_waves = [0.99 * share * _NEAR_GAMMA * near for share in _NEAR_LENGTHS]
    points = np.vstack([commensurate, phonons.mesh.qpoints, *long_waves])
    frequencies = np.asarray(phonons.run_qpoints(points).frequencies).copy()
    if np.abs(frequencies).max() < _VANISHING:
        raise OracleError(
            "stability",
            "all frequencies vanish: atoms do not interact; check the lattice parameter",
        )
    centred = points - np.rint(points)
    lengths = np.linalg.norm(centred @ np.linalg.inv(phonons.primitive.cell).T, axis=1)
    acoustic = np.zeros(frequencies.shape, dtype=bool)
    acoustic[lengths < _NEAR_GAMMA * zone, :3] = True
    # Acoustic modes vanish at Γ by the sum rule; near it, a dip within the tolerance is noise.
    gamma = lengths < 1e-8
    frequencies[np.ix_(gamma, range(3))] = 0.0
    judged = np.where(
        acoustic & (frequencies > -tolerance), np.maximum(frequencies, 0.0), frequencies
    )
    at = np.unravel_index(int(np.argmin(judged)), judged.shape)
    x, y, z = (float(v) for v in centred[at[0]])
    return Stability(
        lowest=float(judged[at]),
        q_point=(x, y, z),
        highest=float(frequencies.max()),
        softest=_softest(frequencies[: len(commensurate)], gamma[: len(commensurate)]),
        stable=bool(judged[at] >= -tolerance),
        only_long_waves=_only_long_waves(judged < -tolerance, lengths, len(commensurate)),
    )


def _only_long_waves(imaginary: NDArray[np.bool_], lengths: Array, commensurate: int) -> bool:
    """Whether some modes are imaginary, all of them acoustic and longer than the supercell.

    Args:
        imaginary: (n_q, n_bands), whether modes are imaginary beyond the tolerance.
        lengths: (n_q,), of the wave vectors.
        commensurate: number of commensurate points, which come first.
    """
    exact = lengths[:commensurate]
    shortest = exact[exact > 1e-8].min(initial=np.inf)
    interpolated = np.zeros(imaginary.shape, dtype=bool)
    interpolated[lengths < shortest - 1e-8, :3] = True
    interpolated[:commensurate] = False
    return bool(imaginary.any() and not (imaginary & ~interpolated).any())


def check_warm(phonons: Phonopy, mesh: tuple[int, int, int], coldest: float) -> None:
    """Refuse temperatures at which no mode of a mesh is thermally populated.

    kappa would be that of the lowest mode alone, or zero, whereas in reality long waves between the
    points of the mesh carry the heat.

    Args:
        phonons: with force constants.
        mesh: of q points.
        coldest: lowest temperature, K.

    Raises:
        OracleError: stage ``bte``; the mesh is too coarse for that temperature.
    """
    if coldest > _ALWAYS_WARM:
        return
    phonons.run_mesh(mesh, is_gamma_center=True)
    frequencies = np.asarray(phonons.mesh.frequencies)
    lowest = float(frequencies[frequencies > _VANISHING].min(initial=np.inf))
    if PLANCK_BOLTZMANN * lowest > _FROZEN * coldest:
        raise OracleError(
            "bte",
            f"at {coldest:g} K no mode of the mesh {list(mesh)} is thermally populated (the lowest "
            f"is at {lowest:.2f} THz); expected temperatures of at least "
            f"{np.ceil(PLANCK_BOLTZMANN * lowest / _FROZEN):g} K, or give a denser mesh",
        )


def _softest(frequencies: Array, gamma: NDArray[np.bool_]) -> float:
    """Lowest of (n_q, n_bands) except for the three acoustic modes at Γ, where `gamma` is set."""
    without_zeros = frequencies.copy()
    without_zeros[gamma, :3] = np.inf
    lowest = float(without_zeros.min())
    return lowest if np.isfinite(lowest) else float(frequencies.max())


def max_msd(phonons: Phonopy, temperatures: tuple[float, ...], mesh: tuple[int, int, int]) -> Array:
    """Largest mean square displacement (n_temperatures,) of any atom in any direction, Å².

    The largest eigenvalue, over atoms, of ``<u u> = sum ħ coth(x/2) / (2 m ω) e e*`` with ``x = ħ ω
    / k_B T``, on a mesh that includes Γ, whose acoustic modes are left out. The result equals that
    of phonopy's thermal displacement matrices, which sum over modes in a slow Python loop.
    """
    phonons.run_mesh(mesh, with_eigenvectors=True, is_mesh_symmetry=False, is_gamma_center=True)
    sampled = phonons.mesh
    points, bands = sampled.frequencies.shape
    frequencies = np.array(sampled.frequencies)
    zeros = np.argsort(np.abs(frequencies[sampled.gamma_index]))[:3]
    frequencies[sampled.gamma_index, zeros] = 0.0
    moving = np.where(frequencies > 0, frequencies, np.inf)
    x = PLANCK_BOLTZMANN * moving / np.array(temperatures)[:, None, None]
    squares = _AMPLITUDE / moving / np.tanh(x / 2)
    vectors = np.asarray(sampled.eigenvectors).reshape(points, -1, 3, bands)
    products = np.einsum("qaib,qajb->qbaij", vectors, vectors.conj(), optimize=True).real
    matrices = np.einsum("tqb,qbaij->taij", squares, products, optimize=True) / points
    matrices /= np.array(phonons.primitive.masses)[:, None, None]
    return np.linalg.eigvalsh(matrices).max(axis=(1, 2))


def heat_capacity(frequencies: Array, weights: Array, temperatures: tuple[float, ...]) -> Array:
    """Harmonic heat capacity (n_temperatures,) in k_B per primitive cell.

    ``C = sum x² e^x / (e^x - 1)²`` with ``x = h ν / k_B T``; each mode below 1e-3 THz adds 1.

    Args:
        frequencies: (n_q, n_bands), THz.
        weights: (n_q,), multiplicity of each point.
        temperatures: K.
    """
    positive = np.maximum(frequencies, 1e-3)[None]
    modes = mode_capacity(PLANCK_BOLTZMANN * positive / np.array(temperatures)[:, None, None])
    return np.einsum("tqb,q->t", modes, weights / weights.sum())


def bands_and_dos(phonons: Phonopy, spacing: float) -> dict[str, Any]:
    """The band structure along seekpath's path and the total density of states, as JSON.

    Its keys are ``distances``, ``frequencies`` (THz), ``labels`` and ``connections``, as phonopy
    gives them, and ``dos_frequency`` (THz) and ``dos`` (1/THz per primitive cell).

    Args:
        phonons: with force constants.
        spacing: of the mesh, 1/Å with 2π.
    """
    operations = phonons.primitive_symmetry.reciprocal_operations
    mesh = mesh_of(phonons.primitive.cell, spacing, operations=operations)
    phonons.auto_band_structure(npoints=_POINTS_PER_SEGMENT)
    bands = phonons.band_structure
    phonons.run_mesh(mesh, is_gamma_center=True)
    phonons.run_total_dos()
    dos = phonons.total_dos
    return {
        "distances": [np.asarray(d).tolist() for d in bands.distances],
        "frequencies": [np.asarray(f).tolist() for f in bands.frequencies],
        "labels": [str(label) for label in bands.labels],
        "connections": [bool(c) for c in bands.path_connections],
        "dos_frequency": np.asarray(dos.frequency_points).tolist(),
        "dos": np.asarray(dos.dos).tolist(),
    }


def thermal_displacements(phonons: Phonopy, temperature: float, snapshots: int, seed: int) -> Array:
    """Thermal displacements (n_snapshots, n_supercell, 3) of harmonic phonons, Å."""
    phonons.init_random_displacements(cutoff_frequency=0.05)
    return np.asarray(
        phonons.get_random_displacements_at_temperature(
            temperature, snapshots, random_seed=seed % 2**31
        )
    )
