"""Effective force constants at a temperature, where the answer is known exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from phono3py import Phono3py
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from scipy import constants

from oracle.contract.evaluation import Measured, Unstable
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons import effective, supercells
from oracle.phonons.effective import effective_second_order
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


@pytest.mark.slow
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
