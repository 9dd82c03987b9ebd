"""Forces of supercells are stored, counted, and independent of how many are computed at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from oracle.potentials import forces
from oracle.potentials.batched_forces import forces_at_once
from oracle.potentials.forces import ForceField
from oracle.potentials.table import calculator
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError
from oracle.runtime.stages import StageStore

SHARING = ("7net-0", "7net-mf-0", "chgnet")
"""Potentials whose libraries take several structures at once."""


def _shaken(number: int) -> list[Atoms]:
    """Rock-salt cells of 8 atoms, all of which are displaced at random."""
    rng = np.random.default_rng(1)
    cells = []
    for _ in range(number):
        atoms = bulk("NaCl", "rocksalt", 5.64, cubic=True)
        atoms.positions += rng.normal(scale=0.05, size=(8, 3))
        cells.append(atoms)
    return cells


def _field(folder: Path, potential: str, atoms_at_once: int | None, threads: int = 1) -> ForceField:
    context = Context(folder, threads=threads)
    return ForceField(potential, StageStore(folder), context, atoms_at_once=atoms_at_once)


def test_forces_are_kept_one_by_one(tmp_path: Path) -> None:
    """A killed evaluation loses only the supercell that it was computing."""
    (atoms,) = _shaken(1)
    first, second = (_field(tmp_path, "7net-0", None) for _ in range(2))
    forces = first.forces(atoms, "fc2")
    np.testing.assert_array_equal(second.forces(atoms, "fc2"), forces)
    assert (first.computed, second.computed, second.calls) == (1, 0, 1)


@pytest.mark.parametrize("potential", SHARING)
def test_one_pass_over_several_gives_what_one_by_one_gives(potential: str, tmp_path: Path) -> None:
    cells = _shaken(5)
    one_by_one = _field(tmp_path / "alone", potential, 0).many(cells, "fc3")
    shares: list[float] = []
    # 16 atoms: two cells to a pass, and one that is left over.
    field = _field(tmp_path / "together", potential, 16)
    together = field.many(cells, "fc3", shares.append)
    np.testing.assert_allclose(together, one_by_one, atol=2e-6)
    assert np.abs(one_by_one).max() > 0.1
    assert (field.calls, field.computed) == (5, 5)
    assert shares == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_a_pass_leaves_out_what_is_known(tmp_path: Path) -> None:
    cells = _shaken(4)
    _field(tmp_path, "7net-0", 0).many(cells[1:3], "fc3")
    field = _field(tmp_path, "7net-0", 64)
    forces = field.many(cells, "fc3")
    assert (field.calls, field.computed) == (4, 2)
    one_by_one = _field(tmp_path / "alone", "7net-0", 0).many(cells, "fc3")
    np.testing.assert_allclose(forces, one_by_one, atol=2e-6)


def test_one_by_one_works_after_a_pass_over_several(tmp_path: Path) -> None:
    """SevenNet must be told which of the two it has to compute."""
    cells = _shaken(3)
    before = _field(tmp_path / "before", "7net-0", 0).many(cells, "fc3")
    _field(tmp_path / "together", "7net-0", 64).many(cells, "fc3")
    after = _field(tmp_path / "after", "7net-0", 0).many(cells, "fc3")
    np.testing.assert_array_equal(after, before)


def test_threads_change_nothing(tmp_path: Path) -> None:
    cells = _shaken(4)
    one = _field(tmp_path / "one", "7net-0", None).many(cells, "fc3")
    two = _field(tmp_path / "two", "7net-0", None, threads=2).many(cells, "fc3")
    np.testing.assert_array_equal(two, one)


def test_large_structures_take_all_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several at once would take too much memory; their forces differ by rounding only."""
    cells, used = _shaken(2), []
    expected = _field(tmp_path / "one", "7net-0", None).many(cells, "fc3")
    monkeypatch.setattr(forces, "_TOGETHER", len(cells[0]))
    computed = forces.ForceField._computed

    def counted(field: ForceField, structures: list[Atoms]) -> list[Any]:
        used.append(torch.get_num_threads())
        return list(computed(field, structures))

    monkeypatch.setattr(forces.ForceField, "_computed", counted)
    found = _field(tmp_path / "large", "7net-0", None, threads=2).many(cells, "fc3")
    assert used == [2, 2]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_an_unknown_element_in_a_pass_is_named(tmp_path: Path) -> None:
    cells = [bulk("Po", "sc", 3.35), bulk("Po", "sc", 3.4)]
    with pytest.raises(OracleError, match="does not know Po"):
        _field(tmp_path, "7net-0", 64).many(cells, "fc3")


def test_other_libraries_refuse_a_pass() -> None:
    with pytest.raises(TypeError, match="one structure at a time"):
        forces_at_once(calculator("tersoff"), [bulk("Si"), bulk("Si")])
