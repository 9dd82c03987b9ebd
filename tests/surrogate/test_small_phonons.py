"""Phonon frequencies of a doubled cell, compared with theory, and their use as descriptors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.materials.crystal import Crystal
from oracle.phonons import commensurate
from oracle.phonons.commensurate import commensurate_frequencies
from surrogate.features.feature_store import FeatureStore
from surrogate.features.small_phonons import SMALL_PHONONS, path_of, small_phonons, summary

SIGMA, EPSILON = 3.4, 0.0104


def _argon(lattice: float = 5.3) -> Structure:
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(lattice), ["Ar"], [[0, 0, 0]])


@pytest.fixture
def lennard_jones(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = LennardJones(sigma=SIGMA, epsilon=EPSILON, rc=1.4 * SIGMA, smooth=True)
    monkeypatch.setattr(commensurate, "calculator", lambda name: engine)


def test_frequencies_of_nearest_neighbours_follow_the_textbook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With springs k between nearest neighbours of an fcc crystal, X has w^2 = 8k/m and 4k/m."""
    lattice = SIGMA * 2 ** (1 / 6) * 2**0.5
    primitive = _argon(lattice).get_primitive_structure()
    engine = LennardJones(sigma=SIGMA, epsilon=EPSILON, rc=1.3 * SIGMA)  # the first shell only
    monkeypatch.setattr(commensurate, "calculator", lambda name: engine)
    frequencies = commensurate_frequencies(primitive, "any")
    assert frequencies is not None
    assert frequencies.shape == (8, 3)
    # At the minimum the transverse springs vanish and k = 72 eps / (2^(1/3) sigma^2).
    spring = 72 * EPSILON / (2 ** (1 / 3) * SIGMA**2)
    unit = 15.633302  # THz of sqrt(eV / Å^2 / amu) / 2 pi
    expected = unit * np.sqrt(np.array([4.0, 4.0, 8.0]) * spring / 39.948)
    boundary = frequencies[1:]
    fastest = boundary[np.argmax(boundary.max(axis=1))]
    # The curvature over a displacement of 0.03 Å is not quite that of the minimum.
    assert np.sort(fastest)[-1] == pytest.approx(expected[-1], rel=0.01)
    assert np.abs(frequencies[0]).max() < 0.02  # Γ has nothing but zeros


@pytest.mark.usefixtures("lennard_jones")
def test_an_unstable_crystal_has_negative_softness() -> None:
    stable = summary(commensurate_frequencies(_argon().get_primitive_structure(), "any"))  # type: ignore[arg-type]
    cubic = Structure(Lattice.cubic(3.5), ["Ar"], [[0, 0, 0]])  # simple cubic cannot hold
    soft = summary(commensurate_frequencies(cubic, "any"))  # type: ignore[arg-type]
    softness = list(SMALL_PHONONS).index("softness")
    assert stable[softness] > 0.2
    assert soft[softness] < -0.1
    assert np.isfinite(stable).all()
    assert np.isfinite(soft).all()


@pytest.mark.usefixtures("lennard_jones")
def test_expensive_calculations_are_skipped() -> None:
    assert commensurate_frequencies(_argon() * (5, 5, 2), "any") is None


def test_results_are_cached_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crystal = Crystal.from_structure(_argon())
    engine = LennardJones(sigma=SIGMA, epsilon=EPSILON, rc=1.4 * SIGMA, smooth=True)
    monkeypatch.setattr(commensurate, "calculator", lambda name: engine)
    first = small_phonons("7net-0", crystal, 37.0, tmp_path)
    assert path_of("7net-0", crystal, tmp_path).is_file()
    monkeypatch.setattr(commensurate, "calculator", lambda name: 1 / 0)
    np.testing.assert_array_equal(small_phonons("7net-0", crystal, 37.0, tmp_path), first)
    unknown = small_phonons("7net-0", crystal, float("nan"), None)
    assert np.isnan(unknown).all()


def test_a_store_adds_one_block_of_them() -> None:
    salt = Crystal.from_structure(
        Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(5.69), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
        )
    )
    plain, more = FeatureStore("7net-0"), FeatureStore("7net-0", phonons=True)
    without, with_ = plain.inputs([salt]), more.inputs([salt])
    assert len(with_.blocks) == len(without.blocks) + 1
    np.testing.assert_array_equal(with_.blocks[0], without.blocks[0])
    values = dict(zip(SMALL_PHONONS, with_.blocks[1][0], strict=True))
    assert 0.2 < values["log_mean_frequency"] < 0.9  # NaCl: about 4 THz
    assert values["softness"] > 0.2
