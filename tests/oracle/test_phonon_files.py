"""Complete evaluations with a very cheap potential: files, interruption, equivalent cells."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Measured, scalar
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons import third_order
from oracle.phonons.settings import PhononSettings
from oracle.potentials.table import calculator
from oracle.runtime.context import Context


class Killed(BaseException):
    """Simulates the end of the process; nothing in the oracle may catch it."""


class Argon(LennardJones):  # type: ignore[misc]
    """A Lennard-Jones solid, smooth at its cutoff, that counts and can be killed."""

    supercells: ClassVar[int] = 0
    kill_at: ClassVar[int | None] = None

    def __init__(self) -> None:
        super().__init__(sigma=3.4, epsilon=0.0104, rc=5.2, ro=4.0, smooth=True)

    def calculate(self, atoms: object = None, *rest: object, **more: object) -> None:
        # Raised before there is a result: ASE would keep it, but a killed process could not.
        if len(atoms if atoms is not None else self.atoms) > 4:  # type: ignore[arg-type]
            Argon.supercells += 1
            if Argon.supercells == Argon.kill_at:
                raise Killed
        super().calculate(atoms, *rest, **more)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> PhononSettings:
    module = types.ModuleType("cheap_calculators")
    module.__file__ = __file__
    module.Argon = Argon  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cheap_calculators", module)
    monkeypatch.setattr(Argon, "supercells", 0)
    monkeypatch.setattr(Argon, "kill_at", None)
    return PhononSettings.model_validate(
        {
            "calculator": "cheap_calculators:Argon",
            "temperatures": [20.0],
            "mesh": [6, 6, 6],
            "fc3_supercell": [2, 2, 2],
            "fc2_supercell": [2, 2, 2],
            "relax_fmax": 1e-5,
        }
    )


ARGON = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.26), ["Ar"], [[0.0] * 3])


def _measured(
    settings: PhononSettings, workdir: Path, structure: Structure = ARGON, large: bool = False
) -> Measured:
    evaluation = PhononBTE(settings).evaluate(
        Crystal.from_structure(structure), context=Context(workdir, keep_large=large)
    )
    assert isinstance(evaluation, Measured), evaluation
    return evaluation


@pytest.mark.parametrize("scale", [1.0, 0.8])
def test_phono3py_goes_on_from_the_files_and_gets_the_same(
    settings: PhononSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: float
) -> None:
    """Also where the force constants were scaled to correct for noise, which the file states."""
    import phono3py

    fitted = third_order._fit_with_error

    def scaled(*arguments: Any) -> Any:
        return fitted(*arguments)._replace(scale=scale)

    monkeypatch.setattr(third_order, "_fit_with_error", scaled)
    # phono3py's scattering by isotopes depends on rounding (`oracle.phonon_bte.isotopes`).
    pure = settings.model_copy(update={"isotope": False})
    evaluation = _measured(pure, tmp_path, large=True)
    paths = {name: tmp_path / path for name, path in evaluation.artefacts.items()}
    phonons = phono3py.load(
        paths["phono3py"],
        fc2_filename=paths["fc2"],
        fc3_filename=paths["fc3"],
        log_level=0,
    )
    phonons.mesh_numbers = [6, 6, 6]
    phonons.init_phph_interaction(average_degenerate_weights=True)
    phonons.run_thermal_conductivity(temperatures=[20.0])
    again = np.asarray(phonons.thermal_conductivity.kappa)[0, 0, :3]
    with h5py.File(paths["kappa"]) as file:
        mesh, ours = file["kappa_on_mesh"][0, :3], file["kappa"][0, :3]
        coherence = file["kappa_inter"][0, :3]
    np.testing.assert_allclose(ours, np.diag(evaluation.properties["kappa"].value[0]), rtol=1e-12)
    # Cells are rounded in the file; on this coarse mesh that changes kappa by 2e-4.
    np.testing.assert_allclose(again, mesh - coherence, rtol=1e-3)
    with h5py.File(paths["fc3"]) as file:
        assert file["scale"][()] == scale
        assert file["fc3"].attrs["scale"] == scale


def test_a_killed_evaluation_goes_on_where_it_was(settings: PhononSettings, tmp_path: Path) -> None:
    whole = _measured(settings, tmp_path / "whole")
    needed, Argon.supercells = Argon.supercells, 0
    Argon.kill_at = needed // 2
    with pytest.raises(Killed):
        _measured(settings, tmp_path / "killed")
    assert not list((tmp_path / "killed").rglob("evaluation.json"))
    calculator.cache_clear()  # what the potential remembers dies with its process
    Argon.kill_at, Argon.supercells = None, 0
    resumed = _measured(settings, tmp_path / "killed")
    # The supercell at which it was killed is the only one computed twice.
    assert (Argon.supercells, needed) == (needed - needed // 2 + 1, needed)
    # A calculator's list of neighbours depends on what it computed before: forces by 1e-18.
    assert resumed.properties.keys() == whole.properties.keys()
    for name, quantity in whole.properties.items():
        np.testing.assert_allclose(
            resumed.properties[name].value, quantity.value, rtol=1e-9, atol=1e-12, err_msg=name
        )
    assert resumed.low_confidence == whole.low_confidence


def test_a_second_evaluation_and_a_tighter_one_reuse_the_first(
    settings: PhononSettings, tmp_path: Path
) -> None:
    first = _measured(settings, tmp_path)
    needed, Argon.supercells = Argon.supercells, 0
    assert _measured(settings, tmp_path) == first
    assert Argon.supercells == 0
    # Another mesh needs no forces at all.
    _measured(settings.model_copy(update={"mesh": (5, 5, 5)}), tmp_path)
    assert Argon.supercells == 0
    # Other snapshots need new forces; relaxation and second order are already stored.
    _measured(settings.model_copy(update={"snapshot_seed": 1}), tmp_path)
    assert 0 < Argon.supercells < needed


def test_equivalent_cells_conduct_alike(settings: PhononSettings, tmp_path: Path) -> None:
    doubled = ARGON.copy()
    doubled.make_supercell([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    doubled.translate_sites(range(len(doubled)), [0.13, 0.21, 0.07])
    shuffled = Structure.from_sites(list(reversed(doubled.sites)))
    first = _measured(settings, tmp_path / "a")
    other = _measured(settings, tmp_path / "b", shuffled)
    assert scalar(other, "kappa") == pytest.approx(scalar(first, "kappa"), rel=1e-6)
    assert first.material.digest == other.material.digest
