"""Lifetimes at a part of the points of a mesh, and the rest interpolated."""

from __future__ import annotations

import functools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase.calculators.emt import EMT
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from phono3py import Phono3py
from phonopy import Phonopy

from oracle.phonon_bte.between_points import carries_heat, with_all_waves
from oracle.phonon_bte.conductivity import Transport, conductivity, is_computed
from oracle.phonon_bte.sparse import (
    completed,
    corrected,
    drawn,
    joined,
    sparse_conductivity,
)
from oracle.phonons.atomic_data import phonopy_cell
from oracle.phonons.settings import PhononSettings
from oracle.phonons.supercells import as_atoms
from tests.oracle.test_between_points import SETTINGS, by_long_waves, crystal, transport

Array = NDArray[np.float64]
Mesh = tuple[int, int, int]
MESHES: tuple[Mesh, ...] = ((8, 6, 6), (4, 6, 4), (6, 2, 4))
ROOM = PhononSettings(mesh_spacing=0.8)


def model_phonons() -> Any:
    """What is asked of phono3py about the crystal of springs."""
    return SimpleNamespace(
        primitive=crystal().primitive, primitive_symmetry=crystal().primitive_symmetry
    )


def only(full: Transport, chosen: NDArray[np.bool_]) -> Transport:
    """The chosen points (n_q,) of a transport."""
    isotopes = full.isotope_linewidths
    return replace(
        full,
        points=full.points[chosen],
        frequencies=full.frequencies[chosen],
        weights=full.weights[chosen],
        velocities=full.velocities[chosen],
        linewidths=full.linewidths[:, chosen],
        isotope_linewidths=None if isotopes is None else isotopes[chosen],
    )


def part_of(full: Transport) -> Transport:
    """The points that would be computed."""
    return only(full, is_computed(np.rint(full.points * full.mesh).astype(int), full.mesh, 2))


def some_of(full: Transport, points: Array) -> Transport:
    """The given points, which are among those of the transport."""
    apart = full.points[:, None] - points[None]
    chosen = (np.abs(apart - np.rint(apart)).max(axis=2) < 1e-6).any(axis=1)
    assert chosen.sum() == len(points)
    return only(full, chosen)


class TestModel:
    @pytest.mark.parametrize("mesh", MESHES)
    def test_lifetimes_that_fall_as_interpolated_are_exact(self, mesh: Mesh) -> None:
        full = transport(mesh, lambda f, _: np.where(f > 1e-9, 20 / np.maximum(f, 1e-9), 0.0))
        found = completed(part_of(full), model_phonons(), crystal(), SETTINGS)
        moving = found.frequencies > 0.02
        products = found.lifetimes[:, moving] * found.frequencies[moving]
        np.testing.assert_allclose(products, 20, rtol=1e-6)
        np.testing.assert_allclose(found.particle, full.particle, rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(found.mode_kappa.sum(axis=(1, 2)), found.mean, rtol=1e-10)
        assert found.mesh == mesh
        assert found.weights.sum() == np.prod(mesh)

    @pytest.mark.parametrize("mesh", MESHES)
    def test_long_waves_are_computed_and_so_is_every_second_point(self, mesh: Mesh) -> None:
        full = transport(mesh, by_long_waves)
        found = completed(part_of(full), model_phonons(), crystal(), SETTINGS)
        numbers = np.rint(found.points * mesh).astype(int)
        computed = is_computed(numbers, mesh, 2) & (found.frequencies[:, 0] > 0.02)
        products = found.lifetimes[:, computed] * found.frequencies[computed] ** 2
        np.testing.assert_allclose(products, products.flat[0], rtol=1e-6)
        around = np.abs((numbers + np.array(mesh) // 2) % mesh - np.array(mesh) // 2)
        assert computed[(around.max(axis=1) == 1)].all()
        np.testing.assert_allclose(found.mean, full.mean, rtol=0.15)

    def test_modes_without_scattering_do_not_reach_their_neighbours(self) -> None:
        """As in BeTe: widths of 1e-30 THz made lifetimes of 1e28 ps."""
        full = transport((8, 6, 6), by_long_waves)
        widths = full.linewidths.copy()
        numbers = np.rint(full.points * full.mesh).astype(int)
        at = int(np.flatnonzero((numbers % 2 == 0).all(axis=1) & (numbers != 0).all(axis=1))[0])
        widths[:, at, 2] = 1e-30
        part = part_of(replace(full, linewidths=widths))
        found = completed(part, model_phonons(), crystal(), SETTINGS)
        assert found.lifetimes.max() <= 1.01 * full.lifetimes.max()
        np.testing.assert_allclose(found.mean, full.mean, rtol=0.2)

    @given(st.floats(0.01, 10.0))
    @settings(deadline=None, max_examples=10)
    def test_boundaries_scatter_by_the_velocity_of_each_mode(self, length: float) -> None:
        chosen = SETTINGS.model_copy(update={"boundary_um": length})
        free = completed(part_of(transport((4, 6, 4))), model_phonons(), crystal(), SETTINGS)
        speeds = np.linalg.norm(free.velocities, axis=-1)
        expected = free.linewidths + (free.linewidths > 0) * speeds / (4 * np.pi * length * 1e4)
        given_part = part_of(transport((4, 6, 4)))
        there = np.linalg.norm(given_part.velocities, axis=-1) / (4 * np.pi * length * 1e4)
        bounded = replace(given_part, linewidths=given_part.linewidths + there)
        found = completed(bounded, model_phonons(), crystal(), chosen)
        np.testing.assert_allclose(found.linewidths[:, 1:], expected[:, 1:], rtol=1e-6)

    def test_isotopes_keep_their_share(self) -> None:
        full = transport((8, 6, 6))
        part = part_of(replace(full, isotope_linewidths=0.3 * full.linewidths[0]))
        found = completed(part, model_phonons(), crystal(), SETTINGS)
        assert found.isotope_linewidths is not None
        np.testing.assert_allclose(found.isotope_linewidths, 0.3 * found.linewidths[0], atol=1e-12)
        without = completed(part_of(full), model_phonons(), crystal(), SETTINGS)
        assert without.isotope_linewidths is None

    @pytest.mark.parametrize("excess", [1.0, 1.8])
    def test_what_interpolation_misses_is_found_at_a_few_points(self, excess: float) -> None:
        """Lifetimes between the computed points are longer than interpolation can know."""
        mesh = (8, 8, 6)
        full = transport(mesh, lambda f, _: np.where(f > 1e-9, 20 / np.maximum(f, 1e-9), 0.0))
        between = ~is_computed(np.rint(full.points * mesh).astype(int), mesh, 2)
        widths = full.linewidths.copy()
        widths[:, between] /= excess
        full = replace(full, linewidths=widths)
        part, phonons = part_of(full), model_phonons()
        guess = completed(part, phonons, crystal(), SETTINGS)
        sample = drawn(guess, part, phonons, SETTINGS)
        numbers = np.rint(guess.points * mesh).astype(int)
        assert not is_computed(numbers[sample.points], mesh, 2).any()
        more = some_of(full, guess.points[sample.points])
        found = corrected(guess, joined(part, more), sample, phonons, crystal(), SETTINGS)
        assert found.interpolation_error is not None
        assert (found.interpolation_error < 0.02).all()
        whole = completed(full, phonons, crystal(), SETTINGS)
        np.testing.assert_allclose(found.mean, whole.mean, rtol=0.02)
        if excess > 1:
            assert (guess.mean < 0.9 * whole.mean).all()

    def test_rounding_does_not_decide_which_points_are_drawn(self) -> None:
        """In a cubic cell, many points are equally far from the zone centre."""
        full = transport((8, 8, 8))
        contributions = np.random.default_rng(1).uniform(size=full.mode_kappa.shape)
        guess, part = replace(full, mode_kappa=contributions), part_of(full)
        samples = set()
        for seed in range(8):
            noise = np.random.default_rng(seed).normal(scale=1e-13, size=(3, 3))
            phonons: Any = SimpleNamespace(
                primitive=SimpleNamespace(cell=4.0 * np.eye(3) + noise),
                primitive_symmetry=crystal().primitive_symmetry,
            )
            samples.add(tuple(drawn(guess, part, phonons, SETTINGS).points.tolist()))
        assert len(samples) == 1


@functools.cache
def copper_gold() -> tuple[Phono3py, Any]:
    """Cu3Au by effective medium theory, with force constants of a 32-atom supercell."""
    places = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    cell = phonopy_cell(np.eye(3) * 3.79, places, ["Au", "Cu", "Cu", "Cu"])
    phonons = Phono3py(cell, supercell_matrix=2 * np.eye(3, dtype=int), log_level=0)
    phonons.generate_displacements()
    engine = EMT()

    def forces(supercell: Any) -> Array:
        atoms = as_atoms(supercell)
        atoms.calc = engine
        return np.asarray(atoms.get_forces())

    phonons.forces = np.array([forces(one) for one in phonons.supercells_with_displacements])
    phonons.produce_fc3()
    phonons.produce_fc2()
    phonons.symmetrize_fc3()
    phonons.symmetrize_fc2()
    dynamics = Phonopy(
        cell, supercell_matrix=2 * np.eye(3, dtype=int), primitive_matrix=np.eye(3), log_level=0
    )
    dynamics.force_constants = phonons.fc2
    return phonons, dynamics


class TestCrystal:
    def test_what_is_computed_is_what_the_whole_mesh_gives(self) -> None:
        phonons, dynamics = copper_gold()
        mesh = (6, 6, 6)
        whole = conductivity(phonons, ROOM, mesh)
        matrices = np.asarray(phonons.thermal_conductivity._kappa_solver.mode_kappa_matrix)[0]
        found = sparse_conductivity(phonons, dynamics, ROOM, mesh)
        order = np.lexsort(np.round(whole.frequencies[:, :6].T, 3))
        same = np.lexsort(np.round(found.frequencies[:, :6].T, 3))
        numbers = np.rint(whole.points * mesh).astype(int)
        computed = is_computed(numbers, mesh, 2)[order]
        assert 0 < computed.sum() < len(computed)
        np.testing.assert_allclose(
            found.linewidths[:, same][:, computed],
            whole.linewidths[:, order][:, computed],
            rtol=1e-6,
            atol=1e-9,
        )
        np.testing.assert_allclose(found.mean, whole.mean, rtol=0.1)
        # The off-diagonal part is that of every second point.
        sparse = (numbers % 2 == 0).all(axis=1)
        total = matrices[:, sparse].sum(axis=(1, 2, 3)) - np.einsum(
            "tqbbv->tv", matrices[:, sparse]
        )
        assert found.coherence is not None
        trace = np.trace(found.coherence, axis1=1, axis2=2)
        np.testing.assert_allclose(trace, total[:, :3].real.sum(axis=1) / 27, rtol=1e-6)

    def test_the_full_solution_is_a_factor(self) -> None:
        phonons, dynamics = copper_gold()
        mesh = (4, 4, 4)
        full = ROOM.model_copy(update={"transport": "lbte"})
        alone = sparse_conductivity(phonons, dynamics, ROOM, mesh, coherence=False)
        found = sparse_conductivity(phonons, dynamics, full, mesh, coherence=False)
        whole = conductivity(phonons, full, (2, 2, 2), coherence=False, checked=False)
        coarse = conductivity(phonons, ROOM, (2, 2, 2), coherence=False, checked=False)
        if carries_heat(coarse):
            np.testing.assert_allclose(found.mean / alone.mean, whole.mean / coarse.mean, rtol=1e-3)
        np.testing.assert_allclose(found.mode_kappa.sum(axis=(1, 2)), found.mean, rtol=1e-9)
        assert with_all_waves(alone, phonons, dynamics, ROOM).mean[0] >= alone.mean[0]
