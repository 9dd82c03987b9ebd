"""Force constants, spectra and supercells against exact relations, with a cheap potential."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.calculators.lj import LennardJones
from phono3py import Phono3py
from phonopy.structure.symmetry import Symmetry
from symfc.eig_solvers.matrix import BlockMatrixNode
from symfc.solvers.solver_O3 import prepare_normal_equation_O3

from oracle.materials import reciprocal
from oracle.phonons import harmonic, snapshots, supercells
from oracle.phonons.atomic_data import phonopy_cell
from oracle.phonons.relax import Relaxed
from oracle.phonons.settings import PhononSettings
from oracle.phonons.symmetry_at_once import symmetry_at_once
from oracle.runtime.errors import OracleError

SETTINGS = PhononSettings(fc3_supercell=((2, 0, 0), (0, 2, 0), (0, 0, 2)), displacement=0.01)
SEED = "0123456789abcdef" * 4
LENGTH = 5.26  # Å, argon near the minimum of the potential below


def _forces(atoms: Atoms) -> np.ndarray:
    atoms = atoms.copy()
    # Smooth at its cutoff, so that derivatives exist.
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=5.2, ro=4.0, smooth=True)
    return np.asarray(atoms.get_forces())


@pytest.fixture(scope="module")
def relaxed() -> Relaxed:
    cell = bulk("Ar", "fcc", a=LENGTH, cubic=True)
    return Relaxed(cell.cell.array, cell.get_scaled_positions(), tuple(cell.symbols), 0.0, 1, None)


@pytest.fixture(scope="module")
def phonons(relaxed: Relaxed) -> Phono3py:
    return supercells.phonons3(relaxed, SETTINGS, second=False)


@pytest.fixture(scope="module")
def full(relaxed: Relaxed) -> tuple[np.ndarray, np.ndarray]:
    """Second- and third-order force constants by finite differences of all pairs of atoms."""
    phonons = supercells.phonons3(relaxed, SETTINGS, second=False)
    moved = list(supercells.pair_displacements(phonons, SETTINGS.displacement))
    return supercells.third_order(phonons, np.array([_forces(atoms) for atoms in moved]))


@pytest.fixture(scope="module")
def pairs(phonons: Phono3py) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Displacements, even and odd forces of ± pairs."""
    rest = supercells.as_atoms(phonons.supercell)
    drawn = snapshots.random_displacements(len(rest), range(10), SETTINGS.displacement, SEED)
    both = []
    for sign in (1.0, -1.0):
        moved = [rest.copy() for _ in drawn]
        for atoms, displacement in zip(moved, drawn, strict=True):
            atoms.positions += sign * displacement
        both.append(np.array([_forces(atoms) for atoms in moved]))
    return drawn, (both[0] + both[1]) / 2 - _forces(rest), (both[0] - both[1]) / 2


def test_snapshots_give_the_constants_of_all_pairs(
    phonons: Phono3py,
    full: tuple[np.ndarray, np.ndarray],
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    drawn, even, odd = pairs
    basis = snapshots.third_order_basis(phonons, None, 10, 1.3)
    assert basis.pairs_needed(1.3) <= 10
    fit = snapshots.solve(snapshots.equations(basis, drawn, even))
    fc3 = basis.compact(fit.coefficients)
    assert np.linalg.norm(fc3 - full[1]) < 0.02 * np.linalg.norm(full[1])
    fc2 = snapshots.second_order_fit(phonons, drawn, odd)
    assert np.linalg.norm(fc2 - full[0]) < 0.005 * np.linalg.norm(full[0])


def test_sum_rule_and_permutations_hold_after_the_fit(
    phonons: Phono3py, pairs: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    basis = snapshots.third_order_basis(phonons, None, 10, 1.3)
    fit = snapshots.solve(snapshots.equations(basis, pairs[0], pairs[1]))
    fc3 = basis.compact(fit.coefficients)
    largest = np.abs(fc3).max()
    np.testing.assert_allclose(fc3.sum(axis=1), 0.0, atol=1e-9 * largest)
    np.testing.assert_allclose(fc3.sum(axis=2), 0.0, atol=1e-9 * largest)
    swapped = fc3.transpose(0, 2, 1, 3, 5, 4)
    np.testing.assert_allclose(fc3, swapped, atol=1e-9 * largest)


def test_constants_predict_forces_of_unseen_displacements(
    phonons: Phono3py, full: tuple[np.ndarray, np.ndarray]
) -> None:
    rest = supercells.as_atoms(phonons.supercell)
    moved = snapshots.random_displacements(len(rest), range(100, 101), 0.02, SEED)
    predicted = supercells.predicted_forces(phonons, *full, moved)[0]
    linear = supercells.predicted_forces(phonons, full[0], 0 * full[1], moved)[0]
    atoms = rest.copy()
    atoms.positions += moved[0]
    actual = _forces(atoms)
    left = np.linalg.norm(actual - predicted)
    assert left < 0.02 * np.linalg.norm(actual)
    assert left < 0.3 * np.linalg.norm(actual - linear)


@pytest.mark.parametrize("cutoff", [None, 3.6])
@pytest.mark.parametrize(
    ("crystal", "repeats"),
    [
        (bulk("SiC", "wurtzite", a=3.08, c=5.05), (2, 2, 1)),
        (bulk("NaCl", "rocksalt", a=5.64), (2, 2, 2)),
    ],
    ids=["wurtzite", "rocksalt"],
)
def test_equations_are_those_of_symfc(
    crystal: Atoms, repeats: tuple[int, int, int], cutoff: float | None
) -> None:
    """symfc sets them up for each atom of the supercell, without translations."""
    a, b, c = repeats
    repeated = PhononSettings(fc3_supercell=((a, 0, 0), (0, b, 0), (0, 0, c)))
    conventional = Relaxed(
        crystal.cell.array, crystal.get_scaled_positions(), tuple(crystal.symbols), 0.0, 1, None
    )
    phonons = supercells.phonons3(conventional, repeated, second=False)
    basis = snapshots.third_order_basis(phonons, cutoff, 10, 1.3)
    rng, n_atoms = np.random.default_rng(2), len(phonons.supercell)
    displacements, forces = rng.standard_normal((2, 3, n_atoms, 3))
    displacements *= np.array([0.01, 0.03, 0.2])[:, None, None]  # pairs of different lengths
    length = np.linalg.norm(displacements, axis=2).mean(axis=1)[:, None, None]
    scaled, right = displacements / length, forces / length**2
    matrix, vector = prepare_normal_equation_O3(
        scaled.reshape(3, -1),
        right.reshape(3, -1),
        basis.space.compact_compression_matrix,
        basis.space.blocked_basis_set,
        basis.space.atomic_decompr_idx,
    )
    system = snapshots.equations(basis, displacements, forces)
    np.testing.assert_allclose(system.matrix, matrix, atol=1e-12 * np.abs(matrix).max())
    np.testing.assert_allclose(system.vector, vector, atol=1e-12 * np.abs(vector).max())
    transposed = basis.design.right_hand_side(scaled, right)
    np.testing.assert_allclose(transposed, vector, atol=1e-12 * np.abs(vector).max())


def test_draws_of_the_error_scatter_as_much_as_the_error(
    phonons: Phono3py, pairs: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    basis = snapshots.third_order_basis(phonons, None, 10, 1.3)
    system = snapshots.equations(basis, pairs[0], pairs[1])
    fit, rng = snapshots.solve(system), np.random.default_rng(3)
    drawn = np.array([fit.drawn(basis, pairs[0], rng) for _ in range(100)]) - fit.coefficients
    # If C is the covariance of n unknowns, then x C^-1 x is n on average.
    expected = np.einsum("di,ij,dj->d", drawn, system.matrix / fit.variance, drawn).mean()
    assert expected == pytest.approx(basis.size, rel=0.1)


def test_draws_of_the_error_do_not_depend_on_how_the_basis_is_turned(
    phonons: Phono3py, pairs: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    basis = snapshots.third_order_basis(phonons, None, 10, 1.3)
    space = basis.space
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((basis.size, basis.size)))[0]
    whole = np.asarray(space.blocked_basis_set @ turn)
    block = BlockMatrixNode(np.arange(len(whole)), 0, basis.size, data=whole)
    turned = replace(
        basis,
        space=cast(
            Any,
            SimpleNamespace(
                compact_compression_matrix=space.compact_compression_matrix,
                atomic_decompr_idx=space.atomic_decompr_idx,
                blocked_basis_set=BlockMatrixNode(shape=whole.shape, first_child=block),
            ),
        ),
    )
    drawn = []
    for same in (basis, turned):
        fit = snapshots.solve(snapshots.equations(same, pairs[0], pairs[1]))
        noisy = fit.drawn(same, pairs[0], np.random.default_rng(7))
        drawn.append(same.compact(noisy) - same.compact(fit.coefficients))
    np.testing.assert_allclose(drawn[1], drawn[0], atol=1e-6 * np.abs(drawn[0]).max())


@pytest.mark.parametrize(
    ("crystal", "repeats"),
    [
        (bulk("NaCl", "rocksalt", a=5.64), [[3, 0, 0], [0, 3, 0], [0, 0, 3]]),
        (bulk("SiC", "wurtzite", a=3.08, c=5.05), [[2, 1, 0], [-1, 1, 0], [0, 0, 2]]),
        (bulk("Cu", "fcc", a=3.6, cubic=True), [[2, 0, 0], [0, 1, 0], [0, 0, 1]]),
        (bulk("CsCl", "cesiumchloride", a=4.1), [[1, 1, 0], [-1, 1, 0], [0, 0, 3]]),
    ],
    ids=["rocksalt", "wurtzite-hexagonal", "fcc-tetragonal", "cesium-chloride-tetragonal"],
)
def test_symmetry_at_once_is_that_one_by_one(crystal: Atoms, repeats: list[list[int]]) -> None:
    cell = make_supercell(crystal, np.array(repeats))
    shifted = phonopy_cell(cell.cell.array, cell.get_scaled_positions() + 0.013, list(cell.symbols))
    one_by_one = Symmetry(shifted)
    with symmetry_at_once():
        at_once = Symmetry(shifted)
    assert len(one_by_one.symmetry_operations["rotations"]) > 16
    for name in ("atomic_permutations", "pointgroup_operations", "reciprocal_operations"):
        np.testing.assert_array_equal(getattr(at_once, name), getattr(one_by_one, name))


def test_too_few_snapshots_are_said_to_be_too_few(phonons: Phono3py) -> None:
    basis = snapshots.third_order_basis(phonons, 6.0, 10, 1.3)
    per_pair = 3 * (len(phonons.supercell) - 1)
    empty = np.zeros(basis.size)
    system = snapshots.Equations(np.outer(empty, empty), empty, 0.0, min(per_pair, basis.size))
    with pytest.raises(OracleError, match="raise pairs_start"):
        snapshots.solve(system)


def test_snapshots_depend_on_nothing_but_their_number() -> None:
    some = snapshots.random_displacements(8, range(2, 4), 0.03, SEED)
    more = snapshots.random_displacements(8, range(6), 0.03, SEED)
    np.testing.assert_array_equal(some, more[2:4])
    assert not np.allclose(more[0], more[2])
    lengths = np.linalg.norm(more, axis=2)
    np.testing.assert_allclose(lengths.mean(), 0.03)


def test_gate_passes_a_crystal_and_refuses_what_is_upside_down(
    relaxed: Relaxed, full: tuple[np.ndarray, np.ndarray]
) -> None:
    made = supercells.phonons3(relaxed, SETTINGS, second=False)

    def gate(fc2: np.ndarray) -> harmonic.Stability:
        dynamics = harmonic.dynamics(made.unitcell, made.supercell_matrix, made.primitive, fc2)
        return harmonic.stability(dynamics, 0.1, 0.12)

    good, bad = gate(full[0]), gate(-full[0])
    assert good.stable
    assert good.lowest >= 0.0
    assert good.softest > 0.3
    assert not bad.stable
    assert bad.lowest == pytest.approx(-good.highest, rel=1e-3)
    assert np.linalg.norm(bad.q_point) > 0.1


def test_mean_square_displacements_agree_with_sampled_ones(
    relaxed: Relaxed, full: tuple[np.ndarray, np.ndarray]
) -> None:
    made = supercells.phonons3(relaxed, SETTINGS, second=False)
    dynamics = harmonic.dynamics(made.unitcell, made.supercell_matrix, made.primitive, full[0])
    # The supercell's own points, so that both averages are over the same modes.
    drawn = harmonic.thermal_displacements(dynamics, 40.0, 400, 7)
    again = harmonic.thermal_displacements(dynamics, 40.0, 400, 7)
    np.testing.assert_array_equal(drawn, again)
    dense = harmonic.max_msd(dynamics, (40.0, 80.0), (8, 8, 8))
    assert dense[1] > 1.5 * dense[0]
    # A finite supercell misses the longest waves.
    assert 0.6 * dense[0] < np.square(drawn).mean() < 1.05 * dense[0]


def test_mean_square_displacements_are_those_of_phonopy(
    relaxed: Relaxed, full: tuple[np.ndarray, np.ndarray]
) -> None:
    made = supercells.phonons3(relaxed, SETTINGS, second=False)
    dynamics = harmonic.dynamics(made.unitcell, made.supercell_matrix, made.primitive, full[0])
    temperatures = (5.0, 300.0)
    displacements = harmonic.max_msd(dynamics, temperatures, (4, 5, 6))
    dynamics.run_mesh(
        (4, 5, 6), with_eigenvectors=True, is_mesh_symmetry=False, is_gamma_center=True
    )
    theirs = dynamics.run_thermal_displacement_matrices(
        temperatures=list(temperatures), exclude_gamma_acoustic=True
    )
    largest = np.linalg.eigvalsh(theirs.thermal_displacement_matrices).max(axis=(1, 2))
    np.testing.assert_allclose(displacements, largest, rtol=1e-6)


def test_heat_capacity_of_one_oscillator() -> None:
    frequency, temperature = 3.0, 100.0
    x = 6.62607015e-34 * frequency * 1e12 / (1.380649e-23 * temperature)
    expected = x**2 * np.exp(x) / (np.exp(x) - 1) ** 2
    capacity = harmonic.heat_capacity(np.array([[frequency]]), np.ones(1), (temperature,))
    assert capacity[0] == pytest.approx(expected, rel=1e-9)


def test_mesh_becomes_coarser_where_it_would_be_too_dear() -> None:
    cell = np.eye(3) * 4.0
    free = reciprocal.mesh_of(cell, 0.15)
    assert free == (11, 11, 11)
    operations = np.array([np.eye(3)] * 48, dtype=int)
    assert harmonic.affordable_mesh(cell, 0.15, 6, operations, 1e12) == free
    affordable = harmonic.affordable_mesh(cell, 0.15, 6, operations, 1e6)
    assert np.prod(affordable) ** 2 * 6**3 / 48 <= 2 * 1e6  # of two atoms


def test_a_cell_in_which_no_constants_are_left_is_said_to_be_too_small() -> None:
    sodium_iodide = bulk("NaI", "rocksalt", 6.5, cubic=True)
    cell = phonopy_cell(
        sodium_iodide.cell.array,
        sodium_iodide.get_scaled_positions(),
        sodium_iodide.get_chemical_symbols(),
    )
    small = Phono3py(cell, supercell_matrix=np.eye(3, dtype=int), primitive_matrix="F", log_level=0)
    with pytest.raises(OracleError, match="of 8 atoms; give a longer fc3_cutoff or a larger"):
        snapshots.third_order_basis(small, 5.0, 10, 1.3)
