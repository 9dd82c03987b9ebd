"""Strengths of three-phonon processes by Fourier transform are those of phono3py."""

from __future__ import annotations

import numpy as np
import pytest
from phono3py.phonon3.interaction import Interaction

from oracle.phonon_bte import interaction
from oracle.phonon_bte.conductivity import conductivity
from oracle.phonon_bte.degenerate import averages_at_once
from oracle.phonon_bte.interaction import interactions_by_transform, is_transformed
from oracle.phonons.settings import PhononSettings
from tests.oracle.emt_crystals import CRYSTALS, emt_phonons

SETTINGS = PhononSettings(coherence=False, isotope=True)


@pytest.mark.parametrize("name", CRYSTALS)
def test_strengths_are_those_of_every_triple_by_itself(name: str) -> None:
    phonons, mesh = emt_phonons(name), CRYSTALS[name][2]
    phonons.mesh_numbers = list(mesh)
    phonons.init_phph_interaction(average_degenerate_weights=True, exclude_gamma_acoustic=True)
    strengths = phonons.phph_interaction
    strengths.run_phonon_solver()
    assert is_transformed(strengths)
    grid = phonons.grid
    for point in np.random.default_rng(1).choice(np.prod(mesh), 6, replace=False):
        strengths.set_grid_point(int(grid.grg2bzg[point]))
        strengths.run()
        expected = strengths.interaction_strength.copy()
        with interactions_by_transform():
            strengths.run()
        found = strengths.interaction_strength
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-11 * expected.max())
        assert expected.max() > 0


@pytest.mark.parametrize(
    ("name", "transport"), [*((name, "rta") for name in CRYSTALS), ("face-centred", "lbte")]
)
def test_lifetimes_are_those_of_phono3py(
    name: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phonons, mesh = emt_phonons(name), CRYSTALS[name][2]
    settings = SETTINGS.model_copy(update={"transport": transport})
    found = conductivity(phonons, settings, mesh, checked=False)
    used = []
    monkeypatch.setattr(interaction, "is_transformed", lambda _: used.append(1))
    expected = conductivity(phonons, settings, mesh, checked=False)
    assert used
    np.testing.assert_allclose(found.linewidths, expected.linewidths, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(found.particle, expected.particle, rtol=1e-6, atol=1e-9)


def test_averages_of_triples_are_those_of_phono3py() -> None:
    from phono3py.phonon3 import triplets

    rng = np.random.default_rng(2)
    weights = rng.uniform(size=(2, 7, 3, 6, 6))
    weights[:, 2, :, 1:3, 3] = 0.0
    ids = np.array([[0, 0, 2, 3, 4, 4], [0, 1, 2, 3, 4, 5], [0, 0, 0, 3, 3, 3], [0, 1, 1, 3, 4, 5]])
    chosen = rng.integers(0, 4, size=(7, 3))
    expected, found = weights.copy(), weights.copy()
    marks = [(weights == 0).all(axis=0).astype("byte") for _ in range(2)]
    triplets._average_weights_over_degenerate_sets(expected, marks[0], chosen, ids)
    with averages_at_once():
        triplets._average_weights_over_degenerate_sets(found, marks[1], chosen, ids)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(marks[1], marks[0])


def test_other_settings_are_left_to_phono3py() -> None:
    phonons = emt_phonons("face-centred")
    phonons.mesh_numbers = [4, 4, 4]
    for averaged, symmetrised in ((False, False), (True, True)):
        phonons._make_r0_average = averaged
        try:
            phonons.init_phph_interaction(symmetrize_fc3q=symmetrised)
            strengths = phonons.phph_interaction
            assert not is_transformed(strengths)
            strengths.run_phonon_solver()
            strengths.set_grid_point(1)
            strengths.run()
            expected = strengths.interaction_strength.copy()
            with interactions_by_transform():
                strengths.run()
            np.testing.assert_array_equal(strengths.interaction_strength, expected)
        finally:
            phonons._make_r0_average = True


def test_phono3py_is_as_before_outside() -> None:
    original = Interaction._run_rust
    with interactions_by_transform():
        assert Interaction._run_rust is not original
    assert Interaction._run_rust is original
