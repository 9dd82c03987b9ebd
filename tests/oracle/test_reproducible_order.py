"""Noise of a potential must not decide on the order of atoms, which random displacements follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.materials.crystal import Crystal
from oracle.phonons.relax import relax
from oracle.phonons.settings import PhononSettings
from oracle.phonons.supercells import phonons3
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore

NOISE = 1e-7  # eV/Å, as the forces of single precision have from one process to the next
SOURCE = f"""
import numpy as np
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT

class Noisy(EMT):
    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        for name in ("forces", "stress"):
            noise = np.random.default_rng().normal(scale={NOISE}, size=self.results[name].shape)
            self.results[name] = self.results[name] + noise
"""
TETRAGONAL = Lattice.tetragonal(2.9, 8.6)
CRYSTALS = {
    "cubic": Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(3.8), ["Au", "Cu"], [[0, 0, 0], [0, 0.5, 0.5]]
    ),
    "face-centred": Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.6), ["Cu"], [[0, 0, 0]]),
    "body-centred": Structure.from_spacegroup(
        "I4/mmm", TETRAGONAL, ["Au", "Cu"], [[0, 0, 0], [0, 0, 0.334]]
    ),
    "hexagonal": Structure.from_spacegroup(
        "P6_3/mmc", Lattice.hexagonal(2.6, 4.2), ["Cu"], [[1 / 3, 2 / 3, 0.25]]
    ),
}


@pytest.fixture(autouse=True)
def _importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "noisy_forces.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize("name", CRYSTALS)
def test_relaxing_again_gives_the_same_supercells(name: str, tmp_path: Path) -> None:
    settings = PhononSettings(
        calculator="noisy_forces:Noisy", fc2_length=8, fc3_length=6, bands=False
    )
    crystal = Crystal.from_structure(CRYSTALS[name])
    cells, first = [], None
    for again in range(3):
        field = ForceField(
            "noisy_forces:Noisy", StageStore(tmp_path / str(again)), Context(tmp_path)
        )
        relaxed = relax(crystal, settings, field)
        phonons = phonons3(relaxed, settings, second=True)
        found = phonons.supercell, phonons.phonon_supercell
        first = found if first is None else first
        cells.append(relaxed.cell)
        for one, other in zip(first, found, strict=True):
            assert one.symbols == other.symbols
            apart = one.scaled_positions - other.scaled_positions
            assert np.abs(apart - np.rint(apart)).max() < 1e-5
    assert np.ptp(cells, axis=0).max() > 0.0  # else nothing was tried


def test_numbers_are_stored_without_noise(tmp_path: Path) -> None:
    settings = PhononSettings(calculator="noisy_forces:Noisy")
    field = ForceField("noisy_forces:Noisy", StageStore(tmp_path / "stages"), Context(tmp_path))
    found = relax(Crystal.from_structure(CRYSTALS["cubic"]), settings, field)
    positions: NDArray[np.float64] = found.positions
    assert set(positions.ravel().tolist()) == {0.0, 0.5}
    assert set(found.cell[~np.eye(3, dtype=bool)].tolist()) == {0.0}
