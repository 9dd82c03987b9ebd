"""Forces on atoms at rest, which symmetry forbids and some potentials have all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from numpy.typing import NDArray
from phono3py import Phono3py
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.materials.crystal import Crystal
from oracle.phonons import supercells
from oracle.phonons.anharmonicity import anharmonicity
from oracle.phonons.doubts import broken_symmetry
from oracle.phonons.relax import Relaxed, relax
from oracle.phonons.second_order import Harmonic, gated
from oracle.phonons.settings import PhononSettings
from oracle.phonons.third_order import ThirdOrder
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore

PUSH = 0.05  # eV/Å
PLAIN, PUSHING = "ase.calculators.emt:EMT", "pushing_layers:Pushing"
SOURCE = f'''
import numpy as np
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT

class Pushing(EMT):
    """Pushes the two layers of a close-packed hexagonal crystal apart, along the axis.

    Each layer is a mirror plane, so that its atoms cannot prefer a side.
    """

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        heights = self.atoms.positions[:, 2]
        layers = np.rint((heights - heights[0]) / 2.0).astype(int)
        self.results["forces"] = self.results["forces"].copy()
        self.results["forces"][:, 2] += {PUSH} * (-1.0) ** layers
'''


@pytest.fixture(autouse=True)
def _importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pushing_layers.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))


def _untimed(stage: str, work: Callable[[], Any]) -> Any:
    return work()


def _run(name: str, folder: Path) -> tuple[Relaxed, Harmonic, ForceField]:
    settings = PhononSettings(calculator=name, fc2_length=7, fc3_length=5, bands=False)
    atoms = bulk("Cu", "hcp", a=2.54, c=4.16)
    field = ForceField(name, StageStore(folder / "stages"), Context(folder))
    relaxed = relax(Crystal.from_structure(AseAtomsAdaptor.get_structure(atoms)), settings, field)
    return relaxed, gated(relaxed, settings, field, _untimed), field


def test_they_do_not_enter_force_constants(tmp_path: Path) -> None:
    _, plain, _ = _run(PLAIN, tmp_path)
    _, pushed, _ = _run(PUSHING, tmp_path)
    assert plain.rest_force < 1e-3
    assert pushed.rest_force == pytest.approx(PUSH, rel=1e-2)
    np.testing.assert_allclose(pushed.fc2, plain.fc2, atol=2e-3)
    assert pushed.stability.lowest == pytest.approx(plain.stability.lowest, abs=0.02)


def test_nor_do_they_count_as_anharmonic(tmp_path: Path) -> None:
    shares = []
    for name in (PLAIN, PUSHING):
        relaxed, _, field = _run(name, tmp_path)
        shares.append(_anharmonic(relaxed, field))
    assert shares[1] == pytest.approx(shares[0], rel=0.02)


def _anharmonic(relaxed: Relaxed, field: ForceField) -> float:
    """Share of the thermal forces beyond second order, in a supercell for both orders."""
    both = PhononSettings(calculator=field.potential, fc2_length=5, fc3_length=5, bands=False)
    small = supercells.phonons3(relaxed, both, second=False)
    n, m = len(small.primitive), len(small.supercell)
    third = ThirdOrder(
        fc3=np.zeros((n, m, m, 3, 3, 3)),
        scale=1.0,
        fc2=_second_order(supercells.phonons3(relaxed, both, second=True), field),
        kappa=np.ones(1),
        error=np.zeros(1),
        supercells=0,
        cutoff=None,
        constants=None,
    )
    return anharmonicity(small, third, field, temperature=100.0, seed=1)


def _second_order(phonons: Phono3py, field: ForceField) -> NDArray[np.float64]:
    moved = supercells.second_order_displacements(phonons, 0.03)
    rest = field.forces(supercells.as_atoms(phonons.unitcell), "fc2")
    forces = field.many(moved, "fc2") - supercells.rest_forces(phonons.phonon_supercell, rest)
    return supercells.second_order(phonons, forces)


def test_large_ones_are_said() -> None:
    assert broken_symmetry(0.001) == []
    (text,) = broken_symmetry(0.05)
    assert "0.05 eV/Å" in text
