"""Group velocities at many wave vectors, against differences of frequencies and against phonopy."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from phonopy import Phonopy

from oracle.phonons import velocities
from oracle.phonons.atomic_data import phonopy_cell
from oracle.phonons.supercells import as_atoms
from oracle.phonons.velocities import group_velocities

MESH = (6, 6, 6)  # with points on axes and planes of symmetry, where modes are degenerate
STEP = 1e-5  # 1/Å
CASES = pytest.mark.parametrize(
    ("name", "charge"), [("cubic", 0.0), ("cubic", 0.5), ("hexagonal", 0.0)]
)


def _cell(name: str) -> Atoms:
    if name == "hexagonal":
        return bulk("Mg", "hcp", a=2.6, c=4.2)
    atoms = bulk("Cu", "fcc", a=3.7, cubic=True)
    atoms.symbols[0] = "Au"
    return atoms


@functools.cache
def _phonons(name: str, charge: float) -> Phonopy:
    """Neighbours that attract each other, with Born effective charges or without."""
    atoms = _cell(name)
    cell = phonopy_cell(atoms.cell.array, atoms.get_scaled_positions(), list(atoms.symbols))
    made = Phonopy(cell, supercell_matrix=3 * np.eye(3), primitive_matrix=np.eye(3), log_level=0)
    made.generate_displacements(distance=0.01)
    forces = []
    for supercell in made.supercells_with_displacements:
        moved = as_atoms(supercell)
        moved.calc = LennardJones(sigma=2.33, epsilon=0.4, ro=3.0, rc=3.5, smooth=True)
        forces.append(moved.get_forces())
    made.forces = forces
    made.produce_force_constants()
    if charge:
        number = len(atoms)
        signs = np.array([number - 1] + [-1] * (number - 1))
        made.nac_params = {
            "born": charge * signs[:, None, None] * np.eye(3),
            "dielectric": 3.0 * np.eye(3),
            "factor": 14.4,
        }
    return made


@CASES
def test_they_are_slopes_of_frequencies(name: str, charge: float) -> None:
    phonons = _phonons(name, charge)
    points = np.random.default_rng(2).uniform(-0.5, 0.5, (12, 3))
    found = group_velocities(phonons, points)
    cell = phonons.primitive.cell
    for axis in range(3):
        step = cell @ (STEP * np.eye(3)[axis])
        ahead, behind = (phonons.run_qpoints(points + sign * step).frequencies for sign in (1, -1))
        np.testing.assert_allclose(found[..., axis], (ahead - behind) / (2 * STEP), atol=1e-3)


@CASES
def test_they_are_those_of_phonopy_where_modes_are_degenerate(name: str, charge: float) -> None:
    phonons = _phonons(name, charge)
    phonons.run_mesh(MESH, is_gamma_center=True, with_group_velocities=True)
    sampled = phonons.mesh
    points = np.asarray(sampled.qpoints)
    frequencies = np.sort(sampled.frequencies, axis=1)
    assert (np.diff(frequencies, axis=1) < 1e-5).any()
    np.testing.assert_allclose(
        group_velocities(phonons, points), sampled.group_velocities, atol=1e-8
    )


def test_many_points_are_taken_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    phonons = _phonons("cubic", 0.0)
    points = np.random.default_rng(5).uniform(-0.5, 0.5, (17, 3))
    together = group_velocities(phonons, points)
    monkeypatch.setattr(velocities, "_TOGETHER", 500)
    np.testing.assert_array_equal(group_velocities(phonons, points), together)
