"""Frequencies, stiffness and phase space of a crystal of springs, which is solved on paper.

In a face-centred cubic crystal whose nearest neighbours are joined by springs of stiffness s, the
elastic constants are C11 = 2 s / a and C12 = C44 = s / a, and the waves of the point X = (1, 0, 0)
obey m w² = 8 s (longitudinal) and 4 s (transverse): Born and Huang, Dynamical Theory of Crystal
Lattices, sections 6 and 11.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
from phono3py import Phono3py
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from scipy import constants

from oracle.phonon_bte.phase_space import joint_densities, phase_space
from oracle.phonons.acoustics import CrystalElasticity
from oracle.phonons.atomic_data import phonopy_cell
from oracle.phonons.elasticity import elasticity

LENGTH = 4.0  # Å
SPRING = 1.5  # eV/Å²
_SI = constants.e / constants.angstrom**2  # N/m in eV/Å²


def _cell() -> PhonopyAtoms:
    rows = LENGTH / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return phonopy_cell(rows, np.zeros((1, 3)), ["Al"])


def _springs(cell: np.ndarray, scaled: np.ndarray, spring: float) -> np.ndarray:
    """Force constants (n, n, 3, 3) of springs between nearest neighbours, eV/Å²."""
    count = len(scaled)
    apart = scaled[None] - scaled[:, None]
    apart -= np.rint(apart)
    vectors = apart @ cell
    lengths = np.linalg.norm(vectors, axis=2)
    near = np.abs(lengths - LENGTH / np.sqrt(2)) < 0.1
    units = np.divide(vectors, lengths[..., None], where=near[..., None], out=np.zeros_like(apart))
    forces = -spring * np.einsum("ijk,ijl->ijkl", units, units)
    forces[np.arange(count), np.arange(count)] = -forces.sum(axis=1)
    return np.asarray(forces)


@functools.cache
def _phonons(spring: float = SPRING) -> Phonopy:
    phonons = Phonopy(
        _cell(), supercell_matrix=3 * np.eye(3), primitive_matrix=np.eye(3), log_level=0
    )
    large = phonons.supercell
    phonons.force_constants = _springs(large.cell, large.scaled_positions, spring)
    return phonons


def _mass() -> float:
    return float(_phonons().primitive.masses[0]) * constants.atomic_mass


def test_waves_at_the_zone_boundary() -> None:
    found = np.sort(_phonons().run_qpoints([[0.5, 0.5, 0.0]]).frequencies[0])
    exact = np.sqrt(np.array([4, 4, 8]) * SPRING * _SI / _mass()) / (2 * np.pi * constants.tera)
    np.testing.assert_allclose(found, exact, rtol=1e-5)


def test_stiffness_follows_from_the_springs() -> None:
    elastic = elasticity(_phonons())
    unit = SPRING * _SI / (LENGTH * constants.angstrom) / constants.giga
    exact = np.zeros((6, 6))
    exact[:3, :3] = unit * (np.eye(3) + 1)
    exact[3:, 3:] = unit * np.eye(3)
    np.testing.assert_allclose(elastic.stiffness, exact, atol=1e-3 * unit)
    assert elastic.bulk_modulus == pytest.approx(4 / 3 * unit, rel=1e-3)
    assert elastic.density == pytest.approx(4 * _mass() / (LENGTH * constants.angstrom) ** 3)
    # Hill's average lies between the two shear moduli of the cubic crystal.
    assert unit / 2 < elastic.shear_modulus < unit


def _from_waves(spring: float = SPRING) -> CrystalElasticity:
    phonons = _phonons(spring)
    return CrystalElasticity(phonons.primitive, elasticity(phonons), None)


def test_sound_and_what_models_of_conductivity_are_given() -> None:
    found = _from_waves()
    elastic, crystal = found.best, found.acoustics(gruneisen=1.7)
    assert elastic is not None
    assert crystal is not None
    assert crystal.gruneisen == 1.7
    assert crystal.atoms == 1
    assert crystal.volume_per_atom == pytest.approx(LENGTH**3 / 4)
    assert crystal.mean_mass * constants.atomic_mass == pytest.approx(_mass())
    # Density times velocity squared is the modulus of the wave; Young's modulus follows.
    assert elastic.density * crystal.transverse**2 == pytest.approx(elastic.shear_modulus * 1e9)
    ratio = (crystal.longitudinal / crystal.transverse) ** 2
    poisson = (ratio - 2) / (2 * (ratio - 1))
    assert crystal.young_modulus == pytest.approx(2 * elastic.shear_modulus * (1 + poisson))


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_stiffer_springs_make_faster_sound(factor: float) -> None:
    soft, stiff = (_from_waves(spring).acoustics(2.0) for spring in (SPRING, factor * SPRING))
    assert soft is not None
    assert stiff is not None
    assert stiff.longitudinal / soft.longitudinal == pytest.approx(np.sqrt(factor))
    assert stiff.young_modulus / soft.young_modulus == pytest.approx(factor)


def test_springs_that_push_apart_have_no_sound() -> None:
    found = _from_waves(-SPRING)
    assert found.best is None
    assert found.acoustics(2.0) is None
    np.testing.assert_allclose(
        found.waves.stiffness, -_from_waves().waves.stiffness, atol=1e-3 * 60
    )


def _third_order(spring: float) -> Phono3py:
    phonons = Phono3py(
        _cell(), supercell_matrix=3 * np.eye(3), primitive_matrix=np.eye(3), log_level=0
    )
    large = phonons.phonon_supercell
    phonons.fc2 = _springs(large.cell, large.scaled_positions, spring)
    return phonons


def test_phase_space_is_measured_in_inverse_frequencies() -> None:
    """Twice the frequencies leave half as many processes per frequency."""
    slow, fast = (phase_space(_third_order(s), (5, 5, 5)).total for s in (SPRING, 4 * SPRING))
    assert slow > 0
    assert fast == pytest.approx(slow / 2, rel=1e-4)


def test_phase_space_is_the_sum_over_all_pairs_of_modes() -> None:
    """Counted by hand on the same mesh, with delta functions 0.25 THz wide.

    The three modes of frequency 0 scatter nothing. Both sums approach 0.0117 ps on denser meshes.
    """
    size, width = 7, 0.25
    indices = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    frequencies = np.asarray(_phonons().run_qpoints(indices / size).frequencies)
    frequencies = np.where(frequencies > 1e-3, frequencies, np.nan)

    def pairs(q: int, sign: int) -> np.ndarray:
        """Of each mode at q with each pair at q' and q ± q', the frequency that is missing."""
        third = (indices[q] + sign * indices) % size @ [size**2, size, 1]
        missing = (
            frequencies[q][:, None, None, None]
            + sign * frequencies[None, :, :, None]
            - frequencies[third][None, :, None, :]
        )
        return np.asarray(np.exp(-((missing / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi)))

    total = sum(np.nansum(pairs(q, 1)) + np.nansum(pairs(q, -1)) / 2 for q in range(size**3))
    by_hand = 2 / (3 * 3**3) * total / size**6
    found = phase_space(_third_order(SPRING), (size,) * 3)
    assert found.total == pytest.approx(by_hand, rel=0.15)
    assert (found.gap, found.starved) == (0.0, False)  # it has no optical modes


def test_joint_densities_count_every_pair_of_modes() -> None:
    """Over all frequencies, the density of sums of two frequencies holds n_bands² pairs."""
    points = list(joint_densities(_third_order(SPRING), (4, 4, 4)))
    assert sum(point.weight for point in points) == 4**3
    for point in points:
        pairs = np.trapezoid(point.densities[:, 1], point.frequencies)
        assert pairs == pytest.approx(9, rel=0.05)
        assert np.all(point.densities >= -1e-9)
