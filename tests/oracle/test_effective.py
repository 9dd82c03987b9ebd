"""Effective force constants at a temperature, where the answer is known exactly."""

from __future__ import annotations

import functools
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.neighborlist import neighbor_list
from phono3py import Phono3py
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from scipy import constants

from oracle.contract.evaluation import Measured, Unstable
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons import doubts, effective, harmonic, supercells
from oracle.phonons.effective import effective_second_order, thermal_pairs
from oracle.phonons.relax import Relaxed
from oracle.phonons.settings import PhononSettings
from oracle.phonons.snapshots import second_order_fit
from oracle.runtime.context import Context

SETTINGS = PhononSettings(
    fc3_supercell=((2, 0, 0), (0, 2, 0), (0, 0, 2)),
    displacement=0.01,
    finite_temperature=60.0,
    finite_temperature_pairs=6,
)
SEED = "fedcba9876543210" * 4


class Springs:
    """A stand-in for a force field with forces that are linear in the displacements.

    Args:
        full: (3n, 3n), eV/Å².
        rest: (n, 3), Å.
    """

    def __init__(self, full: np.ndarray, rest: np.ndarray) -> None:
        self.full, self.rest, self.calls = full, rest, 0
        self.context = Context(Path("unused"))

    def many(self, structures: list[Atoms], stage: str) -> np.ndarray:
        self.calls += len(structures)
        moved = np.array([(atoms.positions - self.rest).ravel() for atoms in structures])
        return -(moved @ self.full).reshape(len(structures), -1, 3)


@pytest.fixture(scope="module")
def argon() -> tuple[Phono3py, np.ndarray]:
    """Supercell and compact constants of second order."""
    cell = bulk("Ar", "fcc", a=5.26, cubic=True)
    relaxed = Relaxed(cell.cell.array, cell.get_scaled_positions(), tuple(cell.symbols), 0, 1, None)
    phonons = supercells.phonons3(relaxed, SETTINGS, second=False)
    rest = supercells.as_atoms(phonons.supercell)
    drawn = np.random.default_rng(1).standard_normal((4, len(rest), 3)) * 0.005
    odd = []
    for displacement in drawn:
        both = []
        for sign in (1, -1):
            moved = rest.copy()
            moved.positions += sign * displacement
            moved.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=5.2, ro=4.0, smooth=True)
            both.append(moved.get_forces())
        odd.append((both[0] - both[1]) / 2)
    return phonons, second_order_fit(phonons, drawn, np.array(odd))


def test_a_harmonic_crystal_keeps_its_constants(argon: tuple[Phono3py, np.ndarray]) -> None:
    made, fc2 = argon
    full = supercells.full_second_order(made, fc2)
    field = Springs(full, supercells.as_atoms(made.supercell).positions)
    effective = effective_second_order(made, fc2, SETTINGS, field, SEED)  # type: ignore[arg-type]
    np.testing.assert_allclose(effective.fc2, fc2, atol=1e-8 * np.abs(fc2).max())
    assert effective.converged
    assert field.calls == 2 * SETTINGS.finite_temperature_pairs
    # The result does not depend on the first guess, even if that has only imaginary modes.
    again = effective_second_order(made, -fc2, SETTINGS, field, SEED)  # type: ignore[arg-type]
    np.testing.assert_allclose(again.fc2, fc2, atol=1e-6 * np.abs(fc2).max())


def test_displacements_obey_equipartition_when_hot(argon: tuple[Phono3py, np.ndarray]) -> None:
    made, fc2 = argon
    full, masses = supercells.full_second_order(made, fc2), np.asarray(made.supercell.masses)
    noise = np.random.default_rng(2).standard_normal((400, 3 * len(masses)))
    moved = effective._thermal(full, masses, 500.0, noise).reshape(400, -1)
    energy = 0.5 * np.einsum("si,ij,sj->s", moved, full, moved).mean()
    modes = 3 * len(masses) - 3
    boltzmann = constants.k / constants.e
    assert energy == pytest.approx(modes / 2 * boltzmann * 500.0, rel=0.02)
    np.testing.assert_allclose(moved.reshape(400, -1, 3).mean(axis=1), 0.0, atol=1e-10)


def test_third_order_pairs_have_the_thermal_energy(argon: tuple[Phono3py, np.ndarray]) -> None:
    made, fc2 = argon
    full, masses = supercells.full_second_order(made, fc2), np.asarray(made.supercell.masses)
    phonons = harmonic.dynamics(made.unitcell, made.supercell_matrix, made.primitive, fc2)
    draw = thermal_pairs(made, phonons, 500.0, SEED)
    moved = draw(range(200))
    flat = moved.reshape(200, -1)
    energies = 0.5 * np.einsum("si,ij,sj->s", flat, full, flat)
    thermal = (3 * len(masses) - 3) / 2 * constants.k / constants.e * 500.0
    assert energies[::2].mean() == pytest.approx(0.64 * thermal, rel=0.03)
    assert energies[1::2].mean() == pytest.approx(1.44 * thermal, rel=0.03)
    # A pair does not depend on those that are drawn with it.
    np.testing.assert_array_equal(draw(range(7, 9)), moved[7:9])


def test_thermal_pairs_follow_from_phonons_in_a_larger_supercell(
    argon: tuple[Phono3py, np.ndarray],
) -> None:
    """Modes that both supercells have are the same, wherever their force constants come from."""
    made, fc2 = argon
    smaller = SETTINGS.model_copy(update={"fc3_supercell": ((1, 0, 0), (0, 1, 0), (0, 0, 1))})
    cell = bulk("Ar", "fcc", a=5.26, cubic=True)
    relaxed = Relaxed(cell.cell.array, cell.get_scaled_positions(), tuple(cell.symbols), 0, 1, None)
    small = supercells.phonons3(relaxed, smaller, second=False)
    phonons = harmonic.dynamics(made.unitcell, made.supercell_matrix, made.primitive, fc2)
    moved = thermal_pairs(small, phonons, 500.0, SEED)(range(1000))
    masses = np.repeat(np.asarray(small.supercell.masses), 3)
    # In the cube of four atoms there are the modes at Γ and the three points X.
    points = [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
    omega = 2 * np.pi * 1e12 * np.asarray(phonons.run_qpoints(points).frequencies).ravel()
    expected = constants.k * 500.0 / constants.atomic_mass / omega**2 / constants.angstrom**2
    squares = (moved.reshape(1000, -1) ** 2 * masses).sum(axis=1)
    assert squares.mean() == pytest.approx(1.04 * expected.sum(), rel=0.05)


def test_conductivity_at_another_temperature_than_the_constants_carries_a_caution() -> None:
    settings = PhononSettings(temperatures=(30.0, 60.0, 240.0), finite_temperature=60.0)
    fields = doubts.cautions(
        settings, [], anharmonicity=np.zeros(3), softest=1.0, error=np.full(3, 0.05)
    )
    cold, same, hot = fields["cautions"]
    assert same is None
    assert "they are those at 60 K, this is 30 K" in cold
    assert "this is 240 K" in hot
    assert "this is 240 K" in fields["low_confidence"]
    at_rest = settings.model_copy(update={"finite_temperature": None})
    plain = doubts.cautions(
        at_rest, [], anharmonicity=np.zeros(3), softest=1.0, error=np.full(3, 0.05)
    )
    assert plain["low_confidence"] is None


def test_neighbours_move_together_in_the_third_order_supercells_of_an_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Atoms] = []

    class Watched(LennardJones):  # type: ignore[misc]
        def calculate(self, atoms: Any = None, *rest: Any, **more: Any) -> None:
            super().calculate(atoms, *rest, **more)
            if len(self.atoms) == 32:
                seen.append(self.atoms.copy())

    module = types.ModuleType("watched_argon")
    module.__file__ = __file__
    module.factory = functools.partial(  # type: ignore[attr-defined]
        Watched, sigma=3.4, epsilon=0.0104, rc=5.2, ro=4.0, smooth=True
    )
    monkeypatch.setitem(sys.modules, "watched_argon", module)
    settings = SETTINGS.model_copy(
        update={
            "calculator": "watched_argon:factory",
            "temperatures": (60.0,),
            "fc2_supercell": ((2, 0, 0), (0, 2, 0), (0, 0, 2)),
            "mesh": (5, 5, 5),
            "bands": False,
            "coherence": False,
            "relax_fmax": 1e-5,
        }
    )
    crystal = Crystal.from_structure(
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.26), ["Ar"], [[0.0] * 3])
    )
    evaluation = PhononBTE(settings).evaluate(crystal, context=Context(tmp_path))
    assert isinstance(evaluation, Measured), evaluation
    pairs = (evaluation.provenance["fc3_supercells"] - 1) // 2
    third = seen[-2 * pairs - 2 : -2]  # the last two are those of the anharmonicity
    found = [_together(*both) for both in zip(third[::2], third[1::2], strict=True)]
    assert len(found) == pairs
    # 0 on average, with a scatter of 0.04, for displacements in independent directions.
    assert np.mean(found) > 0.12
    assert np.isfinite(evaluation.properties["kappa"].value).all()


def _together(plus: Atoms, minus: Atoms) -> float:
    """Mean product of the displacements of neighbours along their bond, over the mean square."""
    moved = (plus.positions - minus.positions) / 2
    rest = plus.copy()
    rest.positions -= moved
    first, second, bonds = neighbor_list("ijD", rest, 4.4)
    assert len(first) == 12 * len(rest)  # so that the two are indeed a ± pair
    bonds /= np.linalg.norm(bonds, axis=1, keepdims=True)
    along, also = (np.einsum("na,na->n", moved[atoms], bonds) for atoms in (first, second))
    return float((along * also).mean() / np.square(along).mean())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_temperature_stabilises_cubic_strontium_titanate(tmp_path: Path) -> None:
    """With 7net-0 the octahedra tilt at rest; above 105 K the real crystal is cubic."""
    cubic = Structure.from_spacegroup(
        "Pm-3m",
        Lattice.cubic(3.92),
        ["Sr", "Ti", "O"],
        [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]],
    )
    settings = PhononSettings(mesh=(4, 4, 4), bands=False, coherence=False, pairs_max=13)
    context, crystal = Context(tmp_path), Crystal.from_structure(cubic)
    static = PhononBTE(settings).evaluate(crystal, context=context)
    assert isinstance(static, Unstable), static
    warm = PhononBTE(settings.model_copy(update={"finite_temperature": 600.0}))
    evaluation = warm.evaluate(crystal, context=context)
    assert isinstance(evaluation, Measured), evaluation
    assert evaluation.low_confidence is not None
    assert "stable only by temperature" in evaluation.low_confidence
    assert evaluation.provenance["effective"]["converged"]
