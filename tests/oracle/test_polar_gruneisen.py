"""Grüneisen parameters of polar crystals, against frequencies at other volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones
from phono3py import Phono3py
from phonopy import Phonopy

from oracle.phonon_bte.gruneisen import mode_gruneisen
from oracle.phonons import supercells
from oracle.phonons.relax import Relaxed
from oracle.phonons.settings import PhononSettings
from oracle.phonons.snapshots import (
    equations,
    random_displacements,
    second_order_fit,
    solve,
    third_order_basis,
)

SETTINGS = PhononSettings(fc3_supercell=((2, 0, 0), (0, 2, 0), (0, 0, 2)))
MESH = (2, 3, 5)  # whose points lie on no symmetry axis, so that no modes are degenerate
LATTICE, STRAIN = 3.7, 1e-3


def _phonons(scale: float) -> Phono3py:
    """Gold with copper on the faces of its cube, where symmetry fixes all coordinates.

    Forces between nearest neighbours alone leave no error due to the supercell.
    """
    cell = bulk("Cu", "fcc", a=LATTICE * scale, cubic=True)
    cell.symbols[0] = "Au"
    positions = cell.get_scaled_positions()
    relaxed = Relaxed(cell.cell.array, positions, tuple(cell.symbols), 0, 1, None)
    return supercells.phonons3(relaxed, SETTINGS, second=False)


def _constants(phonons: Phono3py) -> tuple[np.ndarray, np.ndarray]:
    """Compact force constants of second and third order."""
    rest = supercells.as_atoms(phonons.supercell)
    basis = third_order_basis(phonons, 3.0, 6, 1.5)
    moved = random_displacements(len(rest), range(6), 0.002, "0" * 64)
    forces = []
    for displacement in moved:
        both = []
        for sign in (1.0, -1.0):
            atoms = supercells.displaced(rest, sign * displacement)
            atoms.calc = LennardJones(sigma=2.33, epsilon=0.4, ro=3.0, rc=3.3, smooth=True)
            both.append(atoms.get_forces())
        forces.append(both)
    plus, minus = np.array(forces).transpose(1, 0, 2, 3)
    fc3 = basis.compact(solve(equations(basis, moved, (plus + minus) / 2)).coefficients)
    return second_order_fit(phonons, moved, (plus - minus) / 2), fc3


def _polar(charge: float) -> dict[str, Any] | None:
    if not charge:
        return None
    charges = np.array([3 * charge, -charge, -charge, -charge])[:, None, None] * np.eye(3)
    return {"born": charges, "dielectric": 3.0 * np.eye(3), "factor": 14.4}


def _squares(scale: float, charge: float, points: np.ndarray) -> np.ndarray:
    made = _phonons(scale)
    fc2, _ = _constants(made)
    phonons = Phonopy(made.unitcell, made.supercell_matrix, primitive_matrix=np.eye(3), log_level=0)
    phonons.force_constants = fc2
    phonons.nac_params = _polar(charge)
    return np.asarray(phonons.run_qpoints(points).frequencies) ** 2


@pytest.mark.parametrize("charge", [0.0, 0.6])
def test_they_are_derivatives_of_frequencies_at_fixed_charges(charge: float) -> None:
    made = _phonons(1.0)
    fc2, fc3 = _constants(made)
    found = mode_gruneisen(made, fc2, fc3, MESH, _polar(charge))
    assert found.frequencies.min() > 0.5
    larger, smaller = (_squares(1 + sign * STRAIN, charge, found.qpoints) for sign in (1, -1))
    volumes = 3 * np.log((1 + STRAIN) / (1 - STRAIN))
    expected = -np.log(larger / smaller) / (2 * volumes)
    np.testing.assert_allclose(found.values, expected, atol=1e-3)
