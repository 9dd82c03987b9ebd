"""Elastic constants from long waves, and the models of conductivity that rest on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.units import GPa
from hypothesis import given
from hypothesis import strategies as st
from scipy import constants
from scipy.spatial.transform import Rotation

from oracle.formulas import kappa_models
from oracle.phonons import harmonic, supercells
from oracle.phonons.elasticity import Elasticity, elasticity
from oracle.phonons.relax import Relaxed
from oracle.phonons.settings import PhononSettings

SETTINGS = PhononSettings(fc2_supercell=((3, 0, 0), (0, 3, 0), (0, 0, 3)), displacement=0.005)
# Velocities of the polycrystal, from measured stiffness (Hall, Phys. Rev. 161, 756 (1967)).
SILICON = kappa_models.Acoustics(8949.0, 5343.0, 20.02, 28.0855, 2, 1.06, 162.0)


def _argon() -> Atoms:
    """Argon at zero pressure, where elastic constants from energies and from waves agree."""
    atoms = bulk("Ar", "fcc", a=5.26, cubic=True)
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=7.0, ro=5.5, smooth=True)
    lengths = np.linspace(5.15, 5.35, 81)
    energies = []
    for length in lengths:
        atoms.set_cell([length] * 3, scale_atoms=True)
        energies.append(atoms.get_potential_energy())
    fit = np.polynomial.Polynomial.fit(lengths, energies, 6).deriv()
    roots = np.asarray(fit.roots(), dtype=np.complex128)
    real = roots.real[np.abs(roots.imag) < 1e-9]
    length = float(real[np.argmin(np.abs(real - 5.25))])
    atoms.set_cell([length] * 3, scale_atoms=True)
    return atoms


def test_long_waves_have_the_stiffness_of_strained_cells() -> None:
    atoms = _argon()
    relaxed = Relaxed(
        atoms.cell.array, atoms.get_scaled_positions(), tuple(atoms.symbols), 0.0, 1, None
    )
    phonons = supercells.phonons3(relaxed, SETTINGS, second=True)
    forces = []
    for moved in supercells.second_order_displacements(phonons, SETTINGS.displacement):
        moved.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=7.0, ro=5.5, smooth=True)
        forces.append(moved.get_forces())
    fc2 = supercells.second_order(phonons, np.array(forces))
    dynamics = harmonic.dynamics(
        phonons.unitcell, phonons.phonon_supercell_matrix, phonons.phonon_primitive, fc2
    )
    elastic = elasticity(dynamics)
    expected = _strained(atoms)
    assert elastic.stable
    np.testing.assert_allclose(elastic.stiffness, expected, atol=0.02 * expected[0, 0])
    assert elastic.bulk_modulus == pytest.approx(expected[0, :3].mean(), rel=0.02)


def _strained(atoms: Atoms) -> np.ndarray:
    """Stiffness (6, 6) in GPa by finite strains; one atom per cell has no internal relaxation."""
    cell, step = atoms.cell.array.copy(), 1e-3
    stiffness = np.zeros((6, 6))
    for column, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        stresses = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            atoms.set_cell(cell @ (np.eye(3) + strain), scale_atoms=True)
            stresses.append(atoms.get_stress() / GPa)
        stiffness[:, column] = (stresses[0] - stresses[1]) / (2 * step)
    atoms.set_cell(cell, scale_atoms=True)
    return stiffness


def test_averages_of_an_isotropic_solid_are_its_own_moduli() -> None:
    bulk_modulus, shear = 98.0, 66.0
    stiffness = np.diag([2 * shear] * 3 + [shear] * 3)
    stiffness[:3, :3] += bulk_modulus - 2 * shear / 3
    elastic = Elasticity(stiffness, 2330.0)
    assert elastic.bulk_modulus == pytest.approx(bulk_modulus)
    assert elastic.shear_modulus == pytest.approx(shear)
    assert elastic.transverse_velocity == pytest.approx(np.sqrt(shear * 1e9 / 2330.0))
    assert elastic.stable
    assert not Elasticity(-stiffness, 2330.0).stable


def test_cahill_reaches_its_closed_form_at_high_temperature() -> None:
    density = 1 / (SILICON.volume_per_atom * constants.angstrom**3)
    limit = 0.5 * (np.pi / 6) ** (1 / 3) * constants.k * density ** (2 / 3) * sum(SILICON.branches)
    assert kappa_models.cahill(SILICON, 20000.0) == pytest.approx(limit, rel=1e-3)
    assert 0.7 * limit < kappa_models.cahill(SILICON, 300.0) < limit
    # The two minimum models rest on the same idea and differ in how they average.
    assert kappa_models.clarke(SILICON) == pytest.approx(limit, rel=0.3)


def test_models_of_silicon_have_the_right_size() -> None:
    # Measured: 148 W/m/K and a Debye temperature of 645 K (Kittel, table 1 of chapter 5).
    assert SILICON.debye_temperature(SILICON.mean_velocity) == pytest.approx(645, rel=0.06)
    assert 148 / 3 < kappa_models.slack(SILICON, 300.0) < 148 * 3
    assert 148 / 3 < kappa_models.debye_callaway(SILICON, 300.0) < 148 * 3


@given(st.floats(400, 2000), st.floats(1.05, 4))
def test_models_fall_with_temperature_and_anharmonicity(temperature: float, more: float) -> None:
    for model in (kappa_models.slack, kappa_models.debye_callaway):
        plain = model(SILICON, temperature)
        assert model(SILICON, temperature * more) < plain
        assert model(replace(SILICON, gruneisen=1.06 * more), temperature) < plain
    assert kappa_models.cahill(SILICON, temperature * more) >= kappa_models.cahill(
        SILICON, temperature
    )


def test_callaway_goes_as_one_over_temperature_when_hot() -> None:
    ratio = kappa_models.debye_callaway(SILICON, 4000.0) / kappa_models.debye_callaway(
        SILICON, 8000.0
    )
    assert ratio == pytest.approx(2.0, rel=0.05)


def test_stiffness_turns_with_nothing_but_the_crystal() -> None:
    """A rotated isotropic tensor has the same averages."""
    turn = Rotation.from_euler("xyz", [0.3, 0.5, 0.7]).as_matrix()
    pairs = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    cubic = np.diag([166.0] * 3 + [80.0] * 3)
    cubic[:3, :3] += 64.0 * (1 - np.eye(3))
    full = np.zeros((3, 3, 3, 3))
    for a, (i, j) in enumerate(pairs):
        for b, (k, m) in enumerate(pairs):
            for x, y in ((i, j), (j, i)):
                for z, w in ((k, m), (m, k)):
                    full[x, y, z, w] = cubic[a, b]
    turned = np.einsum("ai,bj,ck,dl,ijkl->abcd", turn, turn, turn, turn, full)
    stiffness = np.array([[turned[(*p, *q)] for q in pairs] for p in pairs])
    one, other = Elasticity(cubic, 2330.0), Elasticity(stiffness, 2330.0)
    assert other.bulk_modulus == pytest.approx(one.bulk_modulus)
    assert other.young_modulus == pytest.approx(one.young_modulus, rel=0.02)
