"""Scattering by isotopes from one point of each star is that from all points of the mesh."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from phono3py import Phono3py
from phono3py.other import isotope as of_phono3py
from phono3py.other.isotope import Isotope

from oracle.phonon_bte.isotopes import isotopes_by_stars
from tests.oracle.emt_crystals import CRYSTALS, Mesh, emt_phonons

Array = NDArray[np.float64]
ASIDE = 1e-6
WEIGHTS = of_phono3py.get_integration_weights


def _aside(frequencies: Array, *others: Any, **options: Any) -> Array:
    """The mean of the weights a little below and above the frequencies."""
    both = [WEIGHTS(f * frequencies, *others, **options) for f in (1 - ASIDE, 1 + ASIDE)]
    return np.asarray(sum(both) / 2)


def _widths(phonons: Phono3py, mesh: Mesh, points: list[int], **options: bool) -> Array:
    """Half widths (n, n_bands) at some points of the mesh, counted as those of a regular grid."""
    phonons.mesh_numbers = list(mesh)
    usual = {
        "symmetrize_tetrahedra": True,
        "average_degenerate_weights": True,
        "exclude_gamma_acoustic": True,
    }
    isotope = Isotope(
        mesh,
        phonons.primitive,
        bz_grid=phonons.grid,
        cutoff_frequency=1e-4,
        **(usual | options),
    )
    isotope.init_dynamical_matrix(
        phonons.fc2, phonons.supercell, phonons.primitive, phonons.nac_params
    )
    found = []
    for point in points:
        isotope.set_grid_point(int(phonons.grid.grg2bzg[point]))
        isotope.run()
        found.append(isotope.gamma)
    return np.array(found)


@pytest.mark.parametrize("name", [name for name in CRYSTALS if name != "polar"])
def test_widths_are_those_of_all_points(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = CRYSTALS[name][2]
    points = np.random.default_rng(3).choice(np.prod(mesh), 8, replace=False).tolist()
    with isotopes_by_stars():
        found = _widths(emt_phonons(name), mesh, points)
    monkeypatch.setattr(of_phono3py, "get_integration_weights", _aside)
    expected = _widths(emt_phonons(name), mesh, points)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8 * expected.max())
    assert expected.max() > 0


@pytest.mark.parametrize("name", ["face-centred", "hexagonal"])
def test_rounding_does_not_matter(name: str) -> None:
    """Without the two frequencies, widths change by per cents with the last digit."""
    mesh, phonons = CRYSTALS[name][2], emt_phonons(name)
    points, constants = list(range(int(np.prod(mesh)))), phonons.fc2
    noise = 1 + 1e-14 * np.random.default_rng(4).standard_normal(constants.shape)
    with isotopes_by_stars():
        reference = _widths(phonons, mesh, points)
        try:
            phonons.fc2 = constants * noise
            again = _widths(phonons, mesh, points)
        finally:
            phonons.fc2 = constants
    np.testing.assert_allclose(again, reference, rtol=1e-5, atol=1e-7 * reference.max())


def test_other_settings_are_left_to_phono3py() -> None:
    phonons, mesh = emt_phonons("face-centred"), CRYSTALS["face-centred"][2]
    for option in ("symmetrize_tetrahedra", "average_degenerate_weights"):
        expected = _widths(phonons, mesh, [1, 5], **{option: False})
        with isotopes_by_stars():
            found = _widths(phonons, mesh, [1, 5], **{option: False})
        np.testing.assert_array_equal(found, expected)


def test_a_supercell_that_breaks_the_symmetry_is_left_to_phono3py() -> None:
    """Points of a star have other frequencies, so that none of them can stand for all."""
    phonons, mesh = emt_phonons("polar"), CRYSTALS["polar"][2]
    expected = _widths(phonons, mesh, [1, 5])
    with isotopes_by_stars():
        found = _widths(phonons, mesh, [1, 5])
    np.testing.assert_array_equal(found, expected)


def test_phono3py_is_as_before_outside() -> None:
    original = Isotope._run_rust
    with isotopes_by_stars():
        assert Isotope._run_rust is not original
    assert Isotope._run_rust is original
