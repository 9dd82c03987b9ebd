"""Thermal conductance of an interface between two crystals, from their bulk properties alone.

These are cheap bounds and estimates compared with the Green's functions of `oracle.green`: none of
them takes the atoms at the interface into account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.formulas.kappa_models import Acoustics
from oracle.formulas.landauer import conductance
from oracle.phonons.velocities import group_velocities

Array = NDArray[np.float64]
_PER_AREA = 1e20  # Å⁻² in m⁻²
_INTERVALS = 400  # number of frequency intervals, for elastic media
_ANGLES = 4000  # number of angles of incidence


@dataclass(frozen=True)
class Spectrum:
    """Phonons of a bulk crystal by frequency, on a grid that crystals to be compared share.

    Args:
        density: (n,), density of states, modes per THz and Å³.
        crossing: (n,), modes per Å² that cross a plane in one direction: half the sum of the
            speeds across it, per THz and Å³.
        step: width of the n intervals of frequency, the first of which begins at 0, THz.
    """

    density: Array
    crossing: Array
    step: float

    @property
    def frequencies(self) -> Array:
        """Midpoints (n,) of the intervals, THz."""
        return np.asarray((np.arange(len(self.density)) + 0.5) * self.step)

    def padded(self, number: int) -> Spectrum:
        """The spectrum on `number` intervals, not fewer than it has; the new ones are empty."""
        more = (0, number - len(self.density))
        return Spectrum(np.pad(self.density, more), np.pad(self.crossing, more), self.step)

    @classmethod
    def of(
        cls,
        frequencies: Array,
        velocities: Array,
        weights: Array,
        *,
        volume: float,
        step: float,
        number: int,
    ) -> Spectrum:
        """The spectrum as a histogram over the modes of a mesh.

        Args:
            frequencies: (n_q, n_bands), THz.
            velocities: (n_q, n_bands), component of the group velocity across the plane, Å THz.
            weights: (n_q,), multiplicities of the wave vectors.
            volume: of the primitive cell, Å³.
            step: width of an interval, THz.
            number: number of intervals.
        """
        share = np.broadcast_to((weights / weights.sum())[:, None], frequencies.shape)
        edges = np.arange(number + 1) * step
        flat, shares = frequencies.ravel(), share.ravel()
        density = np.histogram(flat, edges, weights=shares)[0]
        crossing = np.histogram(flat, edges, weights=shares * np.abs(velocities).ravel() / 2)[0]
        return cls(density / (volume * step), crossing / (volume * step), step)


def spectrum_of(
    phonons: Any, mesh: tuple[int, int, int], *, step: float, number: int, axis: int = 2
) -> Spectrum:
    """The spectrum on a mesh of wave vectors, across a plane normal to a Cartesian axis.

    Velocities are computed at irreducible points only. Since the symmetry that reduces the mesh
    mixes the axes, the components of each velocity along all images of the axis are averaged.

    Args:
        phonons: a Phonopy object with force constants.
        mesh: points along the reciprocal axes.
        step: width of an interval, THz.
        number: number of intervals; modes above ``number * step`` are left out.
        axis: 0, 1 or 2.
    """
    # Unlike a shifted mesh, one with Γ is mapped onto itself by symmetry.
    phonons.run_mesh(mesh, is_gamma_center=True)
    sampled = phonons.mesh
    velocities = group_velocities(phonons, np.asarray(sampled.qpoints))
    cell = np.asarray(phonons.primitive.cell)
    operations = np.asarray(phonons.primitive_symmetry.reciprocal_operations)
    # An operation R on reduced wave vectors is A⁻¹ R A on Cartesian ones, where the rows of A are
    # the cell's vectors; the component of a rotated velocity along the axis is that along its row.
    turned = np.linalg.inv(cell) @ operations @ cell
    images, counts = np.unique(np.round(turned[:, axis], 8), axis=0, return_counts=True)
    across = np.abs(velocities @ images.T)
    return Spectrum.of(
        np.asarray(sampled.frequencies),
        across @ (counts / counts.sum()),
        np.asarray(sampled.weights, dtype=np.float64),
        volume=float(phonons.primitive.volume),
        step=step,
        number=number,
    )


def overlap(left: Spectrum, right: Spectrum) -> float:
    """Overlap of two densities of states, 0 (disjoint) to 1 (proportional).

    ``∫ g1 g2 dν / (∫ g1² dν ∫ g2² dν)^(1/2)``.

    Raises:
        ValueError: the grids differ.
    """
    _same_grid(left, right)
    norm = np.sqrt(np.sum(left.density**2) * np.sum(right.density**2))
    return float(np.sum(left.density * right.density) / norm) if norm else 0.0


def diffuse_mismatch(left: Spectrum, right: Spectrum, temperatures: Array) -> Array:
    """Conductance (n_temperatures,) by the diffuse mismatch model, W/m²/K.

    Scattering at the interface conserves only the frequency. A fraction ``M2 / (M1 + M2)`` of what
    arrives in M1 modes is transmitted, so that the conductance is the same in both directions:
    Swartz and Pohl, Rev. Mod. Phys. 61, 605 (1989), section II.D, with full dispersion (Reddy,
    Castelino and Majumdar, Appl. Phys. Lett. 87, 211908 (2005)).

    Args:
        left: one crystal.
        right: the other, on the same grid.
        temperatures: K.

    Raises:
        ValueError: the grids differ.
    """
    _same_grid(left, right)
    total = left.crossing + right.crossing
    through = left.crossing * right.crossing / np.where(total > 0, total, 1.0)
    return _landauer(left.frequencies, through, temperatures, left.step)


def radiation_limit(left: Spectrum, right: Spectrum, temperatures: Array) -> Array:
    """Conductance (n_temperatures,) if as many modes pass as both sides have, W/m²/K.

    It is an upper bound for elastic scattering. Arguments and errors are those of
    `diffuse_mismatch`.
    """
    _same_grid(left, right)
    through = np.minimum(left.crossing, right.crossing)
    return _landauer(left.frequencies, through, temperatures, left.step)


def acoustic_mismatch(left: Acoustics, right: Acoustics, temperatures: Array) -> Array:
    """Conductance (n_temperatures,) of a smooth plane between two elastic media, W/m²/K.

    The acoustic mismatch model, without mode conversion. With impedances Z = ρ v, a plane wave at
    θ1 is transmitted with probability ``4 Z1 Z2 cos θ1 cos θ2 / (Z1 cos θ2 + Z2 cos θ1)²`` (Little,
    Can. J. Phys. 37, 334 (1959)), where θ2 follows from Snell's law; beyond the critical angle
    nothing is transmitted. Each branch has a Debye spectrum up to the lower of the two cut-offs.

    Args:
        left: one crystal.
        right: the other.
        temperatures: K.
    """
    total = np.zeros(len(temperatures))
    for v1, v2 in zip(left.branches, right.branches, strict=True):
        top = min(_debye_frequency(left, v1), _debye_frequency(right, v2))
        step = top / _INTERVALS
        frequencies = np.asarray((np.arange(_INTERVALS) + 0.5) * step)
        # πν²/v² modes per area cross a plane; 1 m/s is 1e-2 Å THz.
        modes = np.pi * (frequencies / (v1 * 1e-2)) ** 2
        passed = _transmitted(left, right, v1, v2)
        total += _landauer(frequencies, modes * passed, temperatures, step)
    return total


def _transmitted(left: Acoustics, right: Acoustics, v1: float, v2: float) -> float:
    """Transmitted fraction, averaged over all directions with the weight of the flux, cos θ."""
    cosine = (np.arange(_ANGLES) + 0.5) / _ANGLES
    sine = np.sqrt(1 - cosine**2) * v2 / v1
    other = np.sqrt(np.clip(1 - sine**2, 0.0, None))
    z1 = left.mean_mass / left.volume_per_atom * v1
    z2 = right.mean_mass / right.volume_per_atom * v2
    probability = 4 * z1 * z2 * cosine * other / (z1 * other + z2 * cosine) ** 2
    return float(np.sum(2 * cosine * probability) / _ANGLES)


def _debye_frequency(crystal: Acoustics, velocity: float) -> float:
    """Debye frequency of one branch with one mode per primitive cell, THz."""
    cells = 1 / (crystal.volume_per_atom * crystal.atoms)  # per Å³
    return float(velocity * 1e-2 * (3 * cells / (4 * np.pi)) ** (1 / 3))


def _landauer(frequencies: Array, through: Array, temperatures: Array, step: float) -> Array:
    per_cell = conductance(frequencies, through[None], np.asarray(temperatures, dtype=float), step)
    return np.asarray(per_cell[0] * _PER_AREA)


def _same_grid(left: Spectrum, right: Spectrum) -> None:
    if left.step != right.step or len(left.density) != len(right.density):
        raise ValueError(
            f"the spectra have {len(left.density)} intervals of {left.step:g} THz and "
            f"{len(right.density)} of {right.step:g} THz; expected one grid for both"
        )
