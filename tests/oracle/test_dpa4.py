"""DPA4, whose library is imported without the operators that it was compiled with."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell

from oracle.potentials import deep_potential
from oracle.potentials.forces import ForceField
from oracle.potentials.table import calculator, copies_may_share, takes_several, weights_path
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError
from oracle.runtime.stages import StageStore

ROOT = Path(__file__).parents[2]
NAME = "dpa4-neo-0704"
WEIGHTS = weights_path(NAME)
assert WEIGHTS is not None  # it has weights of its own

needs_weights = pytest.mark.skipif(
    not WEIGHTS.is_file(), reason=f"`phonoscout potentials fetch {NAME}` brings its weights"
)


@pytest.fixture
def crystal() -> Atoms:
    """Zincblende MgTe (8 atoms), displaced so that no force vanishes by symmetry."""
    pytest.importorskip("deepmd", reason="deepmd-kit is not installed")
    atoms = make_supercell(bulk("MgTe", "zincblende", a=6.42), [[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    atoms.rattle(0.08, seed=3)
    atoms.calc = calculator(NAME)
    return atoms


@needs_weights
def test_forces_are_derivatives_of_the_energy(crystal: Atoms) -> None:
    step = 0.02  # Å; energies are single precision, so a smaller one only adds noise
    for atom, axis in ((0, 0), (3, 1), (6, 2)):
        energies = []
        for sign in (1, -1):
            moved = crystal.copy()
            moved.positions[atom, axis] += sign * step
            moved.calc = crystal.calc
            energies.append(moved.get_potential_energy())
        slope = (energies[1] - energies[0]) / (2 * step)
        assert crystal.get_forces()[atom, axis] == pytest.approx(slope, abs=3e-3)


@needs_weights
def test_forces_do_not_depend_on_the_number_of_threads(crystal: Atoms, tmp_path: Path) -> None:
    assert copies_may_share(NAME)
    assert not takes_several(NAME)  # on a GPU
    cells = []
    for seed in range(6):
        cells.append(crystal.copy())
        cells[-1].rattle(0.03, seed=seed)
    found = []
    for threads in (1, 3):
        folder = tmp_path / str(threads)
        field = ForceField(NAME, StageStore(folder), Context(folder, threads=threads))
        found.append(field.many(cells, "fc3"))
    np.testing.assert_array_equal(found[0], found[1])


@needs_weights
def test_stress_is_the_derivative_of_the_energy_in_strain(crystal: Atoms) -> None:
    step = 0.004
    energies = []
    for sign in (1, -1):
        strained = crystal.copy()
        strain = np.diag([1 + sign * step, 1, 1])
        strained.set_cell(crystal.cell.array @ strain, scale_atoms=True)
        strained.calc = crystal.calc
        energies.append(strained.get_potential_energy())
    slope = (energies[0] - energies[1]) / (2 * step) / crystal.get_volume()
    assert crystal.get_stress()[0] == pytest.approx(slope, abs=1e-4)


@needs_weights
def test_forces_turn_with_the_crystal_and_repeat_to_the_bit(crystal: Atoms) -> None:
    forces = crystal.get_forces()
    turned = crystal.copy()
    turned.rotate(33.0, (1, 2, 3), rotate_cell=True)
    turned.calc = crystal.calc
    plain = Atoms("H", positions=[[1.0, 0.0, 0.0]])
    axes = []
    for unit in np.eye(3):
        plain.positions[0] = unit
        plain.rotate(33.0, (1, 2, 3))
        axes.append(plain.positions[0].copy())
    assert np.allclose(turned.get_forces(), forces @ np.array(axes), atol=1e-5)
    again = crystal.copy()
    again.rattle(1e-9, seed=1)  # so that nothing is remembered
    again.positions = crystal.positions
    again.calc = crystal.calc
    again.calc.reset()
    assert np.array_equal(again.get_forces(), forces)


@needs_weights
def test_loading_prints_nothing() -> None:
    pytest.importorskip("deepmd", reason="deepmd-kit is not installed")
    code = f"from oracle.potentials.table import calculator; calculator({NAME!r})"
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:oracle", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert (done.stdout, done.stderr) == ("", "")


@needs_weights
def test_loading_leaves_the_compiler_and_the_elements_to_others() -> None:
    """They are not imported, since that takes longer than all the rest, and can be later."""
    pytest.importorskip("deepmd", reason="deepmd-kit is not installed")
    code = (
        "import sys, torch; from oracle.potentials.table import calculator; "
        f"calculator({NAME!r}); "
        "print([n for n in ('torch._dynamo', 'mendeleev', 'pandas') if n in sys.modules]); "
        "import mendeleev, torch._dynamo; "
        "print(mendeleev.element('Na').atomic_number, torch.compiler.is_compiling(), "
        "torch.compile(lambda x: x + 1, backend='eager')(torch.ones(1)).item())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines() == ["[]", "11 False 2.0"]


def test_another_release_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep_potential, "version", lambda name: "4.0.0")
    with pytest.raises(OracleError, match=r"deepmd-kit 4\.0\.0 is installed; expected 3\.2"):
        deep_potential.dpa4(Path("/nowhere.pt"))


def test_the_extra_allows_the_releases_that_were_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (line,) = (text for text in project["optional-dependencies"]["dpa4"] if "deepmd" in text)
    assert line == "deepmd-kit>=3.2,<3.3"
    assert deep_potential.RELEASES == ("3.2.",)
