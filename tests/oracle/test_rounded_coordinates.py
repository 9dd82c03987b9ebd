"""Special positions are recognised although their coordinates are rounded."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError
from oracle.structure_files.structure_io import read_file, read_structure

HEAD = """data_x
{extra}_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {c}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
_symmetry_space_group_name_H-M '{group}'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
{rows}
"""


def _cif(
    path: Path, group: str, *rows: str, a: float = 3.25, c: float = 5.207, extra: str = ""
) -> Path:
    path.write_text(HEAD.format(a=a, c=c, group=group, rows="\n".join(rows), extra=extra))
    return path


ZINC_OXIDE = Crystal.from_structure(
    Structure.from_spacegroup(
        "P6_3mc", Lattice.hexagonal(3.25, 5.207), ["Zn", "O"],
        [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]],
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("third", "two_thirds"),
    [
        ("0.33", "0.67"),
        ("0.333", "0.667"),
        ("0.333", "0.666"),
        ("0.3333", "0.6667"),
        ("0.33333", "0.66667"),
    ],
)
def test_thirds(tmp_path: Path, third: str, two_thirds: str) -> None:
    rows = (f"Zn1 Zn {third} {two_thirds} 0", f"O1 O {third} {two_thirds} 0.382")
    reading = read_file(_cif(tmp_path / "a.cif", "P 63 m c", *rows))
    assert Crystal.from_structure(reading.structure) == ZINC_OXIDE
    assert bool(reading.remarks) == (len(third) < 6)
    if reading.remarks:
        assert "rounded" in reading.remarks[0]


@pytest.mark.parametrize(("x", "two_x"), [("0.167", "0.333"), ("0.1667", "0.3333")])
def test_sixths(tmp_path: Path, x: str, two_x: str) -> None:
    # (x, 2x, 1/4) with x = 1/6 lies on no axis of higher order; its mirror must still hold.
    row = f"Zn1 Zn {x} {two_x} 0.25"
    structure = read_structure(_cif(tmp_path / "a.cif", "P 63/m m c", row, a=5.6, c=4.5))
    exact = Structure.from_spacegroup(
        "P6_3/mmc", Lattice.hexagonal(5.6, 4.5), ["Zn"], [[1 / 6, 1 / 3, 0.25]]
    )
    assert len(structure) == len(exact) == 6


def test_the_formula_is_compared_with_what_was_merged(tmp_path: Path) -> None:
    rows = ("Zn1 Zn 0.333 0.667 0", "O1 O 0.333 0.667 0.382")
    path = _cif(tmp_path / "a.cif", "P 63 m c", *rows, extra="_chemical_formula_sum 'Zn2 O3'\n")
    with pytest.raises(OracleError, match=r"ZnO.*'Zn2 O3'"):
        read_structure(path)


@pytest.mark.parametrize(
    ("rows", "size"),
    [
        (("Zn1 Zn 0.33111 0.66222 0",), 3.25),  # off its position by more than its digits allow
        (("Zn1 Zn 0.25 0.5 0", "O1 O 0.5 0.5 0.382"), 0.325),  # nanometres
        (("Zn1 Zn 0.333 0.667 0", "O1 O 0.334 0.666 0.01"), 3.25),  # two atoms in one place
    ],
)
def test_what_is_no_rounding_is_refused(tmp_path: Path, rows: tuple[str, ...], size: float) -> None:
    with pytest.raises(OracleError, match=r"less than 0\.5 Å apart"):
        read_structure(_cif(tmp_path / "a.cif", "P 63 m c", *rows, a=size, c=1.6 * size))
