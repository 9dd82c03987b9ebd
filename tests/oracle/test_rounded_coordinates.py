"""Special positions are recognised although their coordinates are rounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
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


T = 1 / 3
WITHOUT_SYMMETRY: dict[str, tuple[str, Lattice, dict[str, Any]]] = {
    "ZnO": ("P6_3mc", Lattice.hexagonal(3.25, 5.207), {"Zn": (T, 2 * T, 0), "O": (T, 2 * T, 0.38)}),
    "MoS2": (
        "P6_3/mmc", Lattice.hexagonal(3.16, 12.3), {"Mo": (T, 2 * T, 0.25), "S": (T, 2 * T, 0.62)}
    ),
    "CdI2": ("P-3m1", Lattice.hexagonal(4.24, 6.84), {"Cd": (0, 0, 0), "I": (T, 2 * T, 0.25)}),
    "AlB2": ("P6/mmm", Lattice.hexagonal(3.0, 3.25), {"Al": (0, 0, 0), "B": (T, 2 * T, 0.5)}),
    "Bi2Te3": (
        "R-3m", Lattice.hexagonal(4.38, 30.5),
        {"Bi": (0, 0, 0.4), "Te": (0, 0, 0), "Te2": (0, 0, 0.21)},
    ),
    "Te": ("P3_121", Lattice.hexagonal(4.457, 5.929), {"Te": (0.26, 0, T)}),
    "Mg3Sb2": (
        "P-3m1", Lattice.hexagonal(4.57, 7.24),
        {"Mg": (0, 0, 0), "Mg2": (T, 2 * T, 0.63), "Sb": (T, 2 * T, 0.23)},
    ),
}  # fmt: skip


def _poscar(path: Path, structure: Structure, decimals: int, shift: tuple[float, ...]) -> Path:
    """A POSCAR whose coordinates have few decimals; exact ones are written as such."""
    structure = structure.get_sorted_structure()
    counts = structure.composition.get_el_amt_dict()
    symbols = sorted(counts, key=[s.specie.symbol for s in structure].index)
    rows = [
        " ".join(f"{x % 1:.{decimals}f}" for x in site.frac_coords + np.array(shift))
        for site in structure
    ]
    lattice = [" ".join(f"{x:.10f}" for x in row) for row in structure.lattice.matrix]
    numbers = " ".join(f"{counts[x]:g}" for x in symbols)
    lines = ["x", "1.0", *lattice, " ".join(symbols), numbers, "Direct", *rows]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("decimals", [2, 3, 4, 8])
@pytest.mark.parametrize("name", WITHOUT_SYMMETRY)
def test_a_poscar_with_few_decimals_keeps_its_symmetry(
    name: str, decimals: int, tmp_path: Path
) -> None:
    group, lattice, sites = WITHOUT_SYMMETRY[name]
    ideal = Structure.from_spacegroup(
        group, lattice, [x.rstrip("2") for x in sites], list(sites.values())
    )
    for shift in ((0.0, 0.0, 0.0), (0.0, 0.0, 0.25)):
        reading = read_file(_poscar(tmp_path / "POSCAR", ideal, decimals, shift))
        crystal = Crystal.from_structure(reading.structure)
        assert crystal.spacegroup == Crystal.from_structure(ideal).spacegroup
        assert len(reading.structure) == len(ideal)
        moves = reading.structure.frac_coords - np.round(reading.structure.frac_coords, decimals)
        assert np.abs(moves).max() <= 0.51 * 10.0**-decimals
        assert reading.remarks == () or "rounded" in reading.remarks[0]
        if decimals == 2 and name != "Bi2Te3":
            assert group.replace("_", "") in reading.remarks[0].replace("_", "")


@pytest.mark.parametrize("off", [0.02, 0.013])
def test_what_rounding_cannot_explain_stays_where_it_is(off: float, tmp_path: Path) -> None:
    structure = Structure(
        Lattice.hexagonal(3.25, 5.207), ["Zn", "Zn", "O", "O"],
        [[0.33 + off, 0.67, 0], [0.67, 0.33, 0.5], [0.33, 0.67, 0.38], [0.67, 0.33, 0.88]],
    )  # fmt: skip
    path = _poscar(tmp_path / "POSCAR", structure, 3, (0, 0, 0))
    reading = read_file(path)
    assert reading.remarks == ()
    written = structure.get_sorted_structure().frac_coords
    np.testing.assert_allclose(reading.structure.frac_coords, np.round(written, 3))


def test_cartesian_positions_are_taken_as_they_are(tmp_path: Path) -> None:
    text = _poscar(
        tmp_path / "POSCAR", Structure(Lattice.cubic(4.0), ["Po"], [[0.001, 0, 0]]), 2, (0, 0, 0)
    ).read_text()
    (tmp_path / "POSCAR").write_text(text.replace("Direct", "Cartesian"))
    assert read_file(tmp_path / "POSCAR").remarks == ()
