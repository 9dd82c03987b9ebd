"""The modes between the points of a mesh, in a crystal whose conductivity is known.

Atoms on an orthorhombic lattice are joined to their neighbours by springs that pull in all
directions alike. The frequencies of all three branches are then ``ω² = Σ 4 k_i / m sin²(π q_i)``.
Lifetimes are those of long waves, ``c / ω²``, unless a test says otherwise.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from phonopy import Phonopy
from scipy import constants

from oracle.formulas.bose_einstein import PLANCK_BOLTZMANN, mode_capacity
from oracle.phonon_bte.between_points import (
    DENSER,
    modes_of,
    particle_on,
    thirds,
    window,
    with_all_waves,
)
from oracle.phonon_bte.conductivity import Transport
from oracle.phonons.atomic_data import phonopy_cell
from oracle.phonons.settings import PhononSettings

Array = NDArray[np.float64]
EDGES = (3.0, 4.0, 5.5)  # Å
SPRINGS = (2.0, 1.2, 0.6)  # eV/Å²
SETTINGS = PhononSettings(temperatures=(100.0, 400.0))
SCATTERING = 50.0  # ps THz²
_UNIT = np.sqrt(constants.e / constants.angstrom**2 / constants.atomic_mass) / constants.tera
MESHES = ((4, 4, 3), (5, 3, 3), (6, 5, 4))


@functools.cache
def crystal(edges: tuple[float, ...] = EDGES, springs: tuple[float, ...] = SPRINGS) -> Phonopy:
    """The springs as force constants of a 4x4x4 supercell."""
    cell = phonopy_cell(np.diag(edges), np.zeros((1, 3)), ["Al"])
    phonons = Phonopy(cell, supercell_matrix=4 * np.eye(3), primitive_matrix=np.eye(3), log_level=0)
    apart = phonons.supercell.scaled_positions[None] - phonons.supercell.scaled_positions[:, None]
    steps = np.rint(4 * (apart - np.rint(apart))).astype(int)
    stiffness = np.zeros(steps.shape[:2])
    for axis, spring in enumerate(springs):
        near = np.zeros(3, dtype=int)
        near[axis] = 1
        stiffness[(np.abs(steps) == near).all(axis=2)] = spring
    matrix = np.diag(stiffness.sum(axis=1)) - stiffness
    phonons.force_constants = matrix[:, :, None, None] * np.eye(3)
    return phonons


def waves(points: Array, edges: Any = EDGES, springs: Any = SPRINGS) -> tuple[Array, Array]:
    """Frequencies (n,), THz, and velocities (n, 3), THz Å, by the formula."""
    mass = float(crystal(edges, springs).primitive.masses[0])
    rates = 4 * np.array(springs) / mass * (_UNIT / (2 * np.pi)) ** 2
    frequencies = np.sqrt((rates * np.sin(np.pi * points) ** 2).sum(axis=1))
    slopes = rates * np.pi * np.array(edges) * np.sin(2 * np.pi * points) / 2
    safe = np.maximum(frequencies, 1e-9)[:, None]
    return frequencies, np.where(frequencies[:, None] > 1e-9, slopes / safe, 0.0)


def exact(lifetimes: Any, points: int = 40) -> Array:
    """Kappa (n_temperatures, 3), W/m/K, by the midpoint rule, with Richardson's extrapolation."""
    found = []
    for n in (points, 2 * points):
        middles = (np.arange(n) + 0.5) / n
        grid = np.stack(np.meshgrid(middles, middles, middles, indexing="ij"), axis=-1)
        frequencies, velocities = waves(grid.reshape(-1, 3))
        found.append(_sum(frequencies, velocities, lifetimes(frequencies, velocities)))
    return 2 * found[1] - found[0]


def _sum(frequencies: Array, velocities: Array, lifetimes: Array) -> Array:
    x = PLANCK_BOLTZMANN * frequencies / np.array(SETTINGS.temperatures)[:, None]
    heat = 3 * constants.k * mode_capacity(x) * lifetimes * 1e-12
    squares = (velocities * 100.0) ** 2  # m²/s²
    return np.asarray(heat @ squares / len(frequencies) / (np.prod(EDGES) * 1e-30))


def by_long_waves(frequencies: Array, velocities: Array) -> Array:
    """Lifetimes, ps."""
    return np.where(frequencies > 1e-9, SCATTERING / np.maximum(frequencies, 1e-9) ** 2, 0.0)


def transport(mesh: tuple[int, int, int], lifetimes: Any = by_long_waves) -> Transport:
    """What phono3py would give on a mesh, at irreducible points."""
    phonons = crystal()
    phonons.run_mesh(mesh, is_gamma_center=True)
    points = np.array(phonons.mesh.qpoints)
    frequencies, velocities = waves(points)
    times = lifetimes(frequencies, velocities)
    widths = np.divide(1 / (4 * np.pi), times, where=times > 0, out=np.zeros(times.shape))
    numbers = np.stack(np.meshgrid(*map(np.arange, mesh), indexing="ij"), axis=-1)
    every, speeds = waves(numbers.reshape(-1, 3) / np.array(mesh))
    direct = _sum(every, speeds, lifetimes(every, speeds))
    return Transport(
        mesh=mesh,
        points=points,
        particle=np.array([np.diag(one) for one in direct]),
        coherence=None,
        frequencies=np.repeat(frequencies[:, None], 3, axis=1),
        weights=np.array(phonons.mesh.weights, dtype=np.float64),
        mode_kappa=np.zeros((2, len(points), 3)),
        velocities=np.repeat(velocities[:, None], 3, axis=1),
        linewidths=np.repeat(np.repeat(widths[None, :, None], 2, axis=0), 3, axis=2),
        isotope_linewidths=None,
    )


def with_all(given: Transport, chosen: PhononSettings = SETTINGS) -> Transport:
    phonons: Any = SimpleNamespace(
        primitive=crystal().primitive, primitive_symmetry=crystal().primitive_symmetry
    )
    return with_all_waves(given, phonons, crystal(), chosen)


def diagonals(tensors: Array) -> Array:
    return np.array([np.diag(tensor) for tensor in tensors])


class TestLongWaves:
    @pytest.mark.parametrize("mesh", MESHES)
    def test_they_are_not_missing(self, mesh: tuple[int, int, int]) -> None:
        limit = exact(by_long_waves)
        given = transport(mesh)
        found = with_all(given)
        assert np.all(diagonals(given.particle) < 0.85 * limit)
        np.testing.assert_allclose(diagonals(found.particle), limit, rtol=0.04)

    @pytest.mark.parametrize("mesh", MESHES)
    def test_the_modes_add_up_and_lie_on_the_denser_mesh(self, mesh: tuple[int, int, int]) -> None:
        found = with_all(transport(mesh))
        assert found.mesh == tuple(DENSER * n for n in mesh)
        assert found.weights.sum() == np.prod(found.mesh)
        np.testing.assert_allclose(found.mode_kappa.sum(axis=(1, 2)), found.mean, rtol=1e-10)
        moving = found.frequencies > 0.02
        products = found.lifetimes[:, moving] * found.frequencies[moving] ** 2
        np.testing.assert_allclose(products, SCATTERING, rtol=1e-6)

    def test_most_of_the_error_vanishes_where_lifetimes_vary(self) -> None:
        """Between c / ω² for long waves and twice as much for short ones."""

        def varying(frequencies: Array, velocities: Array) -> Array:
            return by_long_waves(frequencies, velocities) * (1 + np.minimum(frequencies / 8, 1))

        limit, given = exact(varying), transport((9, 8, 6), varying)
        found = with_all(given)
        before, after = (np.abs(np.log(diagonals(t.particle) / limit)) for t in (given, found))
        assert np.all(after < before / 3)


@pytest.mark.parametrize("mesh", [(9, 7, 5), (4, 4, 4), (11, 8, 9)])
def test_what_another_mesh_would_give(mesh: tuple[int, int, int]) -> None:
    phonons: Any = SimpleNamespace(
        primitive=crystal().primitive, primitive_symmetry=crystal().primitive_symmetry
    )
    found = particle_on(mesh, transport((6, 5, 4)), phonons, crystal(), SETTINGS)
    # Away from the zone centre, sums over both meshes are taken to be equal.
    np.testing.assert_allclose(found, transport(mesh).particle, rtol=0.02, atol=1e-6)


def test_lifetimes_far_from_the_zone_centre_are_not_interpolated() -> None:
    """There, only the sum over the mesh counts: interpolation passes over valleys."""
    given = transport((12, 10, 8))
    distances = np.linalg.norm(given.points / np.array(EDGES), axis=1)
    spacing = max(1 / (edge * n) for edge, n in zip(EDGES, given.mesh, strict=True))
    peaks = np.where(distances > 3.5 * spacing, 0.2, 1.0)[None, :, None]
    peaked = replace(given, linewidths=given.linewidths * peaks)
    # `particle` is left as it was, so that the sum over the mesh is the same in both.
    ratio = [
        modes_of(one).kappa(SETTINGS.temperatures, 1.0).sum(axis=(1, 2)) for one in (peaked, given)
    ]
    factor = thirds(ratio[0]) / thirds(ratio[1])
    assert np.all(factor > 1.5)
    gains = [thirds(with_all(one).particle - one.particle) for one in (peaked, given)]
    np.testing.assert_allclose(gains[0] * factor, gains[1], rtol=0.05)


def test_the_window_is_one_around_the_zone_centre_and_symmetric() -> None:
    basis = np.linalg.inv(np.array([[0.0, 2.0, 2.0], [2.0, 0.0, 2.0], [2.0, 2.0, 0.0]]))
    points = np.random.default_rng(0).uniform(-0.5, 0.5, size=(200, 3))
    found = window(points, basis, 0.05)
    lengths = np.array(
        [
            min(np.linalg.norm(basis @ (p + n)) for n in itertools.product((-1, 0, 1), repeat=3))
            for p in points
        ]
    )
    assert (found[lengths > 0.1] == 0).all()
    np.testing.assert_allclose(found, window(-points[:, [1, 2, 0]], basis, 0.05), atol=1e-12)
    np.testing.assert_allclose(window(np.zeros((1, 3)), basis, 0.05), 1.0)
    inside = np.linspace(0, 1, 20)[:, None] * points[:1] / lengths[0]
    falling = window(inside * 0.12, basis, 0.05)
    assert (np.diff(falling) <= 1e-12).all()
    assert falling[0] == 1.0
    assert falling[-1] == 0.0


@given(st.integers(0, 10**6), st.floats(0.05, 0.4))
@settings(max_examples=15, deadline=None)
def test_modes_without_scattering_are_replaced_by_their_neighbours(seed: int, share: float) -> None:
    given_transport = transport((5, 4, 4))
    dark = np.random.default_rng(seed).random(given_transport.linewidths.shape) < share
    some = replace(given_transport, linewidths=np.where(dark, 0.0, given_transport.linewidths))
    found = with_all(some)
    products = found.lifetimes * found.frequencies**2
    known = (found.frequencies > 0.02) & (products > 0)
    assert known.mean() > 0.8
    np.testing.assert_allclose(products[known], SCATTERING, rtol=1e-6)


def test_boundaries_limit_the_modes_between_the_points() -> None:
    """With hardly any other scattering, every mode travels from one boundary to the next."""
    microns = 0.02

    def both(frequencies: Array, velocities: Array) -> Array:
        speeds = np.maximum(np.linalg.norm(velocities, axis=1), 1e-9)
        own = by_long_waves(frequencies, velocities)
        limited = microns * 1e4 / speeds
        return np.where(own > 0, own * limited / np.maximum(own + limited, 1e-12), 0.0)

    bounded = PhononSettings(temperatures=SETTINGS.temperatures, boundary_um=microns)
    found = with_all(transport((6, 5, 4), both), bounded)
    np.testing.assert_allclose(diagonals(found.particle), exact(both), rtol=0.04)


def test_the_full_solution_keeps_its_ratio_to_relaxation_times() -> None:
    given = transport((5, 4, 4))
    more = replace(given, particle=1.2 * given.particle)
    np.testing.assert_allclose(with_all(more).particle, 1.2 * with_all(given).particle)


@pytest.mark.parametrize("kappa", [np.nan, 0.0, 1e-12, 1e9])
def test_a_mesh_without_a_possible_conductivity_stays_as_it_is(kappa: float) -> None:
    given = transport((4, 4, 3))
    impossible = replace(given, particle=np.full((2, 3, 3), kappa))
    assert with_all(impossible) is impossible


def test_a_mesh_of_less_symmetry_stays_as_it_is_where_points_are_lacking() -> None:
    given = transport((4, 4, 3))
    few = replace(given, points=given.points[:-1])
    assert with_all(few) is few


def test_imaginary_long_waves_and_lonely_points_do_not_warn() -> None:
    """Warnings are errors here; powers of negative frequencies, and medians of nothing, would."""
    given = transport((4, 4, 4))
    soft = replace(given, frequencies=np.where(given.frequencies < 1.5, -0.1, given.frequencies))
    assert np.isfinite(with_all(soft).particle).all()
    near = np.abs(given.points).max(axis=1) < 0.3
    dark = np.where(near[:, None], 0.0, given.linewidths)
    assert np.isfinite(with_all(replace(given, linewidths=dark)).particle).all()
