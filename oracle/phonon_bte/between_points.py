"""The conductivity of all wave vectors, from lifetimes at the points of a mesh.

On a mesh of n points along each reciprocal vector, the acoustic modes nearest to the zone centre
are left out, and kappa comes out too low by a share that falls only as 1/n: by about a tenth for
silicon on a 15x15x15 mesh, although lifetimes themselves are accurate on much coarser meshes. Rates
of scattering cost n⁶, and frequencies n³. Frequencies and velocities are therefore computed on a
mesh that is `DENSER` times as dense, and lifetimes are interpolated there. What is still left out
falls as 1/n, or faster where boundaries scatter long waves, and is added by extrapolation
(Esfarjani, Chen and Stokes, Phys. Rev. B 84, 085204 (2011), extrapolate kappa linearly in 1/n).

Only the surroundings of the zone centre, where contributions rise steeply, are taken from the dense
mesh. Elsewhere they are periodic and finite, so that the sum over the mesh is as good an integral,
and is free of the bias of interpolation, which passes over the valleys between sharp peaks.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py
from phonopy import Phonopy
from scipy import constants
from scipy.ndimage import map_coordinates

from oracle.formulas.bose_einstein import PLANCK_BOLTZMANN, mode_capacity
from oracle.formulas.changes import usable
from oracle.materials.reciprocal import Mesh
from oracle.phonon_bte.conductivity import Transport, boundary_widths, symmetrised
from oracle.phonons.settings import PhononSettings
from oracle.phonons.velocities import group_velocities

Array = NDArray[np.float64]
DENSER = 3
"""Points of the dense mesh per point of the mesh, along each vector."""
LONG_WAVES = 2.0
"""Power of the frequency with which lifetimes of the longest waves fall."""
_WINDOW = (1.0, 2.0)
"""Distances from the zone centre, in spacings of the mesh, up to which the dense mesh counts fully,
and beyond which it does not count (docs/physics.md)."""
_LEAST = 1e-6  # W/m/K; smaller particle parts are rounding
VANISHING = 0.02  # THz; modes below are those of the zone centre, or noise beside it
_UNSCATTERED = 1e-10  # of the largest linewidth; smaller ones are rounding
_UNIT = constants.k * 1e22  # k_B THz² Å² ps / Å³ in W/m/K


@dataclass(frozen=True)
class Modes:
    """Modes on one mesh.

    Args:
        numbers: (n_q, 3), points in units of the spacing, from the zone centre.

    The other arrays are as in `Transport`.
    """

    numbers: NDArray[np.int64]
    frequencies: Array
    velocities: Array
    weights: Array
    linewidths: Array

    def kappa(self, temperatures: tuple[float, ...], volume: float) -> Array:
        """Contributions (n_temperatures, n_q, n_bands, 3, 3) of the modes, W/m/K.

        ``C v v τ / (V n)`` in the relaxation-time approximation, without the average over the star
        of each wave vector.
        """
        moving = self.frequencies > VANISHING
        x = PLANCK_BOLTZMANN * np.where(moving, self.frequencies, 1.0)
        capacities = mode_capacity(x / np.array(temperatures)[:, None, None]) * moving
        scattered = self.linewidths > 0
        lifetimes = np.divide(
            1 / (4 * np.pi), self.linewidths, where=scattered, out=np.zeros(scattered.shape)
        )
        return np.asarray(
            np.einsum(
                "tqb,q,qbi,qbj->tqbij",
                capacities * lifetimes,
                self.weights * (_UNIT / volume / self.weights.sum()),
                self.velocities,
                self.velocities,
                optimize=True,
            )
        )


@dataclass(frozen=True)
class Smooth:
    """What is interpolated.

    Args:
        values: (n_temperatures, n_bands, *mesh), lifetimes times a power of the frequency, without
            boundaries; NaN for modes that are not scattered.
        exponents: (n_temperatures,), this power.
        root: to which power lifetimes were taken besides; 1 makes means of neighbours arithmetic,
            0 would make them geometric.
    """

    values: Array
    exponents: Array
    root: float = 1.0


def modes_of(transport: Transport) -> Modes:
    """The modes of a mesh."""
    return Modes(
        np.rint(transport.points * transport.mesh).astype(np.int64),
        transport.frequencies,
        transport.velocities,
        transport.weights,
        transport.linewidths,
    )


def with_all_waves(
    transport: Transport, phonons: Phono3py, dynamics: Phonopy, settings: PhononSettings
) -> Transport:
    """Transport that includes the modes between the points of its mesh.

    Around the zone centre, rates of scattering rise as the square of the frequency (Herring, Phys.
    Rev. 95, 954 (1954)), if less steeply where waves are not long enough. The lifetime times such a
    power of the frequency therefore varies little from point to point, and is what is interpolated,
    linearly and branch by branch in the order of frequencies. Scattering at boundaries follows from
    the velocities. In the full solution of the Boltzmann equation, the modes between the points are
    taken to exceed the relaxation-time approximation by the same factor as those on the mesh.

    Args:
        transport: on a mesh that contains the zone centre.
        phonons: gives the primitive cell and its symmetry.
        dynamics: gives frequencies and velocities of the same primitive cell.
        settings: with which `transport` was computed.

    Returns:
        Modes on the dense mesh, whose conductivities are scaled to add up to `particle`, which
        includes the extrapolation. It is the given transport where the mesh gave no possible
        conductivity at some temperature, or has less symmetry than the crystal.
    """
    if not carries_heat(transport):
        return transport
    smooth = _smooth(transport, phonons, settings)
    if smooth is None:
        return transport
    a, b, c = (DENSER * n for n in transport.mesh)
    dense_mesh = (a, b, c)
    dense = interpolated(smooth, transport.mesh, dense_mesh, dynamics, settings)
    single = dense.kappa(settings.temperatures, float(phonons.primitive.volume))
    fine, gain = _gain(transport, phonons, settings, dense, dense_mesh)
    left_out = _left_out(thirds(single), dense.numbers)
    particle = transport.particle + (1 + left_out)[:, None, None] * gain
    share = thirds(particle) / thirds(fine)
    return replace(
        transport,
        mesh=dense_mesh,
        particle=particle,
        frequencies=dense.frequencies,
        weights=dense.weights,
        mode_kappa=share[:, None, None] * thirds(single),
        velocities=dense.velocities,
        linewidths=dense.linewidths,
        isotope_linewidths=None,
    )


def carries_heat(transport: Transport) -> bool:
    """Whether the particle part is a possible conductivity at every temperature.

    On a mesh of two points along each vector all velocities vanish, and what is left is rounding.
    """
    particle = thirds(transport.particle)
    return bool((usable(particle) & (particle > _LEAST)).all())


def particle_on(
    mesh: Mesh,
    transport: Transport,
    phonons: Phono3py,
    dynamics: Phonopy,
    settings: PhononSettings,
) -> Array:
    """The particle part (n_temperatures, 3, 3) that another mesh would give, W/m/K.

    Published values are often those of a mesh, without the waves between its points. They are
    compared with this rather than with the limit.

    Args:
        mesh: that mesh; it contains the zone centre.
        transport: on the mesh that was solved.
        phonons: as for `with_all_waves`.
        dynamics: as for `with_all_waves`.
        settings: as for `with_all_waves`.

    Raises:
        ValueError: the mesh of `transport` has less symmetry than the crystal.
    """
    smooth = _smooth(transport, phonons, settings)
    if smooth is None:
        raise ValueError(
            f"got mesh {transport.mesh}; expected one with the symmetry of the crystal"
        )
    other = interpolated(smooth, transport.mesh, mesh, dynamics, settings)
    return transport.particle + _gain(transport, phonons, settings, other, mesh)[1]


def _gain(
    transport: Transport, phonons: Phono3py, settings: PhononSettings, other: Modes, mesh: Mesh
) -> tuple[Array, Array]:
    """Sum over the modes of another mesh, and what it has over the mesh around the zone centre.

    Both (n_temperatures, 3, 3); the latter is scaled from relaxation times to the full solution.
    """
    volume, given = float(phonons.primitive.volume), modes_of(transport)
    basis = np.linalg.inv(np.asarray(phonons.primitive.cell))
    lengths = np.linalg.norm(basis, axis=0)
    spacing = max(float((lengths / one).max()) for one in (transport.mesh, mesh))
    by_point = [modes.kappa(settings.temperatures, volume).sum(axis=2) for modes in (other, given)]
    around = [
        np.einsum("q,tqij->tij", window(modes.numbers / one, basis, spacing), values)
        for modes, one, values in zip((other, given), (mesh, transport.mesh), by_point, strict=True)
    ]
    fine, coarse = (symmetrised(phonons, values.sum(axis=1)) for values in by_point)
    ratio = thirds(transport.particle) / thirds(coarse)
    return fine, ratio[:, None, None] * symmetrised(phonons, around[0] - around[1])


def window(points: Array, basis: Array, spacing: float) -> Array:
    """How much (n_q,) of each point counts as being around the zone centre.

    It is 1 and 0 within and beyond `_WINDOW`, and half a period of a cosine in between, since a
    sharp edge would make sums depend on which points lie within.

    Args:
        points: (n_q, 3), in reduced coordinates, those next to the zone centre.
        basis: (3, 3), reciprocal vectors as columns, 1/Å.
        spacing: of the mesh, 1/Å.
    """
    images = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    distances = np.linalg.norm((points[:, None] + images) @ basis.T, axis=2).min(axis=1) / spacing
    inner, outer = _WINDOW
    return np.asarray(
        (1 + np.cos(np.pi * np.clip((distances - inner) / (outer - inner), 0, 1))) / 2
    )


def _left_out(kappa: Array, numbers: NDArray[np.int64]) -> Array:
    """What the dense mesh leaves out, as a fraction (n_temperatures,) of what it has gained.

    Where contributions rise as ``|q|^-p`` towards the zone centre, the sum over a mesh with the
    spacing h lacks an amount that is proportional to ``h^(3 - p)``. The exponent is 2 if anharmonic
    scattering limits long waves, and 0 if boundaries do; here, it follows from the points around
    the centre and from those at `DENSER` times their distance.

    Args:
        kappa: (n_temperatures, n_q, n_bands), contributions of the modes.
        numbers: (n_q, 3), points in units of the spacing of the dense mesh.
    """
    far = np.abs(numbers).max(axis=1)
    near, distant = (
        kappa[:, (far == distance) & (numbers % distance == 0).all(axis=1), :3].sum(axis=(1, 2))
        for distance in (1, DENSER)
    )
    possible = (near > 0) & (distant > 0)
    rise = np.divide(near, distant, where=possible, out=np.ones(possible.shape))
    exponent = np.clip(np.log(rise) / np.log(DENSER), 0.0, 2.0)
    return np.asarray(1 / (DENSER ** (3 - exponent) - 1))


def interpolated(
    smooth: Smooth, mesh: Mesh, other: Mesh, dynamics: Phonopy, settings: PhononSettings
) -> Modes:
    """Modes on another mesh, with lifetimes interpolated from those on a mesh."""
    dynamics.run_mesh(other, is_gamma_center=True)
    found = dynamics.mesh
    points = np.asarray(found.qpoints)
    frequencies = np.asarray(found.frequencies, dtype=np.float64)
    velocities = group_velocities(dynamics, points)
    at = (points * mesh).T
    filled = np.array([[between(band, at) for band in one] for one in smooth.values])
    moving = frequencies > VANISHING
    powers = np.where(moving, frequencies, 1.0) ** smooth.exponents[:, None, None]
    lifetimes = np.where(moving, filled.swapaxes(1, 2) ** (1 / smooth.root) / powers, 0.0)
    scattered = lifetimes > 0
    widths = (
        np.divide(1 / (4 * np.pi), lifetimes, where=scattered, out=np.zeros(lifetimes.shape))
        + boundary_widths(velocities, settings) * scattered
    )
    numbers = np.rint((points - np.rint(points)) * other).astype(np.int64)
    weights = np.asarray(found.weights, dtype=np.float64)
    return Modes(numbers, frequencies, velocities, weights, widths)


def between(values: Array, at: Array) -> Array:
    """Periodic linear interpolation of values (a, b, c), some of them NaN, at points (3, n).

    A NaN has no weight; the result is 0 where nothing else is near.
    """
    known = np.isfinite(values)
    value, weight = (
        map_coordinates(field, at, order=1, mode="grid-wrap")
        for field in (np.where(known, values, 0.0), known.astype(np.float64))
    )
    return np.divide(value, weight, where=weight > 1e-6, out=np.zeros(weight.shape))


def _smooth(transport: Transport, phonons: Phono3py, settings: PhononSettings) -> Smooth | None:
    """What varies little between the points; None where operations do not lead to all points."""
    numbers = points_by_number(transport.points, transport.mesh, phonons)
    if numbers.min() < 0:
        return None
    widths = transport.linewidths - boundary_widths(transport.velocities, settings)
    known = scattered(widths) & (transport.frequencies > VANISHING)
    lifetimes = np.divide(1 / (4 * np.pi), widths, where=known, out=np.full(known.shape, np.nan))
    exponents = _exponents(
        np.moveaxis(lifetimes[:, numbers], -1, 1),
        np.moveaxis(transport.frequencies[numbers], -1, 0),
    )
    moving = np.where(transport.frequencies > VANISHING, transport.frequencies, 1.0)
    values = lifetimes * moving ** exponents[:, None, None]
    return Smooth(np.moveaxis(values[:, numbers], -1, 1), exponents)


def scattered(widths: Array) -> NDArray[np.bool_]:
    """Which half widths (n_temperatures, n_q, n_bands) are not zero but for rounding.

    Modes without an allowed process have widths around 1e-30 THz, whose lifetimes must not reach
    their neighbours.
    """
    return np.asarray(widths > _UNSCATTERED * widths.max(axis=(1, 2), keepdims=True))


def points_by_number(points: Array, mesh: Mesh, phonons: Phono3py) -> NDArray[np.int64]:
    """Which of the points (n_q, 3) is equivalent to each point of a mesh (*mesh); -1 if none is."""
    found = np.full(mesh, -1)
    for operation in phonons.primitive_symmetry.reciprocal_operations:
        images = points @ operation.T * mesh
        nearest = np.rint(images)
        whole = np.abs(images - nearest).max(axis=1) < 1e-3
        a, b, c = (nearest[whole].astype(int) % mesh).T
        found[a, b, c] = np.flatnonzero(whole)
    return found


def _exponents(lifetimes: Array, frequencies: Array) -> Array:
    """With which power (n_temperatures,) of frequency acoustic lifetimes fall around the centre.

    The mean of that of long waves and of what the mesh shows: the median over branches and
    directions, from the points next to the centre and those at twice their distance. The latter
    alone is too low on coarse meshes, whose shortest waves are not long ones.

    Args:
        lifetimes: (n_temperatures, n_bands, *mesh), ps, some of them NaN.
        frequencies: (n_bands, *mesh), THz.
    """
    steps = [
        step
        for step in itertools.product((-1, 0, 1), repeat=3)
        if any(step)
        and all(n >= 4 or s == 0 for s, n in zip(step, frequencies.shape[1:], strict=True))
    ]
    if not steps:
        return np.full(len(lifetimes), LONG_WAVES)
    near, far = (lifetimes[..., :3, *(m * np.array(steps)).T] for m in (1, 2))
    slow, fast = (frequencies[..., :3, *(m * np.array(steps)).T] for m in (1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.log(near / far) / np.log(fast / slow)
    finite = [one[np.isfinite(one)] for one in powers]
    medians = np.array([np.median(one) if len(one) else LONG_WAVES for one in finite])
    return np.asarray((np.clip(medians, 0.0, LONG_WAVES) + LONG_WAVES) / 2)


def thirds(tensors: Array) -> Array:
    """A third of the trace (...) of tensors (..., 3, 3)."""
    return np.trace(tensors, axis1=-2, axis2=-1) / 3
