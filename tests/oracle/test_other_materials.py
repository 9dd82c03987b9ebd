"""Structures that would be computed as another material are refused in every format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.db import connect
from ase.io import write
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError
from oracle.structure_files.structure_io import read_file, read_structure

CELL = """data_x
{extra}
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {c}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma {gamma}
{symmetry}
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
{column}
{rows}
"""
FACES = """loop_
_space_group_symop_operation_xyz
'x,y,z'
'x,y+1/2,z+1/2'
'x+1/2,y,z+1/2'
'x+1/2,y+1/2,z'"""
MIRROR = "loop_\n_space_group_symop_operation_xyz\n'x,y,z'\n'-x,-y,-z'"


def cubic(*rows: str, extra: str = "", symmetry: str = FACES, column: str = "") -> str:
    text = CELL.format(
        a=5.0, c=5.0, gamma=90, extra=extra, symmetry=symmetry, column=column, rows="\n".join(rows)
    )
    return text.replace("\n\n", "\n")


def brucite(*more: str, extra: str = "", column: str = "") -> str:
    rows = ["Mg1 Mg 0 0 0", "O1 O 0.33333333 0.66666667 0.2216", *more]
    if column:
        rows = [f"{row} {count}" for row, count in zip(rows, (0, 1, 0), strict=False)]
    text = CELL.format(
        a=3.142, c=4.766, gamma=120, extra=extra, symmetry=MIRROR, column=column,
        rows="\n".join(rows),
    )  # fmt: skip
    return text.replace("\n\n", "\n")


def read_text(folder: Path, text: str, name: str = "a.cif") -> Structure:
    (folder / name).write_text(text)
    return read_structure(folder / name)


def refused(folder: Path, text: str, match: str, name: str = "a.cif") -> None:
    with pytest.raises(OracleError, match=match) as caught:
        read_text(folder, text, name)
    assert caught.value.stage == "read"
    assert str(folder / name) in caught.value.message
    assert "\n" not in caught.value.message


SODIUM, CHLORINE = "Na1 Na 0 0 0", "Cl1 Cl 0.5 0.5 0.5"


# Isotopes and masses


@pytest.mark.parametrize("isotope", ["D", "T", "D1+", "D0"])
def test_isotopes_in_a_cif(tmp_path: Path, isotope: str) -> None:
    refused(
        tmp_path, cubic("Li1 Li 0 0 0", f"X1 {isotope} 0.5 0.5 0.5"), "is an isotope|isotope of H"
    )


def test_isotopes_named_by_the_formula_or_the_label_alone(tmp_path: Path) -> None:
    rows = ("Li1 Li 0 0 0", "H1 H 0.5 0.5 0.5")
    refused(tmp_path, cubic(*rows, extra="_chemical_formula_sum 'Li4 D4'"), "isotope of H")
    refused(tmp_path, cubic(rows[0], "D1 H 0.5 0.5 0.5"), "isotope of H")
    assert len(read_text(tmp_path, cubic(*rows, extra="_chemical_formula_sum 'Li4 H4'"))) == 8


def test_an_isotope_that_is_no_symbol_is_not_left_out(tmp_path: Path) -> None:
    refused(tmp_path, cubic("Li1 6Li 0 0 0", "H1 H 0.5 0.5 0.5"), "site Li1")


def _poscar(symbols: str) -> str:
    return f"x\n1\n4 0 0\n0 4 0\n0 0 4\n{symbols}\n1 1\nDirect\n0 0 0\n.5 .5 .5\n"


def _document(*, symbol: str = "H", label: str | None = None, **changes: Any) -> dict[str, Any]:
    structure = Structure(Lattice.cubic(4.0), ["Li", "H"], [[0.0] * 3, [0.5] * 3])
    document = structure.as_dict()
    document["sites"][1]["species"][0]["element"] = symbol
    document["sites"][1]["label"] = label or symbol
    document["lattice"] |= changes
    return document


@pytest.mark.parametrize("symbol", ["D", "T"])
def test_isotopes_in_other_formats(tmp_path: Path, symbol: str) -> None:
    refused(tmp_path, _poscar(f"Li {symbol}"), "isotope of H", "POSCAR")
    refused(tmp_path, json.dumps(_document(symbol=symbol)), "isotope of H", "a.json")
    refused(tmp_path, json.dumps(_document(label=f"{symbol}1")), "isotope of H", "b.json")
    refused(tmp_path, json.dumps({"structure": _document(symbol=symbol)}), "isotope of H", "c.json")
    header = 'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 pbc="T T T"'
    refused(tmp_path, f"2\n{header}\nLi 0 0 0\n{symbol} 2 2 2\n", "isotope of H", "a.extxyz")


@pytest.mark.parametrize("name", ["a.extxyz", "a.traj", "a.db", "a.json"])
@pytest.mark.parametrize(("mass", "fits"), [(2.014, False), (1.008, True), (1.00794, True)])
def test_masses_of_their_own(tmp_path: Path, name: str, mass: float, fits: bool) -> None:
    atoms = Atoms("LiH", cell=[4, 4, 4], positions=[(0, 0, 0), (2, 2, 2)], pbc=True)
    atoms.set_masses([6.94, mass])
    atoms.set_initial_charges([1.0, -1.0])
    atoms.set_initial_magnetic_moments([0.0, 1.0])
    if name == "a.extxyz":
        write(tmp_path / name, atoms, columns=["symbols", "positions", "masses"])
    else:
        write(tmp_path / name, atoms)
    if fits:
        assert read_structure(tmp_path / name).composition.reduced_formula == "LiH"
    else:
        with pytest.raises(OracleError, match=r"of H has the mass 2\.014 u.*natural"):
            read_structure(tmp_path / name)


def test_isotopes_are_refused_wherever_a_crystal_is_made() -> None:
    heavy = Structure(Lattice.cubic(4.0), ["Li", Element("D")], [[0.0] * 3, [0.5] * 3])
    with pytest.raises(OracleError, match="isotope of H"):
        Crystal.from_structure(heavy)


# Formulas


@pytest.mark.parametrize(
    "formula",
    [
        "'Na Cl'", "'Na4 Cl4'", "'Cl1 Na1'", "'Na1+ Cl1-'", "'NA CL'", "NaCl", "'Na Cl0.97'",
        "'Na0.998 K0.002 Cl'", "?", ".", "'not a formula'", "\n;Na Cl\n;",
    ],
)  # fmt: skip
def test_a_formula_that_fits_or_says_nothing(tmp_path: Path, formula: str) -> None:
    text = cubic(SODIUM, CHLORINE, extra=f"_chemical_formula_sum {formula}")
    assert read_text(tmp_path, text).composition.formula == "Na4 Cl4"


@pytest.mark.parametrize(
    "formula", ["'Na Cl O'", "'Na2 Cl'", "'K Cl'", "'Na Cl H0.5'", "'Na8 Cl7'"]
)
def test_a_formula_that_does_not_fit(tmp_path: Path, formula: str) -> None:
    text = cubic(SODIUM, CHLORINE, extra=f"_chemical_formula_sum {formula}")
    refused(tmp_path, text, f"NaCl.*{formula.split()[-1][:2]}")


def test_atoms_that_are_left_out(tmp_path: Path) -> None:
    hydrogen = "H1 H 0.33333333 0.66666667 0.43"
    stated = "_chemical_formula_sum 'Mg O2 H2'"
    attached = "_atom_site_attached_hydrogens"
    refused(tmp_path, brucite(extra=stated), r"MgO2.*'Mg O2 H2'")
    refused(tmp_path, brucite(extra="_chemical_formula_structural 'Mg (O H)2'"), r"MgO2.*\(O H\)2")
    refused(tmp_path, brucite(column=attached), "MgO2, and H2 of its cell is only counted")
    refused(tmp_path, brucite(extra=stated, column=attached), r"MgO2.*'Mg O2 H2'")
    for text in (brucite(hydrogen, extra=stated), brucite(hydrogen, extra=stated, column=attached)):
        assert read_text(tmp_path, text).composition.reduced_formula == "Mg(HO)2"


def test_a_measured_formula_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.cif").write_text(
        cubic(SODIUM, CHLORINE, extra="_chemical_formula_sum 'Na Cl0.97'")
    )
    (remark,) = read_file(tmp_path / "a.cif").remarks
    assert "'Na Cl0.97'" in remark


def test_a_formula_that_counts_sites(tmp_path: Path) -> None:
    rutile = """data_r
_chemical_formula_sum 'Ti O'
_cell_length_a 4.6
_cell_length_b 4.6
_cell_length_c 2.96
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 42/m n m'
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Ti1 0 0 0
O1 0.305 0.305 0
"""
    (tmp_path / "a.cif").write_text(rutile)
    reading = read_file(tmp_path / "a.cif")
    assert reading.structure.composition.reduced_formula == "TiO2"
    assert "counts sites" in reading.remarks[0]


@pytest.mark.parametrize(
    "symbol", ["NH4", "CH3", "OH", "OH2", "Wat", "NO3", "Vac", "2H", "Xx", "?"]
)
def test_sites_that_are_no_single_atom(tmp_path: Path, symbol: str) -> None:
    refused(
        tmp_path,
        cubic(SODIUM, f"A1 {symbol} 0.5 0.5 0.5"),
        "A1|no element|only counted as attached",
    )


@pytest.mark.parametrize("symbol", ["Cl", "Cl1-", "CL", "Cl-", "Cl0+", "cl"])
def test_symbols_of_elements_as_people_write_them(tmp_path: Path, symbol: str) -> None:
    text = cubic(SODIUM, f"A1 {symbol} 0.5 0.5 0.5")
    assert read_text(tmp_path, text).composition.formula == "Na4 Cl4"


@pytest.mark.parametrize("value", [".", "?"])
def test_sites_without_position(tmp_path: Path, value: str) -> None:
    refused(
        tmp_path, cubic(SODIUM, CHLORINE, f"H1 H {value} {value} {value}"), "H1 has no position"
    )


def test_an_occupancy_that_is_left_at_its_default_is_one(tmp_path: Path) -> None:
    column = "_atom_site_occupancy"
    text = cubic(f"{SODIUM} 1.0", f"{CHLORINE} .", column=column)
    assert read_text(tmp_path, text).composition.formula == "Na4 Cl4"


def test_a_space_group_that_is_not_understood(tmp_path: Path) -> None:
    strange = "_symmetry_space_group_name_H-M 'F m -3 m strange'"
    refused(tmp_path, cubic(SODIUM, CHLORINE, symmetry=strange), "space group 'F m -3 m strange'")
    for plain in ("", "_symmetry_space_group_name_H-M 'P 1'", "_space_group_name_H-M_alt ?"):
        assert len(read_text(tmp_path, cubic(SODIUM, CHLORINE, symmetry=plain))) == 2


def test_another_number_of_formula_units_is_told(tmp_path: Path) -> None:
    rows = "_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z 8"
    (tmp_path / "a.cif").write_text(cubic(SODIUM, CHLORINE, extra=rows))
    assert "_cell_formula_units_Z says 8" in read_file(tmp_path / "a.cif").remarks[0]


# Several structures


def test_different_structures_of_one_formula(tmp_path: Path) -> None:
    zincblende = cubic("Zn1 Zn 0 0 0", "S1 S 0.25 0.25 0.25")
    rocksalt = cubic("Zn1 Zn 0 0 0", "S1 S 0.5 0.5 0.5")
    for second in (rocksalt, rocksalt.replace("data_x", "data_y")):
        refused(tmp_path, zincblende + second, "2 different structures of ZnS")
    # The same crystal again, in another cell and under an author's block, is one.
    moved = cubic("Zn1 Zn 0.5 0.5 0", "S1 S 0.75 0.75 0.25").replace("data_x", "data_z")
    text = "data_global\n_journal_name_full 'x'\n" + zincblende + moved
    assert read_text(tmp_path, text).composition.reduced_formula == "ZnS"


def test_a_block_that_cannot_be_read_is_not_left_out(tmp_path: Path) -> None:
    broken = cubic("K1 K 0 0 0").replace("_cell_length_b 5.0", "_cell_length_b ?")
    refused(
        tmp_path, cubic(SODIUM, CHLORINE) + broken.replace("data_x", "data_y"), "cannot be read"
    )


def test_lists_of_documents_and_databases(tmp_path: Path) -> None:
    fcc, bcc = (bulk("Fe", kind, a=a, cubic=True) for kind, a in (("fcc", 3.6), ("bcc", 2.87)))
    with connect(tmp_path / "a.db") as rows:
        rows.write(fcc)
        rows.write(bcc)
    with pytest.raises(OracleError, match="2 different structures of Fe"):
        read_structure(tmp_path / "a.db")
    one, other = _document(), _document(matrix=(4.4 * np.eye(3)).tolist())
    refused(tmp_path, json.dumps([one, {"structure": other}]), "2 different structures", "a.json")
    assert len(read_text(tmp_path, json.dumps([one, {"structure": one}]), "b.json")) == 2


def _silicon(shift: float) -> Atoms:
    atoms = bulk("Si", a=5.43)
    atoms.positions[1] += shift
    return atoms


@pytest.mark.parametrize(
    ("images", "taken"),
    [
        ([bulk("Si", a=a) for a in (4.9, 5.4, 6.2)], True),  # a scan of volumes
        ([_silicon(0.0), _silicon(0.15), _silicon(0.2)], True),
        ([bulk("ZnS", "zincblende", a=5.41), bulk("ZnS", "rocksalt", a=5.06)], False),
        ([bulk("CsCl", "cesiumchloride", a=4.12), bulk("CsCl", "rocksalt", a=6.9)], False),
        ([bulk("Fe", "fcc", a=3.6), bulk("Fe", "bcc", a=2.87, cubic=True)], False),
    ],
)
def test_steps_of_one_crystal_and_different_ones(
    tmp_path: Path, images: list[Atoms], taken: bool
) -> None:
    path = tmp_path / "a.extxyz"
    write(path, images)
    if taken:
        reading = read_file(path)
        assert reading.structure.volume == pytest.approx(images[-1].cell.volume)
        assert reading.remarks == ("it holds 3 steps; the last was taken",)
    else:
        with pytest.raises(OracleError, match="2 different structures of"):
            read_structure(path)


# Periodic flags


def _slab_of_ase(path: Path) -> None:
    write(path, Atoms("Na", cell=[4, 4, 20], pbc=[True, True, False]))


def _slab_of_pymatgen(path: Path) -> None:
    path.write_text(json.dumps(_document(pbc=[True, True, False])))


def _slab_document(path: Path) -> None:
    path.write_text(json.dumps({"structure": _document(pbc=[True, True, False])}))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.extxyz", _slab_of_ase),
        ("a.traj", _slab_of_ase),
        ("a.db", _slab_of_ase),
        ("a.json", _slab_of_ase),
        ("b.json", _slab_of_pymatgen),
        ("c.json", _slab_document),
    ],
)
def test_periodic_flags_mean_the_same_everywhere(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    make(tmp_path / name)
    with pytest.raises(OracleError, match="periodic in 2 of 3 directions"):
        read_structure(tmp_path / name)


def test_periodic_flags_count_wherever_a_crystal_is_made() -> None:
    lattice = Lattice(4 * np.eye(3), pbc=(True, True, False))
    with pytest.raises(OracleError, match="periodic in 2 of 3 directions"):
        Crystal.from_structure(Structure(lattice, ["Na"], [[0.0] * 3]))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"matrix": [[float("nan"), 0, 0], [0, 4, 0], [0, 0, 4]]}, "finite numbers"),
        ({"matrix": [[4, 0, 0], [0, 4, 0], [4, 4, 0]]}, "no volume"),
        ({"matrix": [[0, 0, 0]] * 3}, "periodic in 0 of 3"),
        ({"matrix": [[4, 0, 0]]}, "not a pymatgen structure"),
    ],
)
def test_lattices_that_are_none(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    refused(tmp_path, json.dumps(_document(**changes)), match, "a.json")


# What a document may do


def test_a_document_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil_module.py").write_text("raise SystemExit('was imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    document = _document()
    named = {"@module": "evil_module", "@class": "Thing", "value": 1}
    document["sites"][0]["properties"] = {"magmom": named}
    document["properties"] = {"x": named}
    assert len(read_text(tmp_path, json.dumps(document), "a.json")) == 2


# The small inputs that are not part of the project, where they lie beside it

CASES = Path(__file__).parents[3] / "shared" / "cases"
WELL = {
    "NaCl-ü名.vasp": "Na4 Cl4", "NaCl_POSCAR": "Na4 Cl4", "NaCl_upper.CIF": "Na4 Cl4",
    "POSCAR with space.vasp": "Na4 Cl4", "POSCAR-unitcell": "Na4 Cl4", "POSCAR_crlf": "Na1 Cl1",
    "POSCAR_lefthanded": "Na1 Cl1", "POSCAR_negative_volume": "Na1 Cl1", "POSCAR_sha": "Na1 Cl1",
    "bom.cif": "Na4 Cl4", "crlf.cif": "Na4 Cl4", "hm_only.cif": "Na4 Cl4",
    "latin1_author.cif": "Na4 Cl4", "lih.cif": "Li4 H4", "no_symmetry.cif": "Cs1 Cl1",
    "occ_uncert.cif": "Na4 Cl4", "puc.cif": "Pu4 C4", "question_occ.cif": "Na4 Cl4",
    "volume_scan.extxyz": "Na1 Cl1", "wz_33.cif": "Zn2 O2", "wz_333.cif": "Zn2 O2",
    "wz_3333.cif": "Zn2 O2", "znpo.cif": "Zn8 Po4",
}  # fmt: skip


@pytest.mark.skipif(not CASES.is_dir(), reason="the small inputs are not beside the project")
@pytest.mark.parametrize("name", sorted(WELL))
def test_small_inputs_that_are_answered_well(name: str) -> None:
    assert read_structure(CASES / name).composition.formula == WELL[name]
