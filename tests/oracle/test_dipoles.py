"""Effective charges that are found in force constants, against point charges by another library."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.spacegroup import crystal
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from phonopy import Phonopy
from pymatgen.analysis.ewald import EwaldSummation
from pymatgen.core.structure import Structure

from oracle.phonons import second_order
from oracle.phonons.atomic_data import phonopy_cell
from oracle.phonons.dipoles import COULOMB, Dipoles, _allowed, dipole_sums, fitted_dipoles
from oracle.phonons.harmonic import Stability
from oracle.phonons.second_order import Harmonic
from oracle.phonons.settings import PhononSettings
from oracle.phonons.supercells import as_atoms

Array = NDArray[np.float64]
STEP = 0.01  # Å
CHARGES = {"Na": 1.0, "Cl": -1.0, "Zn": 1.6, "S": -1.6, "Mg": 1.4, "F": -0.7}
CRYSTALS = {
    "rocksalt": bulk("NaCl", "rocksalt", a=5.6),
    "wurtzite": bulk("ZnS", "wurtzite", a=3.82, c=6.26),
    "rutile": crystal(
        ("Mg", "F"),
        [(0, 0, 0), (0.305, 0.305, 0)],
        spacegroup=136,
        cellpar=[4.6, 4.6, 3.05] + [90] * 3,
    ),
}
CELLS = {
    "rocksalt": ([[-2, 2, 2], [2, -2, 2], [2, 2, -2]], [[4, 0, 0], [0, 4, 0], [0, 0, 4]]),
    "wurtzite": ([[3, 0, 0], [0, 3, 0], [0, 0, 2]], [[4, 0, 0], [0, 4, 0], [0, 0, 2]]),
    "rutile": ([[2, 0, 0], [0, 2, 0], [0, 0, 3]], [[3, 0, 0], [0, 3, 0], [0, 0, 3]]),
}


def _coulomb(atoms: Atoms) -> Array:
    """Forces of point charges (n, 3), without a macroscopic field, eV/Å."""
    structure = Structure(
        atoms.cell.array, atoms.get_chemical_symbols(), atoms.get_scaled_positions()
    )
    structure.add_oxidation_state_by_site([CHARGES[s] for s in atoms.symbols])
    return np.asarray(EwaldSummation(structure, compute_forces=True, acc_factor=12).forces)  # type: ignore[no-untyped-call]


def _attraction(atoms: Atoms, length: float) -> Array:
    """Forces (n, 3) between atoms that are less than 1.35 lengths of a bond apart, eV/Å."""
    moved = atoms.copy()
    moved.calc = LennardJones(
        sigma=length / 2 ** (1 / 6), epsilon=0.5, ro=1.1 * length, rc=1.35 * length, smooth=True
    )
    return np.asarray(moved.get_forces())


@functools.cache
def _phonons(name: str, which: int = 0, *, charged: bool = True) -> Phonopy:
    """Atoms that attract their neighbours, with charges or without."""
    atoms = CRYSTALS[name]
    cell = phonopy_cell(atoms.cell.array, atoms.get_scaled_positions(), list(atoms.symbols))
    made = Phonopy(
        cell, supercell_matrix=CELLS[name][which], primitive_matrix=np.eye(3), log_level=0
    )
    made.generate_displacements(distance=STEP)
    distances = (atoms * (2, 2, 2)).get_all_distances(mic=True)
    length = float(distances[distances > 0].min())
    forces = []
    for supercell in made.supercells_with_displacements:
        moved = as_atoms(supercell)
        forces.append(_attraction(moved, length) + (_coulomb(moved) if charged else 0.0))
    made.forces = forces
    made.produce_force_constants(calculate_full_force_constants=False)
    made.symmetrize_force_constants()
    return made


@pytest.mark.parametrize("name", CRYSTALS)
def test_charges_are_found(name: str) -> None:
    found = fitted_dipoles(_phonons(name))
    assert found is not None
    expected = np.array([CHARGES[s] for s in CRYSTALS[name].symbols])
    sign = np.sign(found.charges[0, 0, 0] * expected[0])
    np.testing.assert_allclose(sign * found.charges, expected[:, None, None] * np.eye(3), atol=1e-4)
    np.testing.assert_allclose(found.dielectric, np.eye(3), atol=1e-4)
    assert np.linalg.det(found.dielectric) == pytest.approx(1.0)
    assert found.explained > 0.999


@pytest.mark.parametrize("name", CRYSTALS)
def test_modes_between_commensurate_points_do_not_depend_on_the_supercell(name: str) -> None:
    def frequencies(which: int, *, dipoles: bool) -> Array:
        phonons = _phonons(name, which)
        found = fitted_dipoles(phonons)
        assert found is not None
        made = Phonopy(
            phonons.unitcell, phonons.supercell_matrix, primitive_matrix=np.eye(3), log_level=0
        )
        made.force_constants = phonons.force_constants
        if dipoles:
            made.nac_params = found.parameters
        made.run_mesh([7, 7, 7], is_gamma_center=False)
        return np.asarray(made.mesh.frequencies)

    def difference(*, dipoles: bool) -> float:
        one, other = (frequencies(which, dipoles=dipoles) for which in (0, 1))
        return float(np.sqrt(np.mean((one - other) ** 2) / np.mean(one**2)))

    assert difference(dipoles=True) < 0.15 * difference(dipoles=False)


@pytest.mark.parametrize("name", CRYSTALS)
def test_crystals_without_charges_have_no_dipoles(name: str) -> None:
    assert fitted_dipoles(_phonons(name, charged=False)) is None


def test_what_falls_faster_than_dipoles_is_not_taken_for_them() -> None:
    """As where electrons screen: near the middle of the cell they look alike."""
    phonons = _phonons("rocksalt", 1)
    made = Phonopy(phonons.unitcell, phonons.supercell_matrix, np.eye(3), log_level=0)
    shortest, where = made.primitive.get_smallest_vectors()
    vectors = np.asarray(shortest)[where[:, :, 1].T] @ made.primitive.cell
    distances = np.linalg.norm(vectors, axis=2)[:, :, None, None]
    for length, found in ((0.5, False), (50.0, True)):
        made.force_constants = phonons.force_constants * np.exp(-distances / length)
        assert (fitted_dipoles(made) is not None) is found


def test_symmetry_may_forbid_dipoles() -> None:
    silicon = bulk("Si", "diamond", a=5.4)
    cell = phonopy_cell(silicon.cell.array, silicon.get_scaled_positions(), ["Si", "Si"])
    made = Phonopy(cell, supercell_matrix=2 * np.eye(3), primitive_matrix=np.eye(3), log_level=0)
    made.force_constants = np.zeros((2, 16, 3, 3))
    assert fitted_dipoles(made) is None


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("form", ["random", "oscillating", "stiff along one axis"])
def test_what_no_dipoles_explain_is_left_alone(seed: int, form: str) -> None:
    """Such constants once drove the dielectric tensor to where the sum never ends."""
    phonons = _phonons("wurtzite", 1)
    made = Phonopy(phonons.unitcell, phonons.supercell_matrix, np.eye(3), log_level=0)
    rng = np.random.default_rng(seed)
    shortest, where = made.primitive.get_smallest_vectors()
    vectors = np.asarray(shortest)[where[:, :, 1].T] @ made.primitive.cell
    distances = np.linalg.norm(vectors, axis=2)[:, :, None, None] + 1e-9
    if form == "random":
        constants = rng.normal(size=(*distances.shape[:2], 3, 3)) / distances**2
    elif form == "oscillating":
        constants = np.cos((3 + seed) * distances) / distances**3 * np.eye(3)
    else:
        constants = np.diag([0.0, 0.0, 1.0]) * np.ones_like(distances) / distances**2
    made.force_constants = constants
    found = fitted_dipoles(made)
    if found is not None:
        assert np.linalg.eigvalsh(found.dielectric).min() > 0.3
        assert 0.3 <= found.explained <= 1


def test_atoms_that_are_all_equivalent_may_have_charges() -> None:
    """No scalar charge is left for them, but in selenium's chains there are tensors."""
    chains = crystal("Te", [(0.27, 0, 1 / 3)], spacegroup=152, cellpar=[4.5, 4.5, 5.9, 90, 90, 120])
    cell = phonopy_cell(chains.cell.array, chains.get_scaled_positions(), list(chains.symbols))
    made = Phonopy(cell, 3 * np.eye(3), np.eye(3), log_level=0)
    charges, _ = _allowed(made)
    assert len(charges) == 3
    tensors = np.tensordot([0.9, -0.5, 0.4], charges, 1)
    pairs = made.primitive, made.supercell
    within = np.array([pairs[0].p2p_map[atom] for atom in pairs[0].s2p_map])
    shortest, where = pairs[0].get_smallest_vectors()
    vectors = np.asarray(shortest)[where[:, :, 1].T] @ pairs[0].cell
    constants = np.zeros((*vectors.shape[:2], 3, 3))
    for i in range(len(pairs[0])):
        apart = np.linalg.norm(vectors[i], axis=1) > 1e-6
        sums = dipole_sums(vectors[i][apart], np.asarray(pairs[1].cell), np.eye(3))
        constants[i, apart] = tensors[i].T @ sums @ tensors[within[apart]]
    made.force_constants = constants
    found = fitted_dipoles(made)
    assert found is not None
    assert found.explained > 0.999


class TestSums:
    @pytest.mark.parametrize("number", [1, 7, 20])
    def test_they_are_the_force_constants_of_point_charges(self, number: int) -> None:
        atoms = CRYSTALS["wurtzite"] * (2, 2, 2)
        forces = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[0, 0] += sign * STEP
            forces.append(_coulomb(moved)[number])
        charges = CHARGES[atoms.symbols[0]] * CHARGES[atoms.symbols[number]]
        vector = atoms.positions[number] - atoms.positions[0]
        found = dipole_sums(vector[None], atoms.cell.array, np.eye(3))[0]
        expected = -(forces[0] - forces[1]) / (2 * STEP)
        np.testing.assert_allclose(charges * found[0], expected, atol=2e-4)

    def test_at_the_centre_of_a_cube_they_are_lorentz_field(self) -> None:
        found = dipole_sums(np.full((1, 3), 2.0), 4.0 * np.eye(3), np.eye(3))[0]
        np.testing.assert_allclose(found, -4 * np.pi / 3 / 64 * COULOMB * np.eye(3), atol=1e-6)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.floats(0.3, 3.0))
    def test_the_mean_dielectric_constant_divides_them(self, seed: int, mean: float) -> None:
        rng = np.random.default_rng(seed)
        lattice = 4 * np.eye(3) + rng.uniform(-1, 1, (3, 3))
        vector = rng.uniform(0.2, 0.8, (1, 3)) @ lattice
        tensor = np.eye(3) + 0.3 * np.ones((3, 3))
        np.testing.assert_allclose(
            dipole_sums(vector, lattice, mean * tensor),
            dipole_sums(vector, lattice, tensor) / mean,
            atol=1e-6,
        )
        # The field of a dipole in the lattice does not depend on which image is nearest.
        np.testing.assert_allclose(
            dipole_sums(vector + lattice[1] - 2 * lattice[0], lattice, tensor),
            dipole_sums(vector, lattice, tensor),
            atol=1e-6,
        )


class TestChoiceOfTheSupercell:
    """Crystals of ions have a smaller supercell of second order, if dipoles explain the rest."""

    @staticmethod
    def _tried(
        monkeypatch: pytest.MonkeyPatch,
        symbols: tuple[str, ...],
        explained: dict[int, float | None],
        *,
        stable: bool = True,
        **changes: Any,
    ) -> list[int]:
        """Numbers of atoms with which the second order was computed, the one used last."""
        tried: list[int] = []

        def gated(relaxed: Any, settings: PhononSettings, *_: Any) -> Harmonic:
            tried.append(settings.fc2_atoms)
            share = explained[settings.fc2_atoms]
            found = share and Dipoles(np.zeros((2, 3, 3)), np.eye(3), share)
            stability = Stability(0.0 if stable else -1.0, (0.0, 0.0, 0.0), 5.0, 0.0, stable)
            return Harmonic(None, np.zeros(1), None, stability, dipoles=found)  # type: ignore[arg-type]

        monkeypatch.setattr(second_order, "gated", gated)
        relaxed: Any = SimpleNamespace(symbols=symbols)
        nothing: Any = None
        settings = PhononSettings.model_validate(changes)
        found = second_order.second_order(relaxed, settings, nothing, nothing)
        assert found.only_dipoles == ((explained[tried[-1]] or 0) > 0.9)
        return tried

    def test_dipoles_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self._tried(monkeypatch, ("Na", "Cl"), {250: 0.95, 432: 0.95}) == [250]

    @pytest.mark.parametrize("share", [None, 0.7])
    def test_more_than_dipoles(self, monkeypatch: pytest.MonkeyPatch, share: float | None) -> None:
        assert self._tried(monkeypatch, ("Na", "Cl"), {250: share, 432: 0.8}) == [250, 432]

    def test_no_ions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self._tried(monkeypatch, ("Ga", "As"), {432: 0.4}) == [432]
        assert self._tried(monkeypatch, ("Xe",), {432: None}) == [432]
        assert self._tried(monkeypatch, ("Ne", "Cu", "Zn"), {432: None}) == [432]
        assert self._tried(monkeypatch, ("Na", "He", "O"), {250: 0.95}) == [250]

    def test_a_cell_that_may_make_it_unstable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tried = self._tried(
            monkeypatch, ("Na", "Cl"), {250: 0.95, 432: 0.95, 949: 0.95}, stable=False
        )
        assert tried == [250, 432, 949]

    @pytest.mark.parametrize(
        "changes",
        [
            {"fitted_charges": False},
            {"fc2_supercell": (2, 2, 2)},
            {"fc2_length": 12.0},
            {"born": {"dielectric": np.eye(3).tolist(), "charges": [np.eye(3).tolist()]}},
        ],
    )
    def test_what_was_asked_for(
        self, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
    ) -> None:
        assert self._tried(monkeypatch, ("Na", "Cl"), {432: 0.95}, **changes) == [432]
