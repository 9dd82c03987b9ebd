"""Files that contradict themselves are refused, and those that do not are read."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from ase.data import chemical_symbols
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.io.vasp.inputs import Poscar

from oracle.runtime.errors import OracleError
from oracle.structure_files.structure_io import read_file, read_structure, write_cif

_CIF = """data_x
_cell_length_a {a}
_cell_length_b {b}
_cell_length_c {c}
_cell_angle_alpha {angle}
_cell_angle_beta {angle}
_cell_angle_gamma {angle}
_space_group_name_H-M_alt '{name}'
_space_group_IT_number {number}
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Na Na 0 0 0
Cl Cl 0.5 0.5 0.5
"""
_CRYSTALS = (
    Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0] * 3, [0.5] * 3]),
    Structure.from_spacegroup(
        "P6_3mc", Lattice.hexagonal(3.25, 5.2), ["Zn", "O"],
        [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.38]],
    ),
    Structure.from_spacegroup(
        "R-3m", Lattice.hexagonal(4.38, 30.5), ["Bi", "Te", "Te"],
        [[0, 0, 0.4], [0, 0, 0], [0, 0, 0.21]],
    ),
    Structure.from_spacegroup(
        "Pnma", Lattice.orthorhombic(11.2, 3.99, 4.33), ["Sn", "S"],
        [[0.12, 0.25, 0.12], [0.85, 0.25, 0.48]],
    ),
    Structure.from_spacegroup(
        "P2_1/c", Lattice.monoclinic(5.15, 5.2, 5.32, 99.2), ["Zr", "O", "O"],
        [[0.276, 0.041, 0.208], [0.07, 0.34, 0.34], [0.44, 0.76, 0.48]],
    ),
    Structure(
        Lattice.from_parameters(5.1, 6.3, 7.2, 82, 97, 101),
        ["K", "F"],
        [[0.1] * 3, [0.6, 0.5, 0.4]],
    ),
)  # fmt: skip


def _written(path: Path, **changes: object) -> Path:
    values = {"a": 5.6, "b": 5.6, "c": 5.6, "angle": 90, "name": "Fm-3m", "number": 225} | changes
    path.write_text(_CIF.format(**values))
    return path


@pytest.mark.parametrize("crystal", _CRYSTALS, ids=lambda s: s.composition.reduced_formula)
def test_what_does_not_contradict_itself_is_read(crystal: Structure, tmp_path: Path) -> None:
    write_cif(crystal, tmp_path / "x.cif")
    Poscar(crystal).write_file(tmp_path / "POSCAR")
    for name in ("x.cif", "POSCAR"):
        structure = read_structure(tmp_path / name)
        assert structure.composition.reduced_composition == crystal.composition.reduced_composition
        assert structure.volume / len(structure) == pytest.approx(
            crystal.volume / len(crystal), rel=1e-6
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"c": 6.6}, "does not have the symmetry of its space group 'Fm-3m'"),
        ({"angle": 80}, "does not have the symmetry"),
        ({"number": 216}, "is number 225, but the number given is 216"),
    ],
)
def test_a_cif_whose_symmetry_is_not_its_cells(
    changes: dict[str, object], words: str, tmp_path: Path
) -> None:
    assert len(read_structure(_written(tmp_path / "right.cif"))) == 8
    with pytest.raises(OracleError, match=words):
        read_structure(_written(tmp_path / "wrong.cif", **changes))


@pytest.mark.parametrize(
    ("elements", "counts", "positions", "words"),
    [
        ("Na Cl", "1 1 1", 3, "names 2 elements .* and 3 numbers"),
        ("Na Cl", "1 1", 3, "more positions than its numbers of atoms"),
        ("Na Cl", "1 1", 1, "ends too early|cannot be read"),
    ],
)
def test_a_poscar_that_miscounts(
    elements: str, counts: str, positions: int, words: str, tmp_path: Path
) -> None:
    rows = "".join(f"{0.3 * i} {0.3 * i} {0.3 * i}\n" for i in range(positions))
    cell = "5 0 0\n0 5 0\n0 0 5"
    (tmp_path / "POSCAR").write_text(f"x\n1.0\n{cell}\n{elements}\n{counts}\nDirect\n{rows}")
    with pytest.raises(OracleError, match=words):
        read_structure(tmp_path / "POSCAR")


def test_velocities_behind_the_positions_are_no_positions(tmp_path: Path) -> None:
    velocities = "\n0.0 0.0 0.1\n0.0 0.0 0.1\n"
    text = "x\n1.0\n5 0 0\n0 5 0\n0 0 5\nNa Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n" + velocities
    (tmp_path / "CONTCAR").write_text(text)
    assert len(read_structure(tmp_path / "CONTCAR")) == 2


ELEMENTS = [symbol for symbol in chemical_symbols[1:95] if symbol not in ("At", "Fr", "Rn", "Ra")]


@settings(max_examples=60, deadline=None)
@given(
    symbols=st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=6, unique=True),
    direct=st.booleans(),
    selective=st.booleans(),
    repeated=st.booleans(),
)
@example(symbols=["Ca", "Ti", "O"], direct=True, selective=False, repeated=False)
@example(symbols=["Cd", "S"], direct=False, selective=False, repeated=True)
@example(symbols=["K", "Ta", "O"], direct=False, selective=True, repeated=False)
@example(symbols=["Dy", "Cu", "Cs", "C"], direct=True, selective=True, repeated=True)
def test_any_elements_may_come_first_in_a_poscar(
    symbols: list[str], direct: bool, selective: bool, repeated: bool
) -> None:
    """The lines of elements and of numbers are no positions, whatever letters they begin with."""
    named = symbols * 2 if repeated else symbols
    n = len(named)
    cell = f"{3.0 * n} 0 0\n0 5 0\n0 0 6"
    scale = 1.0 / n if direct else 3.0
    rows = [f"{(i + 0.1) * scale:.6f} 0.2 0.3" for i in range(n)]
    flags = " T T T" if selective else ""
    head = ["x", "1.0", cell, "  ".join(named), " ".join(["1"] * n)]
    head += ["Selective dynamics"] * selective + ["Direct" if direct else "Cartesian"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "POSCAR"
        path.write_text("\n".join([*head, *(row + flags for row in rows)]) + "\n")
        structure = read_structure(path)
        assert sorted(site.specie.symbol for site in structure) == sorted(named)
        path.write_text("\n".join([*head, *(row + flags for row in [*rows, rows[0]])]) + "\n")
        with pytest.raises(OracleError, match="more positions than its numbers of atoms"):
            read_structure(path)


ISOTOPES = """data_x
{extra}_cell_length_a 4.08
_cell_length_b 4.08
_cell_length_c 4.08
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
{cation} 0 0 0
{anion} 0.5 0.5 0.5
"""


def _with_isotopes(path: Path, cation: str, anion: str, formula: str = "") -> Path:
    extra = f"_chemical_formula_sum '{formula}'\n" if formula else ""
    path.write_text(ISOTOPES.format(extra=extra, cation=cation, anion=anion))
    return path


@pytest.mark.parametrize(
    ("cation", "anion", "formula", "isotope"),
    [
        ("Li1 Li", "H1 H", "2H Li", "2H"),
        ("Li1 Li", "H1 H", "H 6Li", "6Li"),
        ("Li1 Li", "2H1 H", "", "2H"),
        ("Li1 Li", "2H1 D", "", "D"),
        ("Li1 Li", "3H H", "H Li", "3H"),
        ("6Li1 Li", "H1 H", "", "6Li"),
        ("Na1 Na", "37Cl1 Cl", "", "37Cl"),
        ("B1 B", "N1 N", "10B N", "10B"),
    ],
)
def test_isotopes_by_mass_number_are_refused(
    cation: str, anion: str, formula: str, isotope: str, tmp_path: Path
) -> None:
    with pytest.raises(OracleError, match=rf"{isotope} is .*natural masses"):
        read_structure(_with_isotopes(tmp_path / "a.cif", cation, anion, formula))


@pytest.mark.parametrize(
    ("cation", "anion", "formula"),
    [
        ("Li1 Li", "H1 H", "4H 4Li"),  # counts of atoms
        ("Li1 Li", "1H H", ""),
        ("23Na Na", "19F F", "23Na 19F"),  # whose natural mass is that of the isotope
        ("1Na Na", "2Cl Cl", ""),  # numbers of sites
        ("Li1 Li1+", "H1 H1-", "H1 Li1"),
    ],
)
def test_other_numbers_are_no_isotopes(
    cation: str, anion: str, formula: str, tmp_path: Path
) -> None:
    assert len(read_structure(_with_isotopes(tmp_path / "a.cif", cation, anion, formula))) == 8


ESPRESSO = """&control
/
&system
 ibrav=0, nat=2, ntyp=2, ecutwfc=30
/
&electrons
/
ATOMIC_SPECIES
 Li {li} Li.upf
 {name} {h} H.upf
CELL_PARAMETERS angstrom
 0 2.04 2.04
 2.04 0 2.04
 2.04 2.04 0
ATOMIC_POSITIONS crystal
 Li 0 0 0
 {name} 0.5 0.5 0.5
"""


@pytest.mark.parametrize(
    ("li", "h", "name", "refused"),
    [
        ("6.94", "2.014", "H", "of H has the mass 2.014"),
        ("6.94", "20.14e-1", "H1", "of H has the mass 2.014"),
        ("6.015", "1.008", "H", "of Li has the mass 6.015"),
        ("6.94", "3.016", "H-a", "of H has the mass 3.016"),
    ],
)
def test_masses_of_isotopes_in_espresso_input_are_refused(
    li: str, h: str, name: str, refused: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.pwi"
    path.write_text(ESPRESSO.format(li=li, h=h, name=name))
    with pytest.raises(OracleError, match=refused):
        read_structure(path)


def test_masses_without_meaning_are_natural_ones_and_said(tmp_path: Path) -> None:
    path = tmp_path / "x.pwi"
    path.write_text(ESPRESSO.format(li="1.0", h="1.00794", name="H"))
    (remark,) = read_file(path).remarks
    assert "1 u for Li; the natural one" in remark
    path.write_text(ESPRESSO.format(li="6.94", h="1.008", name="H"))
    assert read_file(path).remarks == ()
