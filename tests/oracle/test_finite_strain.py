"""Elastic constants by finite strain, for crystals of many symmetries and in any frame."""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core.structure import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.vasp.inputs import Poscar
from rich.console import Console
from scipy.spatial.transform import Rotation

from oracle.materials.canonical import point_group
from oracle.materials.crystal import Crystal, canonicalize
from oracle.phonons.acoustics import CrystalElasticity, crystal_elasticity
from oracle.phonons.elasticity import VOIGT, Elasticity
from oracle.phonons.finite_strain import (
    Strained,
    independent_strains,
    kelvin_rotations,
    stiffness_from,
    strained,
)
from oracle.phonons.harmonic import Stability
from oracle.phonons.relax import relax
from oracle.phonons.second_order import Harmonic, second_order
from oracle.phonons.settings import PhononSettings
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore
from orchestrator.running.single import evaluate_file

POTENTIAL = "ase.calculators.emt:EMT"
SETTINGS = PhononSettings(calculator=POTENTIAL, fc2_length=6.0, relax_fmax=1e-4)


def _ordered(repeats: list[list[int]], *symbols: str) -> Structure:
    """Metals in a fixed order on the sites of a face-centred cubic lattice."""
    structure = Structure(bulk("Cu", a=3.9).cell.array, ["Cu"], [[0, 0, 0]])
    structure.make_supercell(repeats)
    return Structure(structure.lattice, symbols, structure.frac_coords)


METALS = {
    "cubic": _ordered([[1, 0, 0], [0, 1, 0], [0, 0, 1]], "Cu"),
    "hexagonal": AseAtomsAdaptor.get_structure(bulk("Ni", "hcp", a=2.5, c=4.08)),
    "trigonal": _ordered([[1, 0, 0], [0, 1, 0], [0, 0, 3]], "Cu", "Au", "Pd"),
    "monoclinic": _ordered([[1, 0, 0], [0, 2, 0], [0, 1, 2]], "Cu", "Au", "Pd", "Ag"),
}
# Relaxing four different atoms with ASE takes half a minute.
SLOW = pytest.param("monoclinic", marks=pytest.mark.slow)
STRAINS = {"cubic": 1, "hexagonal": 2, "trigonal": 2, "monoclinic": 4}


@functools.cache
def _curvatures(name: str) -> list[tuple[np.ndarray, float]]:
    """Strains (3, 3), and second derivatives of the energy along them per volume, GPa.

    Cell and atoms are relaxed with ASE alone, in the frame of `METALS`, and no stress enters the
    derivatives.
    """
    atoms = AseAtomsAdaptor.get_atoms(METALS[name])
    atoms = Atoms(atoms.symbols, cell=atoms.cell, positions=atoms.positions, pbc=True)
    atoms.calc = EMT()
    BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-4, steps=300)
    cell, places, step = atoms.cell.array.copy(), atoms.get_scaled_positions(), 6e-3

    def energy(strain: np.ndarray) -> float:
        atoms.set_cell(cell @ (np.eye(3) + strain))
        atoms.set_scaled_positions(places)
        # Energies are of second order in what forces are left.
        BFGS(atoms, logfile=None).run(fmax=2e-3, steps=100)
        return float(atoms.get_potential_energy())

    zero, volume = energy(np.zeros((3, 3))), abs(np.linalg.det(cell))
    rng = np.random.default_rng(1)
    found = []
    for _ in range(4):
        raw = rng.normal(size=(3, 3))
        strain = (raw + raw.T) / np.linalg.norm(raw + raw.T)
        both = energy(step * strain) + energy(-step * strain)
        found.append((strain, (both - 2 * zero) / step**2 / volume / units.GPa))
    return found


def _along(stiffness: np.ndarray, strain: np.ndarray) -> float:
    """Twice the energy per volume of a strain (3, 3), GPa, by a stiffness in Voigt notation."""
    voigt = np.array([(1 if i == j else 2) * strain[i, j] for i, j in VOIGT])
    return float(voigt @ stiffness @ voigt)


@functools.cache
def _harmonic(name: str, folder: Path) -> tuple[Harmonic, ForceField]:
    field = ForceField(POTENTIAL, StageStore(folder), Context(folder))
    relaxed = relax(Crystal.from_structure(METALS[name]), SETTINGS, field)
    return second_order(relaxed, SETTINGS, field, lambda _, work: work()), field


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strain")


@pytest.mark.parametrize("name", ["cubic", "hexagonal", "trigonal", SLOW])
def test_constants_are_those_of_strained_cells(name: str, folder: Path) -> None:
    harmonic, field = _harmonic(name, folder)
    found = strained(harmonic.dynamics, field)
    turn = canonicalize(METALS[name])[1]
    for strain, curvature in _curvatures(name):
        assert _along(found.fine.stiffness, turn @ strain @ turn.T) == pytest.approx(
            curvature, rel=0.02
        )
    assert found.strains == STRAINS[name]
    assert found.fine.stable
    assert not found.unstable
    error = found.error(lambda constants: constants.bulk_modulus)
    assert error is not None
    assert 0 < error < 0.02 * found.fine.bulk_modulus


def test_inner_relaxation_matters_and_is_there(folder: Path) -> None:
    """Atoms of a close-packed hexagonal crystal move along the planes when these are strained."""
    harmonic, field = _harmonic("hexagonal", folder)
    found = strained(harmonic.dynamics, field).fine.stiffness
    cell = harmonic.dynamics.primitive
    stresses = []
    for sign in (1, -1):
        clamped = Atoms(cell.symbols, cell=cell.cell, positions=cell.positions, pbc=True)
        clamped.calc = EMT()
        strain = np.eye(3) + sign * 1e-3 * np.diag([1, -1, 0])
        clamped.set_cell(cell.cell @ strain, scale_atoms=True)
        stresses.append(clamped.get_stress() / units.GPa)
    rigid = (stresses[0] - stresses[1])[0] / 2e-3
    assert found[0, 0] - found[0, 1] < 0.97 * rigid


def test_a_finished_stage_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harmonic, field = _harmonic("trigonal", folder)
    first = strained(harmonic.dynamics, field)

    def refuse(*arguments: object, **more: object) -> None:
        raise AssertionError("a stress was computed again")

    monkeypatch.setattr(EMT, "calculate", refuse)
    again = strained(harmonic.dynamics, field)
    np.testing.assert_array_equal(again.fine.stiffness, first.fine.stiffness)
    assert (again.calls, again.strains) == (first.calls, first.strains)


@pytest.mark.parametrize(("name", "number"), [*STRAINS.items(), ("triclinic", 6)])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_few_strains_determine_every_stiffness_of_a_symmetry(
    name: str, number: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    if name == "triclinic":
        rotations = np.stack([np.eye(3), -np.eye(3)])
    else:
        columns = METALS[name].lattice.matrix.T
        rotations = columns @ point_group(METALS[name]) @ np.linalg.inv(columns)
    turn = Rotation.random(random_state=seed).as_matrix()
    turns = kelvin_rotations(turn @ rotations @ turn.T)
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(6), atol=1e-9)
    raw = rng.normal(size=(6, 6))
    kelvin = np.mean(turns @ (raw + raw.T) @ turns.transpose(0, 2, 1), axis=0)
    strains = np.array(independent_strains(turns))
    # In another frame, components of a strain may be worse choices, but never more than six.
    assert number <= len(strains) <= 6
    found = stiffness_from(turns, strains, strains @ kelvin)
    lengths = np.sqrt([1, 1, 1, 2, 2, 2])
    np.testing.assert_allclose(found * np.outer(lengths, lengths), kelvin, atol=1e-8)


SHEARED = [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
REPEATED = [[0, 0, 1], [2, 0, 0], [0, 1, 0]]


@pytest.fixture(scope="module", params=["trigonal", SLOW])
def evaluated(request: pytest.FixtureRequest, folder: Path) -> str:
    """Name of a crystal that was evaluated once, whose stages are stored."""
    name: str = request.param
    _stiffness_of_file(METALS[name], folder)
    return name


def _stiffness_of_file(structure: Structure, folder: Path) -> np.ndarray:
    path = folder / "file.vasp"
    Poscar(structure, sort_structure=True).write_file(path, significant_figures=15)
    given = {"calculator": POTENTIAL, "fc2_length": 6, "relax_fmax": 1e-4}
    overrides = [*(f"{key}={value}" for key, value in given.items()), "fidelities=[harmonic]"]
    document = evaluate_file(folder / "home", path, None, overrides, Console(quiet=True))
    assert document["status"] == "measured", document["message"]
    assert {"bulk_modulus", "sound_velocity_transverse"} <= set(document["errors"])
    assert document["provenance"]["elasticity"]["method"] == "finite strain"
    return np.array(document["elastic_tensor"])


@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    cell=st.sampled_from([np.eye(3).tolist(), SHEARED, REPEATED]),
    mirrored=st.booleans(),
)
def test_the_elastic_tensor_of_a_file_is_in_its_frame(
    evaluated: str, folder: Path, seed: int, cell: list[list[int]], mirrored: bool
) -> None:
    turn = Rotation.random(random_state=seed).as_matrix() * (-1 if mirrored else 1)
    structure = METALS[evaluated].make_supercell(cell, in_place=False)
    moved = Structure(structure.lattice.matrix @ turn.T, structure.species, structure.frac_coords)
    stiffness = _stiffness_of_file(moved, folder)
    for strain, curvature in _curvatures(evaluated):
        assert _along(stiffness, turn @ strain @ turn.T) == pytest.approx(curvature, rel=0.03)


def _stiff(lowest: float) -> Elasticity:
    return Elasticity(np.diag([100.0, 100.0, 100.0, 50.0, 50.0, lowest]), 5000.0)


def _crystal(fine: float, coarse: float, waves: float) -> CrystalElasticity:
    cell: Any = SimpleNamespace()
    return CrystalElasticity(cell, _stiff(waves), Strained(_stiff(fine), _stiff(coarse), 2, 8))


STEADY = Stability(0.0, (0.0, 0.0, 0.0), 10.0, 1.0, stable=True)
LONG = Stability(-0.2, (0.05, 0.0, 0.0), 10.0, 1.0, stable=False, only_long_waves=True)
SOFT = Stability(-2.0, (0.5, 0.0, 0.0), 10.0, -2.0, stable=False)


def test_a_strain_that_lowers_the_energy_is_a_verdict() -> None:
    for lowest in (-3.0, -40.0):
        unstable = _crystal(lowest, lowest, 20.0)
        assert unstable.instability is not None
        assert f"{lowest:.1f} GPa" in unstable.instability
        assert not unstable.agrees_with_stability(STEADY)
    # Neither where the two strains disagree nor where the stiffness is zero but for rounding.
    for fine, coarse in ((-3.0, 3.0), (3.0, -3.0), (-0.01, -0.01), (3.0, 3.0)):
        assert _crystal(fine, coarse, 20.0).instability is None
        assert _crystal(fine, coarse, 20.0).agrees_with_stability(STEADY)


def test_imaginary_long_waves_need_a_strain_that_lowers_the_energy() -> None:
    stiff = _crystal(30.0, 30.0, -5.0)
    assert stiff.agrees_with_stability(LONG)
    assert "-0.20 THz" in stiff.doubts(LONG)[0]
    assert stiff.doubts(STEADY) == []
    assert not stiff.agrees_with_stability(SOFT)
    only_waves = CrystalElasticity(stiff.cell, stiff.waves, None, reason="no stress")
    assert not only_waves.agrees_with_stability(LONG)
    assert only_waves.doubts(LONG) == []
    assert only_waves.best is None


def test_a_truncated_second_order_is_recorded(folder: Path) -> None:
    harmonic, field = _harmonic("hexagonal", folder)
    found = crystal_elasticity(harmonic.dynamics, SETTINGS, field)
    assert found.strained is not None
    record = found.record()
    assert record["method"] == "finite strain"
    ratio = found.waves.bulk_modulus / found.strained.fine.bulk_modulus
    assert record["deviation_of_waves"] == pytest.approx(ratio - 1)
    assert record["truncated_force_constants"] == (abs(ratio - 1) > 0.15)
    hot = SETTINGS.model_copy(update={"finite_temperature": 500.0})
    at_temperature = crystal_elasticity(harmonic.dynamics, hot, field)
    assert at_temperature.record()["method"] == "force constants"
    assert at_temperature.best is at_temperature.waves
