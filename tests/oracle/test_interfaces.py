"""Interface models against Debye media, whose modes and averages are known in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import constants

from oracle.formulas.kappa_models import Acoustics
from oracle.interface.mismatch import (
    Spectrum,
    acoustic_mismatch,
    diffuse_mismatch,
    overlap,
    radiation_limit,
)

LATTICE = 3.0  # Å
TEMPERATURES = np.array([50.0, 300.0, 1e5])
STEP, NUMBER = 0.5, 12


def _debye(speed: float, points: int = 48) -> Spectrum:
    """One branch ν = v q of a cubic crystal; isotropic up to half a reciprocal vector."""
    axis = (np.arange(points) + 0.5) / points - 0.5
    q = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3) / LATTICE
    lengths = np.linalg.norm(q, axis=1)
    return Spectrum.of(
        (speed * lengths)[:, None],
        (speed * q[:, 2] / lengths)[:, None],
        np.ones(len(q)),
        volume=LATTICE**3,
        step=STEP,
        number=NUMBER,
    )


def _medium(speed: float, mass: float = 28.0) -> Acoustics:
    return Acoustics(
        longitudinal=1.6 * speed,
        transverse=speed,
        volume_per_atom=20.0,
        mean_mass=mass,
        atoms=2,
        gruneisen=1.0,
        young_modulus=100.0,
    )


def test_modes_through_a_plane_are_those_of_debye() -> None:
    speed = 50.0  # Å THz
    spectrum = _debye(speed, 96)
    nu = spectrum.frequencies
    inside = (nu > 2.0) & (nu < speed / (2 * LATTICE) - STEP)
    np.testing.assert_allclose(
        spectrum.crossing[inside], np.pi * (nu[inside] / speed) ** 2, rtol=0.05
    )
    np.testing.assert_allclose(
        spectrum.density[inside], 4 * np.pi * nu[inside] ** 2 / speed**3, rtol=0.05
    )


def test_equal_sides_pass_half_diffusely_and_overlap_wholly() -> None:
    side = _debye(50.0)
    half = diffuse_mismatch(side, side, TEMPERATURES)
    np.testing.assert_allclose(half, radiation_limit(side, side, TEMPERATURES) / 2)
    assert overlap(side, side) == pytest.approx(1.0)


def test_diffuse_mismatch_of_debye_media() -> None:
    """A fraction v2^-2 / (v1^-2 + v2^-2) is transmitted where both have Debye spectra."""
    left, right = _debye(40.0), _debye(60.0)
    within = left.frequencies < 6.0
    left, right = (replace(s, crossing=np.where(within, s.crossing, 0.0)) for s in (left, right))
    ratio = diffuse_mismatch(left, right, TEMPERATURES)
    ratio /= radiation_limit(left, left, TEMPERATURES)
    assert ratio[1] == pytest.approx(60.0**-2 / (40.0**-2 + 60.0**-2), rel=0.03)


@settings(deadline=None, max_examples=10)
@given(st.floats(30, 60), st.floats(30, 60))
def test_bounds_and_symmetry(first: float, second: float) -> None:
    left, right = _debye(first, 16), _debye(second, 16)
    diffuse = diffuse_mismatch(left, right, TEMPERATURES)
    assert np.all(diffuse <= radiation_limit(left, right, TEMPERATURES) * (1 + 1e-12))
    np.testing.assert_allclose(diffuse, diffuse_mismatch(right, left, TEMPERATURES))
    assert 0.0 <= overlap(left, right) <= 1.0 + 1e-12


def test_disjoint_spectra_pass_nothing() -> None:
    low, high = _debye(5.0), _debye(50.0)
    above = replace(
        high,
        density=np.where(high.frequencies > 4, high.density, 0.0),
        crossing=np.where(high.frequencies > 4, high.crossing, 0.0),
    )
    assert overlap(low, above) == 0.0
    assert np.all(diffuse_mismatch(low, above, TEMPERATURES) == 0.0)


def test_acoustic_mismatch_of_one_medium_is_ballistic() -> None:
    """At high temperature every mode across the plane contributes k_B per unit of frequency."""
    medium = _medium(5000.0)
    conductance = acoustic_mismatch(medium, medium, np.array([1e5]))[0]
    expected = 0.0
    for speed in medium.branches:
        cells = 1 / (medium.volume_per_atom * medium.atoms * 1e-30)
        top = speed * (3 * cells / (4 * np.pi)) ** (1 / 3)  # Hz
        expected += constants.k * np.pi / speed**2 * top**3 / 3
    assert conductance == pytest.approx(expected, rel=1e-3)


def test_acoustic_mismatch_is_equal_from_both_sides_and_less_than_ballistic() -> None:
    soft, hard = _medium(2000.0, mass=200.0), _medium(6000.0)
    there = acoustic_mismatch(soft, hard, TEMPERATURES)
    np.testing.assert_allclose(there, acoustic_mismatch(hard, soft, TEMPERATURES), rtol=1e-3)
    assert np.all(there < acoustic_mismatch(soft, soft, TEMPERATURES))
    normal = 4 * 200 * 2000 * 28 * 6000 / (200 * 2000 + 28 * 6000) ** 2
    assert np.all(there < normal * acoustic_mismatch(soft, soft, TEMPERATURES))


def test_other_grids_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one grid for both"):
        overlap(_debye(50.0, 8), replace(_debye(50.0, 8), step=0.25))
