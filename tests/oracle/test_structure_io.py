"""Structure files are read as they are meant, or refused."""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import DummySpecies
from pymatgen.core.structure import Structure

from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError
from oracle.structure_files.structure_io import read_structure, write_cif

FORMATS = [
    "a.cif",
    "POSCAR",
    "POSCAR_GaAs",
    "a.vasp",
    "a.extxyz",
    "a.json",
    "a.xsf",
    "a.traj",
    "a.db",
    "a.cif.gz",
    "POSCAR.gz",
    "a.extxyz.gz",
]


def gallium_arsenide() -> Atoms:
    return bulk("GaAs", "zincblende", a=5.7, cubic=True)


def rutile() -> Structure:
    return Structure.from_spacegroup(
        "P4_2/mnm", Lattice.tetragonal(4.6, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
    )


@pytest.mark.parametrize("name", FORMATS)
def test_formats_of_ase_and_pymatgen(tmp_path: Path, name: str) -> None:
    atoms = gallium_arsenide()
    path = tmp_path / name
    plain = path.with_name(name.removesuffix(".gz"))
    if name.startswith("POSCAR") or name.endswith(".vasp"):
        write(plain, atoms, format="vasp")
    else:
        write(plain, atoms)
    if plain != path:
        path.write_bytes(gzip.compress(plain.read_bytes()))
    structure = read_structure(path)
    assert structure.composition.reduced_formula == "GaAs"
    assert structure.lattice.volume == pytest.approx(5.7**3, rel=1e-6)
    assert Crystal.from_structure(structure).spacegroup == ("F-43m", 216)


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_pymatgen_dictionaries(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    rutile().to(str(path))
    assert read_structure(path) == rutile()


def test_frame_is_that_of_the_file(tmp_path: Path) -> None:
    atoms = gallium_arsenide()
    atoms.rotate(33, (1, 2, 3), rotate_cell=True)
    write(tmp_path / "POSCAR", atoms, format="vasp")
    assert np.allclose(read_structure(tmp_path / "POSCAR").lattice.matrix, atoms.cell.array)


def test_the_last_step_of_a_relaxation_counts(tmp_path: Path) -> None:
    steps = [bulk("Si", a=length) for length in (5.0, 5.2, 5.4)]
    write(tmp_path / "relax.extxyz", steps)
    assert read_structure(tmp_path / "relax.extxyz").volume == pytest.approx(5.4**3 / 4)


def test_oxidation_states_are_dropped(tmp_path: Path) -> None:
    structure = rutile()
    structure.add_oxidation_state_by_element({"Ti": 4, "O": -2})
    (tmp_path / "a.json").write_text(json.dumps(structure.as_dict()))
    assert read_structure(tmp_path / "a.json") == rutile()


@pytest.mark.parametrize(
    "crystal",
    [
        Crystal.from_structure(rutile()),
        Crystal.from_structure(
            Structure.from_spacegroup(
                "P6_3mc",
                Lattice.hexagonal(3.82, 6.26),
                ["Zn", "S"],
                [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.375]],
            )
        ),
        Crystal.from_structure(
            Structure(
                Lattice.from_parameters(3, 4, 5, 81, 97, 113), ["Na", "Cl"], [[0.1] * 3, [0.52] * 3]
            )
        ),
    ],
    ids=["rutile", "wurtzite", "triclinic"],
)
def test_written_cif_reads_back_as_the_same_material(tmp_path: Path, crystal: Crystal) -> None:
    path = tmp_path / "folder" / "a.cif"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        write_cif(crystal.conventional(), path)
        again = Crystal.from_structure(read_structure(path))
    assert again == crystal  # to the last digit: its kappa must be the same again
    assert [p.name for p in path.parent.iterdir()] == ["a.cif"]


PARTIAL = """data_x
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na1 Na 0 0 0 0.5
K1 K 0 0 0 0.5
Cl1 Cl 0.5 0.5 0.5 1
"""


def bad(folder: Path, name: str) -> Path:
    path = folder / name
    if name == "molecule.xyz":
        write(path, Atoms("CO", [(0, 0, 0), (0, 0, 1.1)]))
    elif name == "slab.extxyz":
        write(path, Atoms("Na", cell=[4, 4, 20], pbc=[True, True, False]))
    elif name == "overlap.extxyz":
        write(path, Atoms("NaCl", [(0, 0, 0), (0, 0, 0.2)], cell=[4, 4, 4], pbc=True))
    elif name == "many.extxyz":
        write(path, [bulk("Si"), bulk("Ge"), bulk("NaCl", "rocksalt", a=5.6)])
    elif name == "unknown.extxyz":
        write(path, Atoms("XCl", [(0, 0, 0), (2, 2, 2)], cell=[4, 4, 4], pbc=True))
    elif name == "nanometres.cif":
        write(path, bulk("Cu", a=0.361))
    elif name == "partial.cif":
        path.write_text(PARTIAL)
    elif name == "partial.cif.gz":
        path.write_bytes(gzip.compress(PARTIAL.encode()))
    elif name == "POSCAR_without_names":
        path.write_text("x\n1\n4 0 0\n0 4 0\n0 0 4\n1 1\nDirect\n0 0 0\n.5 .5 .5\n")
    elif name == "folder.cif":
        path.mkdir()
    elif name in ("text.cif", "text.dat", "text.json", "POSCAR_text"):
        path.write_text("nothing\nof use\n")
    elif name == "list.json":
        path.write_text("[1, 2]")
    elif name == "empty.cif":
        path.write_text("")
    return path


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("absent.cif", "does not exist"),
        ("folder.cif", "is not a file"),
        ("molecule.xyz", "periodic in 0 of 3"),
        ("slab.extxyz", "periodic in 2 of 3"),
        ("overlap.extxyz", "two atoms of NaCl are less than 0.5 Å apart"),
        ("many.extxyz", "3 compounds"),
        ("unknown.extxyz", "is not an element"),
        ("nanometres.cif", "two atoms of Cu are less than 0.5 Å apart"),
        ("partial.cif", "partial occupancies"),
        ("partial.cif.gz", "partial occupancies"),
        ("POSCAR_without_names", "names no elements"),
        ("text.cif", "cannot be read"),
        ("text.dat", "cannot be read"),
        ("text.json", "cannot be read"),
        ("POSCAR_text", "cannot be read"),
        ("list.json", "cannot be read"),
        ("empty.cif", "cannot be read"),
    ],
)
def test_bad_files_are_named_with_cause_and_remedy(
    tmp_path: Path, name: str, cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bad(tmp_path, name)
    with pytest.raises(OracleError, match=cause) as caught:
        read_structure(path)
    assert caught.value.stage == "read"
    assert name in caught.value.message
    assert "expected" in caught.value.message
    assert "\n" not in caught.value.message
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("number", [-5, 5])
def test_a_placeholder_is_no_element_whatever_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(DummySpecies, "Z", number)
    with pytest.raises(OracleError, match="'X' is not an element"):
        read_structure(bad(tmp_path, "unknown.extxyz"))
