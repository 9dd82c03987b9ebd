"""Failures are evaluations with stage and cause, and leave no incomplete files."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Failed, Measured, Unstable
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context

QUICK = PhononSettings(calculator="7net-0", fc2_length=12.0, mesh=(4, 4, 4), bands=False)


class Faulty(Calculator):  # type: ignore[misc]
    """Correct for some calls, then wrong in a way that a subclass chooses."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: object = None,
        system_changes: object = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": self.forces(), "stress": np.zeros(6)}

    def forces(self) -> np.ndarray:
        """The forces that the calculator returns."""
        return np.zeros((len(self.atoms), 3))


class WrongShape(Faulty):
    """One force too few."""

    def forces(self) -> np.ndarray:
        return np.zeros((len(self.atoms) - 1, 3))


class OutOfMemory(Faulty):
    """Large supercells do not fit."""

    def forces(self) -> np.ndarray:
        if len(self.atoms) > 8:
            raise MemoryError
        return super().forces()


def _rocksalt(first: str, second: str, a: float) -> Crystal:
    sites = [[0.0] * 3, [0.5] * 3]
    return Crystal.from_structure(
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [first, second], sites)
    )


def _evaluate(crystal: Crystal, workdir: Path, **changes: object) -> Measured | Unstable | Failed:
    settings = PhononSettings.model_validate({**QUICK.model_dump(), **changes})
    return PhononBTE(settings).evaluate(crystal, context=Context(workdir))


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> str:
    module = types.ModuleType("faulty_calculators")
    module.__file__ = __file__
    for kind in (Faulty, WrongShape, OutOfMemory):
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "faulty_calculators", module)
    return "faulty_calculators"


@pytest.mark.parametrize(
    ("kind", "stage", "words", "permanent"),
    [
        ("WrongShape", "relax", "shape (7, 3)", True),
        ("Faulty", "stability", "do not interact", True),
        ("OutOfMemory", "fc2", "out of memory", False),
    ],
)
def test_a_bad_calculator_is_named(
    faulty: str, kind: str, stage: str, words: str, permanent: bool, tmp_path: Path
) -> None:
    evaluation = _evaluate(_rocksalt("Na", "Cl", 5.6), tmp_path, calculator=f"{faulty}:{kind}")
    assert isinstance(evaluation, Failed)
    assert (evaluation.stage, evaluation.permanent) == (stage, permanent)
    assert words in evaluation.message
    assert "\n" not in evaluation.message
    assert not list(tmp_path.rglob(".writing-*"))
    assert not list(tmp_path.rglob("evaluation.json"))


def test_an_element_the_potential_does_not_know_is_named(tmp_path: Path) -> None:
    evaluation = _evaluate(_rocksalt("Fr", "Cl", 6.9), tmp_path, calculator="7net-0")
    assert isinstance(evaluation, Failed)
    assert evaluation.permanent
    assert "does not know Fr" in evaluation.message


def test_a_relaxation_that_does_not_end_says_what_is_left(tmp_path: Path) -> None:
    evaluation = _evaluate(_rocksalt("Na", "Cl", 6.2), tmp_path, relax_steps=2)
    assert isinstance(evaluation, Failed)
    assert evaluation.stage == "relax"
    assert "after 2 steps" in evaluation.message
    assert "relax_steps" in evaluation.message


def test_a_crystal_that_becomes_another_one_is_not_measured(tmp_path: Path) -> None:
    evaluation = _evaluate(_rocksalt("Na", "Cl", 6.2), tmp_path, volume_change=0.1)
    assert isinstance(evaluation, Unstable)
    assert evaluation.stage == "relax"
    assert "volume changed" in evaluation.reason
    assert "kappa" not in evaluation.properties


def test_stored_evaluation_is_the_same_object_again(tmp_path: Path) -> None:
    first = _evaluate(_rocksalt("Na", "Cl", 6.2), tmp_path, volume_change=0.1)
    again = _evaluate(_rocksalt("Na", "Cl", 6.2), tmp_path, volume_change=0.1)
    assert again == first
