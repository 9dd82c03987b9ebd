"""Lifetimes at some points of a dense mesh, and interpolated at the others.

On a coarse mesh, lifetimes themselves are wrong, because few of its points conserve energy: for
AlSb, KH and GaP, conductivities of meshes with 9 and 11 points along each vector scatter by 10 to
30 % around what 18 points give. With the scattering processes of a dense mesh, lifetimes vary
smoothly from point to point. They are therefore computed at every second point along each vector
only, an eighth of the cost, and around the zone centre, where they vary most.

What is interpolated is biased: it makes kappa 4 to 28 % too high for rocksalts and 5 % too low for
CdTe, since lifetimes have peaks and edges between the points. It therefore serves as a control
variate (Hammersley and Handscomb, Monte Carlo Methods, section 5.5): lifetimes are computed
at some of the other points as well, and all that are interpolated are multiplied by the ratio that
is found there. Over all draws this is unbiased, however poor the interpolation is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py
from phonopy import Phonopy

from oracle.formulas.changes import usable
from oracle.materials.reciprocal import Mesh
from oracle.phonon_bte.between_points import (
    VANISHING,
    Modes,
    Smooth,
    between,
    interpolated,
    modes_of,
    points_by_number,
    scattered,
    thirds,
)
from oracle.phonon_bte.conductivity import (
    Transport,
    boundary_widths,
    conductivity,
    in_full,
    symmetrised,
)
from oracle.phonon_bte.sampling import Sample, ratio_of_others, systematic_sample
from oracle.phonons.settings import PhononSettings

Array = NDArray[np.float64]
EVERY = 2
"""Along each vector, every so-many-th point has lifetimes of its own."""
_POWER = 1.0
"""Power of the frequency with which lifetimes fall between neighbouring points."""
_ROOT = 0.75
"""Power of the lifetimes whose means are taken. Arithmetic means make kappa too high, by 3 % on
average, and geometric ones too low, by 6 %, of that of all points on 18x18x18 meshes (GaAs, AlSb,
KH, GaP and CuI; docs/physics.md)."""
_SAME = 1e-6  # 1/Å; distances that differ by less are equal
_DRAWN = 36
"""Number of the other points at which lifetimes are computed. Ratios at single points scatter by 15
to 43 % (nine binaries), and kappa by 1 to 2 %, that of RbH and LiCl by 4 % (docs/physics.md)."""


def sparse_conductivity(
    phonons: Phono3py,
    dynamics: Phonopy,
    settings: PhononSettings,
    mesh: Mesh,
    *,
    coherence: bool | None = None,
    checked: bool = True,
) -> Transport:
    """Transport on a mesh with even numbers of points.

    The full solution of the Boltzmann equation is that of every second point along each vector,
    and is used as a factor on the relaxation-time approximation.

    Args:
        phonons: with fc2 and fc3 set.
        dynamics: of the same fc2.
        settings: of the oracle.
        mesh: of q points, with the symmetry of the crystal.
        coherence: as for `conductivity`.
        checked: as for `conductivity`.

    Returns:
        Transport at all irreducible points of the mesh.

    Raises:
        OracleError: stage ``bte``; see `conductivity`.
    """
    single = settings.model_copy(update={"transport": "rta"})
    part = conductivity(phonons, single, mesh, coherence=coherence, checked=checked, every=EVERY)
    transport = _corrected(part, phonons, dynamics, single)
    if settings.transport == "rta":
        return transport
    a, b, c = (n // EVERY for n in mesh)
    full = conductivity(phonons, settings, (a, b, c), coherence=False, checked=checked)
    volume = float(phonons.primitive.volume)
    alone = modes_of(full).kappa(settings.temperatures, volume).sum(axis=(1, 2))
    particle = in_full(phonons, transport.particle, symmetrised(phonons, alone), full.particle)
    factor = (thirds(particle) / thirds(transport.particle))[:, None, None]
    return replace(transport, particle=particle, mode_kappa=transport.mode_kappa * factor)


def _corrected(
    part: Transport, phonons: Phono3py, dynamics: Phonopy, settings: PhononSettings
) -> Transport:
    """Transport at all irreducible points, from that at some of them and at a few more."""
    guess = completed(part, phonons, dynamics, settings)
    sample = drawn(guess, part, phonons, settings)
    if not len(sample.points):
        return guess
    at = points_by_number(guess.points[sample.points], part.mesh, phonons) >= 0
    isotope = part.isotope_linewidths is not None
    more = conductivity(
        phonons, settings, part.mesh, coherence=False, isotope=isotope, checked=False, at=at
    )
    return corrected(guess, joined(part, more), sample, phonons, dynamics, settings)


def corrected(
    guess: Transport,
    both: Transport,
    sample: Sample,
    phonons: Phono3py,
    dynamics: Phonopy,
    settings: PhononSettings,
) -> Transport:
    """Transport at all irreducible points, interpolated lifetimes times the ratio of the drawn.

    Args:
        guess: without the drawn points.
        both: at points for which lifetimes are computed, the drawn ones among them.
        sample: which points of the guess were drawn.
        phonons: as for `completed`, like the following arguments.
        dynamics: gives frequencies and velocities.
        settings: of the oracle.
    """
    exact = completed(both, phonons, dynamics, settings)
    given, found = (one.mode_kappa.sum(axis=2)[:, sample.points] for one in (guess, exact))
    factor, error = ratio_of_others(given, found, sample)
    result = completed(both, phonons, dynamics, settings, factor=factor)
    total = result.mode_kappa.sum(axis=(1, 2))
    relative = np.divide(error, total, where=total > 0, out=np.zeros(total.shape))
    return replace(result, interpolation_error=relative)


def drawn(guess: Transport, part: Transport, phonons: Phono3py, settings: PhononSettings) -> Sample:
    """Points of the guess that are to be computed as well.

    They are a systematic sample of those that are not in `part`, in the order of their distance
    from the zone centre, each with a probability in proportion to what it contributes to kappa at
    the reference temperature.
    """
    at = settings.temperatures.index(settings.reference)
    contributions = np.where(_among(guess, part, phonons), 0.0, guess.mode_kappa[at].sum(axis=1))
    if not (usable(np.array([contributions.sum()])).all() and (contributions >= 0).all()):
        return Sample(np.zeros(0, dtype=np.int64), np.zeros(0))
    return systematic_sample(contributions, _DRAWN, _outwards(guess, phonons))


def _outwards(transport: Transport, phonons: Phono3py) -> NDArray[np.int64]:
    """Indices (n_q,) of the points from the zone centre outwards.

    Points that are equally far from it are in the order of their numbers, since rounding, which
    differs from run to run, must not decide which points are drawn.
    """
    vectors = transport.points @ np.linalg.inv(np.asarray(phonons.primitive.cell)).T
    lengths = np.linalg.norm(vectors, axis=1)
    by_length = np.argsort(lengths)
    shells = np.empty(len(lengths), dtype=np.int64)
    shells[by_length] = np.cumsum(np.diff(lengths[by_length], prepend=0.0) > _SAME)
    a, b, c = np.rint(transport.points * transport.mesh).astype(int).T
    return np.lexsort((c, b, a, shells))


def _among(whole: Transport, part: Transport, phonons: Phono3py) -> NDArray[np.bool_]:
    """Which points (n_q,) of the whole are equivalent to one of the part, on the same mesh."""
    numbers = np.rint(whole.points * whole.mesh).astype(int) % whole.mesh
    return np.asarray(points_by_number(part.points, part.mesh, phonons)[tuple(numbers.T)] >= 0)


def joined(one: Transport, other: Transport) -> Transport:
    """The points of both; the rest is that of the first."""
    isotopes: Array | None = None
    if one.isotope_linewidths is not None and other.isotope_linewidths is not None:
        isotopes = np.concatenate([one.isotope_linewidths, other.isotope_linewidths])
    return replace(
        one,
        points=np.concatenate([one.points, other.points]),
        frequencies=np.concatenate([one.frequencies, other.frequencies]),
        weights=np.concatenate([one.weights, other.weights]),
        velocities=np.concatenate([one.velocities, other.velocities]),
        linewidths=np.concatenate([one.linewidths, other.linewidths], axis=1),
        isotope_linewidths=isotopes,
    )


def completed(
    part: Transport,
    phonons: Phono3py,
    dynamics: Phonopy,
    settings: PhononSettings,
    *,
    factor: Array | float = 1.0,
) -> Transport:
    """Transport at all irreducible points of a mesh, from that at some of them.

    Lifetimes times the frequency, to the power `_ROOT`, are interpolated linearly, branch by branch
    in the order of frequencies; frequencies and velocities are computed. Scattering at boundaries
    follows from the velocities.

    Args:
        part: as `conductivity` gives it with ``every=EVERY``.
        phonons: gives the primitive cell and its symmetry.
        dynamics: gives frequencies and velocities of the same primitive cell.
        settings: with which `part` was computed.
        factor: (n_temperatures,) or one, by which lifetimes that are interpolated are multiplied.
    """
    numbers = points_by_number(part.points, part.mesh, phonons)
    sparse = numbers[::EVERY, ::EVERY, ::EVERY]
    a, b, c = sparse.shape
    widths = part.linewidths - boundary_widths(part.velocities, settings)
    known = scattered(widths) & (part.frequencies > VANISHING)
    lifetimes = np.divide(1 / (4 * np.pi), widths, where=known, out=np.full(known.shape, np.nan))
    values = lifetimes * np.where(part.frequencies > VANISHING, part.frequencies, 1.0) ** _POWER
    smooth = Smooth(
        np.moveaxis(values[:, sparse] ** _ROOT, -1, 1),
        np.full(len(settings.temperatures), _POWER),
        _ROOT,
    )
    modes = interpolated(smooth, (a, b, c), part.mesh, dynamics, settings)
    same = numbers[tuple((modes.numbers % part.mesh).T)]
    computed = same >= 0
    linewidths = modes.linewidths / np.reshape(factor, (-1, 1, 1))
    own = np.where(scattered(widths), part.linewidths, 0.0)  # no lifetimes of 1e28 ps
    linewidths[:, computed] = own[:, same[computed]]
    isotopes = _isotopes(part, sparse, modes, linewidths)
    if isotopes is not None and part.isotope_linewidths is not None:
        isotopes[computed] = part.isotope_linewidths[same[computed]]
    modes = replace(modes, linewidths=linewidths)
    single = modes.kappa(settings.temperatures, float(phonons.primitive.volume))
    return Transport(
        mesh=part.mesh,
        points=modes.numbers / np.array(part.mesh),
        particle=symmetrised(phonons, single.sum(axis=(1, 2))),
        coherence=part.coherence,
        frequencies=modes.frequencies,
        weights=modes.weights,
        mode_kappa=thirds(single),
        velocities=modes.velocities,
        linewidths=linewidths,
        isotope_linewidths=isotopes,
    )


def _isotopes(
    part: Transport, sparse: NDArray[np.int64], modes: Modes, linewidths: Array
) -> Array | None:
    """Half widths (n_q, n_bands) due to isotopes, THz: their share of the whole is interpolated.

    The share is that at the first temperature.
    """
    if part.isotope_linewidths is None:
        return None
    total = part.linewidths[0]
    share = np.divide(part.isotope_linewidths, total, where=total > 0, out=np.zeros(total.shape))
    at = (modes.numbers / EVERY).T
    fields = np.moveaxis(share[sparse], -1, 0)
    return np.array([between(field, at) for field in fields]).T * linewidths[0]
