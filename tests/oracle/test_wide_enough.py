"""Third-order constants that reach through their supercell are fitted again in a larger one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phono3py import Phono3py
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Measured
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonon_bte.wide_enough import in_wide_enough_cell
from oracle.phonons import supercells
from oracle.phonons.harmonic import Stability
from oracle.phonons.relax import Relaxed
from oracle.phonons.second_order import Harmonic
from oracle.phonons.settings import PhononSettings
from oracle.phonons.third_order import ThirdOrder, adaptive, finite_differences
from oracle.runtime.context import Context

NAC = {"born": np.zeros((2, 3, 3)), "dielectric": np.eye(3), "factor": 14.4}
_QUARTER = (0.25, 0.25, 0.25)
SETTINGS = PhononSettings(fc2_length=20.0)
DATASET = {"natom": 250, "first_atoms": [{"number": 0, "displacement": [0.03, 0.0, 0.0]}]}


def _salt(
    a: float = 5.6, shift: tuple[float, float, float] = (0.5, 0.0, 0.0), second: str = "Cl"
) -> tuple[Relaxed, Harmonic]:
    faces = [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
    positions = np.array([*faces, *((np.array(faces) + shift) % 1)])
    relaxed = Relaxed(a * np.eye(3), positions, ("Na",) * 4 + (second,) * 4, -3.0, 1, None)
    phonons = supercells.phonons3(relaxed, SETTINGS, second=True)
    phonons.nac_params = NAC
    phonons.phonon_dataset = DATASET
    nothing: Any = None
    stability: Stability = nothing  # not asked for
    return relaxed, Harmonic(phonons, np.zeros((2, 2, 3, 3)), nothing, stability)


class Fitting:
    """Stands in for the fit; keeps in which supercells it was asked."""

    def __init__(self, beyond: float, cutoff: float | None = None) -> None:
        none = np.zeros(1)
        self._third = ThirdOrder(
            none, 1.0, none, np.ones(1), none, 11, cutoff, 5, left_out=1e-3, beyond=beyond
        )
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, small: Phono3py, crystal: Harmonic) -> ThirdOrder:
        cells = small.supercell, crystal.phonons.supercell, crystal.phonons.phonon_supercell
        self.asked.append(tuple(map(len, cells)))
        return self._third


def test_what_a_fit_explains_well_stays() -> None:
    relaxed, crystal = _salt()
    fitting = Fitting(1e-5)
    small, same, third = in_wide_enough_cell(relaxed, crystal, SETTINGS, fitting)
    assert len(fitting.asked) == 1
    assert same is crystal
    assert len(small.supercell) == len(crystal.phonons.supercell) == 54
    assert third.supercells == 11


def test_what_it_does_not_is_fitted_in_a_larger_cell() -> None:
    relaxed, crystal = _salt()
    second = len(crystal.phonons.phonon_supercell)
    fitting = Fitting(1e-4)
    small, wide, third = in_wide_enough_cell(relaxed, crystal, SETTINGS, fitting)
    assert fitting.asked == [(54, 54, second), (128, 128, second)]
    assert len(small.supercell) == len(wide.phonons.supercell) == 128
    assert wide.phonons.nac_params is NAC
    assert wide.fc2 is crystal.fc2
    np.testing.assert_array_equal(
        wide.phonons.phonon_supercell_matrix, crystal.phonons.phonon_supercell_matrix
    )
    assert third.supercells == 22  # both fits are paid for
    assert wide.phonons.phonon_dataset == crystal.phonons.phonon_dataset == DATASET


def test_a_cell_of_few_more_atoms_is_not_enough() -> None:
    """Of a salt of large ions, 32 atoms are usual, and 54 the smallest wider cell."""
    relaxed, crystal = _salt(7.8)
    fitting = Fitting(1e-4)
    in_wide_enough_cell(relaxed, crystal, SETTINGS, fitting)
    assert [asked[0] for asked in fitting.asked] == [32, 128]


@pytest.mark.parametrize(
    ("a", "shift", "second", "atoms"),
    [
        (4.9, _QUARTER, "Cl", [128]),  # a zincblende whose 54 atoms are 10.4 Å from their images
        (4.9, _QUARTER, "Na", [128]),  # the diamond structure has its centres between atoms
        (6.0, _QUARTER, "Cl", [54]),  # 12.7 Å
        (4.2, (0.5, 0.0, 0.0), "Cl", [54]),  # 8.9 Å, but all atoms are centres of inversion
    ],
)
def test_small_cells_without_centres_of_inversion_are_never_fitted(
    a: float, shift: tuple[float, float, float], second: str, atoms: list[int]
) -> None:
    relaxed, crystal = _salt(a, shift, second)
    fitting = Fitting(1e-6)
    small, _, third = in_wide_enough_cell(relaxed, crystal, SETTINGS, fitting)
    assert [asked[0] for asked in fitting.asked] == atoms
    assert len(small.supercell) == atoms[-1]
    assert third.supercells == 11


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS.model_copy(update={"force_constants": "finite-difference"}),
        SETTINGS.model_copy(update={"fc3_cutoff": 4.0}),
        PhononSettings.model_validate({"calculator": {"engine": "gpaw"}}),
    ],
)
def test_they_stay_where_a_larger_cell_costs_too_much_or_nothing_folds(
    settings: PhononSettings,
) -> None:
    relaxed, crystal = _salt(4.9, _QUARTER)
    fitting = Fitting(1e-6)
    in_wide_enough_cell(relaxed, crystal, settings, fitting)
    assert [asked[0] for asked in fitting.asked] == [54]


def test_a_narrow_cell_that_was_asked_for_stays_and_has_the_error() -> None:
    relaxed, crystal = _salt(4.9, _QUARTER)
    narrow = SETTINGS.model_copy(update={"fc3_length": 8.0})
    fitting = Fitting(1e-6)
    small, _, _ = in_wide_enough_cell(relaxed, crystal, narrow, fitting)
    assert len(fitting.asked) == 1
    assert supercells.folds_long_constants(small)
    usual = supercells.phonons3(_salt(6.0, _QUARTER)[0], SETTINGS, second=False)
    assert not supercells.folds_long_constants(usual)


class _Springs:
    """A field of forces that pull each atom back; other constants do not matter here."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._rest: dict[int, Any] = {}

    def forces(self, atoms: Any, stage: str) -> Any:
        rest = self._rest.setdefault(len(atoms), atoms.positions.copy())
        return rest - atoms.positions

    def many(self, atoms: Any, stage: str, progress: Any) -> Any:
        return np.array([self.forces(one, stage) for one in atoms])


@pytest.mark.parametrize("a", [4.9, 6.0])
@pytest.mark.parametrize("way", ["finite-difference", "adaptive"])
def test_what_folds_has_an_error_that_says_so(tmp_path: Path, a: float, way: str) -> None:
    relaxed, _ = _salt(a, _QUARTER)
    small = supercells.phonons3(relaxed, SETTINGS, second=False)
    field: Any = _Springs(Context(tmp_path))
    field.forces(supercells.as_atoms(small.supercell), "rest")

    def kappa(fc3: Any) -> Any:
        return np.ones(1)

    third = (
        finite_differences(small, SETTINGS, field, kappa)
        if way == "finite-difference"
        else adaptive(small, SETTINGS, field, kappa, 0, "0" * 64)
    )
    assert (third.error[0] > 0.1) == (a < 5.0)


def test_crystals_of_which_nothing_was_measured_stay() -> None:
    """Fluorites, whose anions are no centres of inversion, have three atoms."""
    fluorite = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(4.6), ["O", "Li"], [[0, 0, 0], [0.25, 0.25, 0.25]]
    )
    symbols = tuple(site.specie.symbol for site in fluorite)
    relaxed = Relaxed(fluorite.lattice.matrix, fluorite.frac_coords, symbols, -3.0, 1, None)
    small = supercells.phonons3(relaxed, SETTINGS, second=False)
    assert len(small.primitive) == 3
    assert not supercells.folds_long_constants(small)


@pytest.mark.parametrize(
    ("settings", "fitting"),
    [
        (SETTINGS.model_copy(update={"fc3_supercell": ((2, 0, 0), (0, 2, 0), (0, 0, 2))}), None),
        (SETTINGS.model_copy(update={"fc3_length": 18.0, "fc3_atoms": 250}), None),  # none so large
        (SETTINGS, Fitting(1e-2, cutoff=4.0)),  # says nothing of the supercell
        (PhononSettings.model_validate({"calculator": {"engine": "gpaw"}}), None),  # takes days
    ],
)
def test_where_there_is_no_other_cell_it_stays(
    settings: PhononSettings, fitting: Fitting | None
) -> None:
    relaxed, crystal = _salt()
    fitting = fitting or Fitting(1e-4)
    in_wide_enough_cell(relaxed, crystal, settings, fitting)
    assert len(fitting.asked) == 1


def test_the_limit_is_where_the_error_exceeds_that_of_an_average_crystal() -> None:
    third = Fitting(0.0)(*_two())
    assert not third.reaches_through
    assert not replace(third, beyond=(0.049 / 8) ** 2).reaches_through
    assert replace(third, beyond=(0.051 / 8) ** 2).reaches_through


def _two() -> tuple[Phono3py, Harmonic]:
    relaxed, crystal = _salt()
    return supercells.phonons3(relaxed, SETTINGS, second=False), crystal


def test_an_evaluation_in_a_larger_cell_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit that copper exceeds; its constants are short, and kappa stays."""
    faces = [(0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0)]
    crystal = Crystal.from_structure(Structure(Lattice.cubic(3.6), ["Cu"] * 4, faces))
    settings = PhononSettings(
        calculator="ase.calculators.emt:EMT",
        fc3_length=7.5,
        fc2_length=14.0,
        mesh=(6, 6, 6),
        bands=False,
    )
    usual = PhononBTE(settings).evaluate(crystal, context=Context(tmp_path / "usual"))
    monkeypatch.setattr("oracle.phonons.third_order._CELL", 1e-9)
    monkeypatch.setattr("oracle.phonons.supercells._MOST_WIDER", 64)
    wide = PhononBTE(settings).evaluate(crystal, context=Context(tmp_path / "wide"))
    assert isinstance(usual, Measured)
    assert isinstance(wide, Measured)
    atoms = [abs(np.linalg.det(one.provenance["supercell"])) for one in (usual, wide)]
    assert atoms[1] >= 2 * atoms[0]
    assert wide.provenance["fc3_supercells"] > usual.provenance["fc3_supercells"]
    kappa = [one.properties["kappa"].value[0] for one in (usual, wide)]
    ratio = np.trace(kappa[1]) / np.trace(kappa[0])
    assert ratio == pytest.approx(1.0, abs=0.1)
