"""Charges are used for the crystal they belong to, and for no other in the same folder."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from rich.console import Console

from oracle.materials.crystal import canonicalize
from oracle.phonons.settings import BornCharges, PhononSettings
from oracle.runtime.errors import OracleError
from oracle.structure_files.born_files import charges_beside
from oracle.structure_files.structure_io import read_structure
from orchestrator.assembly.charges import ChargesChoice, with_charges
from orchestrator.config.errors import ConfigError
from orchestrator.running.single import oracle_settings

BORN = (
    "14.400\n2.4 0 0 0 2.4 0 0 0 2.4\n"
    "1.0 0 0 0 1.0 0 0 0 1.0\n{anion} 0 0 0 {anion} 0 0 0 {anion}\n"
)


def salt(cation: str, anion: str, a: float) -> Structure:
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(a), [cation, anion], [[0.0] * 3, [0.5] * 3]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two salts beside each other, without charges."""
    salt("Na", "Cl", 5.64).to(str(tmp_path / "NaCl.cif"))
    salt("Mg", "O", 4.21).to(str(tmp_path / "MgO.cif"))
    return tmp_path


def _beside(path: Path) -> Path | None:
    return charges_beside(path, read_structure(path))


def test_charges_beside_different_crystals_must_say_whose_they_are(folder: Path) -> None:
    (folder / "BORN").write_text(BORN.format(anion=-1.0))
    for name, other in (("NaCl.cif", "MgO.cif"), ("MgO.cif", "NaCl.cif")):
        with pytest.raises(OracleError, match="different crystals") as caught:
            _beside(folder / name)
        stem = name.removesuffix(".cif")
        assert other in caught.value.message
        assert f"{stem}.BORN" in caught.value.message
        assert "\n" not in caught.value.message
    (folder / "BORN").rename(folder / "NaCl.BORN")
    assert _beside(folder / "NaCl.cif") == folder / "NaCl.BORN"
    assert _beside(folder / "MgO.cif") is None


@pytest.mark.parametrize(
    "name", ["NaCl.BORN", "NaCl.cif.BORN", "BORN.NaCl", "BORN_NaCl", "BORN-NaCl"]
)
def test_names_that_say_whose_charges_they_are(folder: Path, name: str) -> None:
    (folder / name).write_text(BORN.format(anion=-1.0))
    assert _beside(folder / "NaCl.cif") == folder / name
    assert _beside(folder / "MgO.cif") is None


def test_several_files_of_one_crystal_share_their_charges(tmp_path: Path) -> None:
    structure = salt("Na", "Cl", 5.64)
    structure.to(str(tmp_path / "NaCl.cif"))
    (structure * (2, 1, 1)).to(filename=str(tmp_path / "CONTCAR"), fmt="poscar")
    salt("Na", "Cl", 5.6).to(filename=str(tmp_path / "POSCAR"), fmt="poscar")
    (structure * (2, 2, 2)).perturb(0.03).to(filename=str(tmp_path / "POSCAR-001"), fmt="poscar")
    (tmp_path / "phonopy_disp.yaml").write_text("phonopy: 1\n")
    (tmp_path / "BORN").write_text(BORN.format(anion=-1.0))
    assert _beside(tmp_path / "NaCl.cif") == tmp_path / "BORN"
    (tmp_path / "broken.cif").write_text("data_x\n")
    with pytest.raises(OracleError, match=r"broken\.cif"):
        _beside(tmp_path / "NaCl.cif")


def _given(folder: Path, choice: ChargesChoice) -> tuple[PhononSettings, str]:
    path = folder / "NaCl.cif"
    structure = read_structure(path)
    crystal, rotation = canonicalize(structure)
    console = Console(file=io.StringIO(), width=200)
    changed = with_charges(
        PhononSettings(), choice, path, structure, crystal.conventional(), rotation, console
    )
    assert isinstance(console.file, io.StringIO)
    return changed, console.file.getvalue()


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_charges_in_any_encoding(folder: Path, ends: str, encoding: str) -> None:
    text = BORN.format(anion=-1.0).replace("\n", ends)
    (folder / "NaCl.BORN").write_bytes(text.encode(encoding))
    settings, remark = _given(folder, ChargesChoice())
    assert isinstance(settings.born, BornCharges)
    first = np.sort(np.array(settings.born.charges)[:, 0, 0])
    np.testing.assert_allclose(first, [-1.0] * 4 + [1.0] * 4)
    assert "NaCl.BORN" in remark
    assert "add up" not in remark


def test_charges_that_do_not_add_up(folder: Path) -> None:
    (folder / "NaCl.BORN").write_text(BORN.format(anion=-0.9))
    assert "add up to 0.05 e per atom" in _given(folder, ChargesChoice())[1]
    for wrong in ("1.0", "nan", "-inf"):
        (folder / "NaCl.BORN").write_text(BORN.format(anion=wrong))
        with pytest.raises(OracleError, match=r"add up|finite") as caught:
            _given(folder, ChargesChoice())
        assert str(folder / "NaCl.BORN") in caught.value.message
    (folder / "NaCl.BORN").write_text("")
    with pytest.raises(OracleError, match="BORN format"):
        _given(folder, ChargesChoice())


def test_charges_named_by_hand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "BORN").write_text(BORN.format(anion=-1.0))
    monkeypatch.chdir(folder)
    _, choice = oracle_settings(None, ["born=BORN"])
    assert choice == ChargesChoice(file=folder / "BORN")
    assert _given(folder, choice)[0].born is not None
    _, without = oracle_settings(None, ["born=none"])
    assert _given(folder, without)[0].born is None
    for more, expected in (((), False), (("fitted_charges=true",), True)):
        none, _ = oracle_settings(None, ["born=none", *more])
        assert isinstance(none, PhononSettings)
        assert none.fitted_charges is expected
    (folder / "settings").mkdir()
    (folder / "settings" / "oracle.yaml").write_text("born: ../BORN\n")
    _, by_file = oracle_settings(folder / "settings" / "oracle.yaml", [])
    assert by_file.file is not None
    assert by_file.file.samefile(folder / "BORN")
    with pytest.raises(ConfigError, match=r"oracle\.born: .*absent does not exist.*where you are"):
        oracle_settings(None, ["born=absent"])
    (folder / "settings" / "oracle.yaml").write_text("born: rel/BORN\n")
    with pytest.raises(ConfigError, match=r"settings/rel/BORN does.*folder of the settings"):
        oracle_settings(folder / "settings" / "oracle.yaml", [])
