"""DFT has the spin and Hubbard corrections of the training data, or is refused."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from oracle.potentials import dft_engines, dft_settings
from oracle.potentials.dft_magnetism import HUBBARD_U, MOMENTS, check_magnetism, hubbard_shells
from oracle.potentials.dft_settings import EspressoSettings, GpawSettings
from oracle.runtime.errors import OracleError


def _materials_project() -> dict[str, Any]:
    folder = files("pymatgen.io.vasp")
    names = ("VASPIncarBase.yaml", "MPRelaxSet.yaml")
    base, own = (yaml.safe_load(folder.joinpath(n).read_text(encoding="utf-8")) for n in names)
    return base.get("INCAR", base) | own["INCAR"]


PLAIN = ("Na", "Cl", "Si", "Ga", "As", "O", "F", "Ti", "Cu", "Zn", "Bi", "Te", "La", "Lu", "Mo")


def test_u_is_that_of_the_training_data() -> None:
    published = _materials_project()
    for anion in ("O", "F"):
        assert published["LDAUU"][anion] == HUBBARD_U
    assert published["ISPIN"] == 2
    strong = {x for x, moment in published["MAGMOM"].items() if x.isalpha() and moment > 1}
    # d electrons of Mo and W are non-magnetic in almost all crystals.
    assert strong - {"Mo", "W"} <= MOMENTS.keys()


@given(
    elements=st.lists(st.sampled_from([*PLAIN, *MOMENTS, *HUBBARD_U]), min_size=1, max_size=4),
    magnetic=st.sets(st.sampled_from(sorted(MOMENTS))),
    corrected=st.sets(st.sampled_from(sorted(HUBBARD_U))),
)
def test_elements_are_refused_until_the_settings_say_how(
    elements: list[str], magnetic: set[str], corrected: set[str]
) -> None:
    settings = GpawSettings(
        magnetic_moments=dict.fromkeys(magnetic, 0.0), hubbard_u=dict.fromkeys(corrected, 0.0)
    )
    oxide = "O" in elements or "F" in elements
    spin = {x for x in elements if x in MOMENTS} - magnetic
    u = {x for x in elements if oxide and x in HUBBARD_U} - corrected
    if not spin | u:
        check_magnetism(settings, elements)
        return
    with pytest.raises(OracleError) as caught:
        check_magnetism(settings, elements)
    message = caught.value.message
    assert "\n" not in message
    assert ("magnetic_moments={" in message) == bool(spin)
    assert ("hubbard_u={" in message) == bool(u)
    assert all(f"{x}: {MOMENTS[x]:g}" in message for x in spin)
    assert all(f"{x}: {HUBBARD_U[x]:g}" in message for x in u)


def test_no_program_is_started_for_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: Any, atoms: Atoms, folder: Path, *, stress: bool) -> dict[str, Any]:
        raise AssertionError("it was started")

    monkeypatch.setattr(dft_engines.Gpaw, "run", run)
    iron = bulk("Fe")
    iron.calc = dft_engines.Gpaw(GpawSettings())
    with pytest.raises(OracleError, match=r"magnetic_moments=\{Fe: 5\}") as caught:
        iron.get_forces()
    assert (caught.value.stage, caught.value.transient) == ("dft", False)


def test_gpaw_gets_moments_and_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[dict[str, Any]] = []

    def tethered(command: list[str], folder: Path, extra: dict[str, str]) -> int:
        requests.append(json.loads((folder / "request.json").read_text()))
        n = len(requests[-1]["numbers"])
        (folder / "result.json").write_text(json.dumps({"energy": 0.0, "forces": [[0, 0, 0]] * n}))
        return 0

    monkeypatch.setattr(dft_engines, "_tethered", tethered)
    settings = GpawSettings(magnetic_moments={"Ni": 5}, hubbard_u={"Ni": 6.2})
    for name, moments, shells in (
        ("NiO", [5.0, 0.0], {"Ni": ["3d", 6.2]}),
        ("NiS", [5.0, 0.0], {}),
        ("MgO", None, {}),
    ):
        atoms = bulk(name, "rocksalt", a=4.2)
        atoms.calc = dft_engines.Gpaw(settings)
        atoms.get_forces()
        assert (requests[-1]["moments"], requests[-1]["shells"]) == (moments, shells)


def test_espresso_gets_moments_and_shells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def tethered(command: list[str], folder: Path, extra: dict[str, str]) -> int:
        texts.append((folder / "pw.in").read_text())
        (folder / "stdout").write_text("convergence NOT achieved")
        return 0

    monkeypatch.setattr(dft_engines, "_tethered", tethered)
    (tmp_path / "Mn.upf").write_text('<PP_HEADER z_valence="1.500000E+01"/>')
    (tmp_path / "O.upf").write_text("    6.00000000000      Z valence\n")
    settings = EspressoSettings(
        pseudo_dir=tmp_path,
        pseudopotentials={"Mn": "Mn.upf", "O": "O.upf"},
        magnetic_moments={"Mn": 5},
        hubbard_u={"Mn": 3.9},
    )
    for moments in ({"Mn": 5.0}, {"Mn": 0.0}):
        atoms = bulk("MnO", "rocksalt", a=4.4)
        atoms.calc = dft_engines.Espresso(settings.model_copy(update={"magnetic_moments": moments}))
        with pytest.raises(OracleError, match="SCF"):
            atoms.get_forces()
    polarised, unpolarised = texts
    assert "HUBBARD (ortho-atomic)\nU Mn-3d 3.9\n" in polarised
    assert "HUBBARD (ortho-atomic)\nU Mn-3d 3.9\n" in unpolarised
    found = [line.split("=")[1] for line in polarised.splitlines() if "starting_magnet" in line]
    assert [float(value) for value in found] == pytest.approx([1 / 3, 0.0])
    assert "nspin" not in unpolarised


def test_a_pseudopotential_must_state_its_valence(tmp_path: Path) -> None:
    (tmp_path / "Fe.upf").write_text("iron")
    settings = EspressoSettings(
        pseudo_dir=tmp_path, pseudopotentials={"Fe": "Fe.upf"}, magnetic_moments={"Fe": 5}
    )
    atoms = bulk("Fe")
    atoms.calc = dft_engines.Espresso(settings)
    with pytest.raises(OracleError, match=r"Fe\.upf does not state its number of valence"):
        atoms.get_forces()


def test_shells_are_those_that_an_element_fills() -> None:
    settings = GpawSettings(hubbard_u={"Fe": 4, "Mo": 4, "W": 4, "Ce": 4, "U": 4, "Co": 0})
    shells = hubbard_shells(settings, ["Fe", "Mo", "W", "Ce", "U", "Co", "F"])
    assert {x: shell for x, (shell, _) in shells.items()} == {
        "Fe": "3d", "Mo": "4d", "W": "5d", "Ce": "4f", "U": "5f",
    }  # fmt: skip


def test_digests_without_spin_are_those_of_earlier_versions() -> None:
    old = {"engine", "cutoff_ev", "k_spacing", "xc", "smearing_ev", "energy_tolerance"} | {
        "density_tolerance", "eigenstates_tolerance", "force_tolerance", "scf_steps",
    }  # fmt: skip
    assert dft_settings.science(GpawSettings()).keys() == old
    spin = dft_settings.science(GpawSettings(magnetic_moments={"Fe": 0}))
    assert spin.keys() == old | {"magnetic_moments"}
