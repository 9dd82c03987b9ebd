"""Closed formulas of modes and of heat conduction, against limits and published numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import constants, integrate, special

from oracle.formulas import kappa_models
from oracle.formulas.bose_einstein import PLANCK_BOLTZMANN, mode_capacity
from oracle.formulas.changes import HEAVY, UNKNOWN, change, usable
from oracle.formulas.kappa_models import Acoustics
from oracle.formulas.landauer import conductance, window
from oracle.phonons.atomic_data import isotope_variances

SILICON = Acoustics(8949.0, 5343.0, 20.02, 28.0855, 2, 1.06, 162.0)
POSSIBLE = st.floats(1e-3, 1e5)


def _thermal_energy(frequency: float, temperature: float) -> float:
    """Of one mode above its ground state, J."""
    quantum = constants.h * frequency * constants.tera
    return float(quantum / np.expm1(quantum / (constants.k * temperature)))


class TestModeCapacity:
    @given(st.floats(0.2, 20.0), st.floats(30.0, 2000.0))
    @settings(deadline=None)
    def test_it_is_the_derivative_of_the_energy(self, frequency: float, temperature: float) -> None:
        step = 1e-3 * temperature
        slope = (
            _thermal_energy(frequency, temperature + step)
            - _thermal_energy(frequency, temperature - step)
        ) / (2 * step)
        found = float(mode_capacity(PLANCK_BOLTZMANN * frequency / temperature))
        assert found == pytest.approx(slope / constants.k, rel=2e-3, abs=1e-9)

    @pytest.mark.parametrize(
        ("power", "exact"),
        [(0, np.pi**2 / 3), (1, 6 * special.zeta(3)), (2, 4 * np.pi**4 / 15)],
        ids=["one dimension", "two dimensions", "Debye"],
    )
    def test_integrals_are_those_of_debye_solids(self, power: int, exact: float) -> None:
        found = integrate.quad(lambda x: float(mode_capacity(x)) * x**power, 0, 60)[0]
        assert found == pytest.approx(exact, rel=1e-8)

    @given(st.lists(st.floats(0.0, 1e6), min_size=2, max_size=20))
    @settings(deadline=None)
    def test_it_falls_from_one_to_zero_without_overflow(self, points: list[float]) -> None:
        found = mode_capacity(sorted(points))
        assert np.all(np.diff(found) <= 1e-15)
        assert np.all((found >= 0) & (found <= 1))
        assert float(mode_capacity(0.0)) == pytest.approx(1.0)


class TestChange:
    @given(POSSIBLE, POSSIBLE, POSSIBLE)
    @settings(deadline=None)
    def test_changes_add_up_and_turn_their_sign(self, a: float, b: float, c: float) -> None:
        x, y, z = (np.array([value]) for value in (a, b, c))
        np.testing.assert_allclose(change(x, y), -change(y, x), atol=1e-12)
        np.testing.assert_allclose(change(x, y) + change(y, z), change(x, z), atol=1e-9)

    @given(POSSIBLE, POSSIBLE, st.floats(0.1, 9.0))
    @settings(deadline=None)
    def test_the_unit_does_not_matter(self, a: float, b: float, factor: float) -> None:
        x, y = np.array([a]), np.array([b])
        np.testing.assert_allclose(change(factor * x, factor * y), change(x, y), atol=1e-9)

    @pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf, HEAVY, 2 * HEAVY])
    def test_of_an_impossible_conductivity_nothing_is_known(self, wrong: float) -> None:
        pair = np.array([wrong, 1.0])
        assert usable(pair).tolist() == [False, True]
        ones = np.ones(2)
        assert change(pair, ones).tolist() == [UNKNOWN, 0.0]
        assert change(ones, pair).tolist() == [UNKNOWN, 0.0]
        assert np.log(50) == pytest.approx(UNKNOWN, abs=0.1)


class TestLandauer:
    @given(st.floats(0.0, 30.0), st.floats(1.0, 3000.0))
    @settings(deadline=None)
    def test_a_channel_carries_what_a_mode_can_hold(
        self, frequency: float, temperature: float
    ) -> None:
        found = window(np.array([frequency]), np.array([temperature]))
        expected = (
            constants.k * constants.tera * mode_capacity(PLANCK_BOLTZMANN * frequency / temperature)
        )
        assert found.shape == (1, 1)
        assert found[0, 0] == pytest.approx(float(expected), rel=1e-9, abs=1e-30)

    def test_when_hot_every_channel_counts_alike(self) -> None:
        step, frequencies = 0.01, np.linspace(0.005, 4.995, 500)
        through = np.random.default_rng(0).uniform(0, 3, 500)
        found = conductance(frequencies, through, np.array([1e6]), step)
        classical = constants.k * constants.tera * through.sum() * step
        assert found[0] == pytest.approx(classical, rel=1e-6)

    @given(st.integers(0, 1000))
    @settings(deadline=None)
    def test_channels_add_up_and_heat_helps(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        frequencies, temperatures = np.linspace(0.1, 7.9, 40), np.array([20.0, 300.0, 900.0])
        channels = rng.uniform(0, 1, (3, 40))
        each = conductance(frequencies, channels, temperatures, 0.2)
        together = conductance(frequencies, channels.sum(axis=0), temperatures, 0.2)
        assert each.shape == (3, 3)
        np.testing.assert_allclose(each.sum(axis=0), together, rtol=1e-12)
        assert np.all(np.diff(each, axis=1) > 0)


class TestDebye:
    @pytest.mark.parametrize(
        ("longitudinal", "transverse", "volume", "measured"),
        [
            (4760.0, 2325.0, 11.81, 343.0),  # copper
            (3240.0, 1200.0, 16.96, 165.0),  # gold
            (18350.0, 12320.0, 5.67, 2230.0),  # diamond
        ],
        ids=["Cu", "Au", "C"],
    )
    def test_temperatures_follow_from_velocities_of_sound(
        self, longitudinal: float, transverse: float, volume: float, measured: float
    ) -> None:
        crystal = Acoustics(longitudinal, transverse, volume, 1.0, 1, 2.0, 1.0)
        theta = crystal.debye_temperature(crystal.mean_velocity)
        assert theta == pytest.approx(measured, rel=0.06)

    @given(st.floats(1000, 9000), st.floats(1.0, 2.5))
    @settings(deadline=None)
    def test_the_mean_velocity_lies_between_and_near_the_transverse_one(
        self, transverse: float, ratio: float
    ) -> None:
        crystal = replace(SILICON, transverse=transverse, longitudinal=ratio * transverse)
        assert transverse * (1 - 1e-12) <= crystal.mean_velocity <= ratio * transverse * (1 + 1e-12)
        assert crystal.mean_velocity <= transverse * 1.5 ** (1 / 3) * (1 + 1e-12)

    @given(st.integers(1, 40))
    @settings(deadline=None)
    def test_acoustic_modes_share_the_zone_with_the_others(self, atoms: int) -> None:
        """All modes fill a sphere of n times the volume of that of the acoustic ones."""
        whole, acoustic = (SILICON.debye_temperature(6000.0, n) for n in (1, atoms))
        assert whole / acoustic == pytest.approx(atoms ** (1 / 3))


class TestSlack:
    def test_the_prefactor_is_the_published_one(self) -> None:
        # Morelli and Slack state A = 3.1e-6 for a Grüneisen parameter of 2.
        found = kappa_models.slack_formula(
            1.0, mean_mass=1.0, volume=1.0, gruneisen=2.0, temperature=0.25
        )
        assert found == pytest.approx(3.1e-6, rel=0.03)

    @given(st.floats(0.2, 5.0), st.floats(0.6, 3.0))
    @settings(deadline=None)
    def test_powers_of_what_it_depends_on(self, factor: float, gruneisen: float) -> None:
        given_crystal = {
            "theta": 400.0,
            "mean_mass": 30.0,
            "volume": 40.0,
            "gruneisen": gruneisen,
            "temperature": 300.0,
        }
        plain = kappa_models.slack_formula(**given_crystal)
        for name, power in (("theta", 3), ("mean_mass", 1), ("volume", 1 / 3), ("temperature", -1)):
            changed = given_crystal | {name: factor * given_crystal[name]}
            found = kappa_models.slack_formula(**changed)
            assert found == pytest.approx(plain * factor**power)

    @given(st.integers(1, 60))
    @settings(deadline=None)
    def test_more_atoms_in_a_cell_leave_less_to_acoustic_modes(self, atoms: int) -> None:
        one, many = (kappa_models.slack(replace(SILICON, atoms=n), 300.0) for n in (1, atoms))
        assert many / one == pytest.approx(atoms ** (-2 / 3))


class TestMinimumAndCallaway:
    @given(st.floats(1.0, 6.0))
    @settings(max_examples=10, deadline=None)
    def test_the_minimum_rises_as_the_square_of_a_low_temperature(self, temperature: float) -> None:
        """The integral is then 6 zeta(3), whatever the crystal."""
        density = 1 / (SILICON.volume_per_atom * constants.angstrom**3)
        total = sum(
            velocity * (temperature / SILICON.debye_temperature(velocity)) ** 2
            for velocity in SILICON.branches
        )
        exact = (np.pi / 6) ** (1 / 3) * constants.k * density ** (2 / 3) * total
        assert kappa_models.cahill(SILICON, temperature) == pytest.approx(
            exact * 6 * special.zeta(3), rel=1e-4
        )

    @given(st.floats(0.3, 4.0), st.floats(100.0, 1500.0))
    @settings(max_examples=10, deadline=None)
    def test_all_rates_of_callaway_go_as_the_square_of_anharmonicity(
        self, factor: float, temperature: float
    ) -> None:
        plain = kappa_models.debye_callaway(SILICON, temperature)
        other = replace(SILICON, gruneisen=factor * SILICON.gruneisen)
        assert kappa_models.debye_callaway(other, temperature) == pytest.approx(plain / factor**2)

    @given(st.floats(0.2, 5.0))
    @settings(deadline=None)
    def test_stiffness_and_mass_in_the_minimum_of_clarke(self, factor: float) -> None:
        """It is a velocity times a density of atoms to the power 2/3: mass enters as v alone."""
        plain = kappa_models.clarke(SILICON)
        stiffer = kappa_models.clarke(replace(SILICON, young_modulus=factor * 162.0))
        heavier = kappa_models.clarke(replace(SILICON, mean_mass=factor * 28.0855))
        assert stiffer / plain == pytest.approx(np.sqrt(factor))
        assert heavier / plain == pytest.approx(1 / np.sqrt(factor))


class TestIsotopes:
    def test_variances_of_germanium_are_the_published_ones(self) -> None:
        # Tamura, Phys. Rev. B 27, 858 (1983): 5.87e-4 for natural germanium. Arsenic has a single
        # isotope, so that in GaAs only gallium counts: Γ = (69.72 / 72.32)² 1.97e-4 / 2.
        (germanium,) = isotope_variances(["Ge"])
        assert germanium == pytest.approx(5.87e-4, rel=0.01)
        masses = np.array([69.723, 74.922])
        found = kappa_models.mass_variance(masses, isotope_variances(["Ga", "As"]))
        assert found == pytest.approx((69.723 / 72.322) ** 2 * 1.97e-4 / 2, rel=0.01)

    @given(st.floats(1e-5, 1e-2), st.floats(10.0, 1000.0))
    @settings(max_examples=15, deadline=None)
    def test_isotopes_lower_the_conductivity_and_less_so_when_hot(
        self, variance: float, temperature: float
    ) -> None:
        natural = replace(SILICON, mass_variance=variance)

        def ratio(t: float) -> float:
            return kappa_models.debye_callaway(natural, t) / kappa_models.debye_callaway(SILICON, t)

        assert ratio(temperature) < 1
        assert ratio(temperature) < ratio(10 * temperature)

    def test_isotopes_alone_limit_strongly_mixed_crystals(self) -> None:
        """Far above all other rates, kappa is the integral of v² C over the rate of isotopes."""
        mixed = replace(SILICON, mass_variance=1.0, gruneisen=1e-4)
        doubled = replace(mixed, mass_variance=2.0)
        first, second = (kappa_models.debye_callaway(c, 300.0) for c in (mixed, doubled))
        assert first / second == pytest.approx(2.0, rel=0.1)
