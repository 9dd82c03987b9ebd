"""Compositions: however a formula is written, equal ones are one material."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from oracle.materials.composition import Composition
from oracle.materials.material import Material, crystals_of
from oracle.replay.table import load_table
from oracle.runtime.csv_tables import csv_rows
from oracle.runtime.errors import OracleError

SYMBOLS = st.sampled_from(["H", "Li", "N", "O", "Na", "Si", "Cl", "Fe", "Co", "Ni", "Te", "U"])
COUNTS = st.dictionaries(SYMBOLS, st.integers(1, 40), min_size=1, max_size=5)


@given(COUNTS, st.integers(1, 12))
def test_multiples_and_fractions_are_one_material(counts: dict[str, int], factor: int) -> None:
    one = Composition.of(counts)
    total = sum(counts.values())
    backwards = dict(reversed(counts.items()))
    as_text = "".join(f"{symbol}{factor * n}" for symbol, n in backwards.items())
    shares = {symbol: n / total for symbol, n in counts.items()}
    rounded = {symbol: round(7.0 * share, 9) for symbol, share in shares.items()}
    for other in (Composition.of(as_text), Composition.of(shares), Composition.of(rounded)):
        assert other.digest == one.digest
        assert other == one
    assert Composition.of(one.formula) == one


@given(COUNTS, COUNTS)
def test_other_amounts_are_another_material(first: dict[str, int], second: dict[str, int]) -> None:
    def shares(counts: dict[str, int]) -> dict[str, Fraction]:
        return {symbol: Fraction(n, sum(counts.values())) for symbol, n in counts.items()}

    same = Composition.of(first).digest == Composition.of(second).digest
    assert same == (shares(first) == shares(second))


@pytest.mark.parametrize(
    ("given", "formula", "amounts"),
    [
        ("Na2Cl2", "NaCl", {"Na": 1, "Cl": 1}),
        ("Ca(OH)2", "Ca(HO)2", {"Ca": 1, "O": 2, "H": 2}),
        ("Fe0.8Ni0.2", "Fe4Ni", {"Fe": 4, "Ni": 1}),
        ({"Na": 0.333333, "Cl": 0.666667}, "NaCl2", {"Na": 1, "Cl": 2}),
        ({"Fe2+": 1, "Fe3+": 2, "O2-": 4}, "Fe3O4", {"Fe": 3, "O": 4}),
        ("Fe0.1234Ni0.8766", "Fe0.1234Ni0.8766", {"Fe": 0.1234, "Ni": 0.8766}),
    ],
)
def test_canonical_form(given: Any, formula: str, amounts: dict[str, float]) -> None:
    found = Composition.of(given)
    assert found.formula == formula
    assert dict(found.amounts) == amounts
    reader: TypeAdapter[Material] = TypeAdapter(Material)
    again = reader.validate_json(found.model_dump_json())
    assert again == found
    assert again.digest == found.digest
    assert crystals_of(found) == ()
    assert not found.is_defined


@pytest.mark.parametrize(
    "given",
    ["", "Xx2", "Na-1", "Na0", "nacl", "Na(", "Na+Cl-", "D2O", "T", "X", {}, {"Na": -1}, 5, None,
     {"Na": "a"}, "A" * 1000, "Na1e-7Cl", {"Na": 1e308, "Cl": 1e308}, {"D": 1, "O": 1}, "NaCl; x",
     {"Na": float("nan")}, {"Na": float("inf")}],
)  # fmt: skip
def test_what_is_no_composition_is_refused_in_one_line(given: Any) -> None:
    with pytest.raises(OracleError, match="is not a composition; expected a formula") as error:
        Composition.of(given)
    assert "\n" not in error.value.message
    assert len(error.value.message) < 250


def _csv(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_as_spreadsheets_write_them(tmp_path: Path, separator: str, encoding: str) -> None:
    rows = [["Formula", "kappa", "stable", "remark"], ["NaCl", "7.2", "TRUE", "a b"],
            ["MgO", "", "false", ""], ["KBr"], ["", "", "", ""]]  # fmt: skip
    text = "\r\n".join(separator.join(row) for row in rows)
    read = list(csv_rows(_csv(tmp_path, text, encoding)))
    assert [place for place, _ in read] == [f"table.csv line {k}" for k in (2, 3, 4)]
    assert [row["id"] for _, row in read] == ["NaCl", "MgO", "KBr"]
    assert [row["kappa"] for _, row in read] == [7.2, None, None]
    assert [row["stable"] for _, row in read] == [True, False, None]
    assert read[0][1]["remark"] == "a b"


def test_ids_may_have_a_column_of_their_own(tmp_path: Path) -> None:
    path = _csv(tmp_path, 'ID,composition,"kappa, W/m/K"\n1,NaCl,"1e1"\n01,KBr,1_0\n')
    rows, digest = load_table(path)
    assert list(rows) == ["1", "01"]
    assert rows["1"]["kappa, W/m/K"] == 10.0
    assert rows["01"]["kappa, W/m/K"] == "1_0"  # no number in any table
    assert len(digest) == 64


@pytest.mark.parametrize(
    "text",
    [
        '\n\ncomposition;"kappa, at 300 K, in W, per m, K"\nNaCl;7.2\n',
        'composition,"kappa, at 300 K, in W, per m, K",,\r\nNaCl,7.2,remark,\r\n',
        'note,composition,"kappa, at 300 K, in W, per m, K"\n"two\nlines",NaCl,"7.2"',
    ],
)
def test_quotes_and_columns_without_a_name(tmp_path: Path, text: str) -> None:
    rows, _ = load_table(_csv(tmp_path, text))
    assert list(rows) == ["NaCl"]
    assert rows["NaCl"]["kappa, at 300 K, in W, per m, K"] == 7.2


def test_a_table_of_other_materials_needs_ids_only(tmp_path: Path) -> None:
    rows, _ = load_table(_csv(tmp_path, "id,kappa\na.cif,1\nb.cif,2\n"))
    assert rows["b.cif"] == {"id": "b.cif", "kappa": 2.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one with the heading composition or formula"),
        ("material,kappa\nNaCl,1\n", "has the columns material, kappa; expected"),
        ("formula,kappa,kappa\nNaCl,1,2\n", "has 'kappa' twice"),
        ("formula,kappa\nNaCl,1,2\n", "line 2: has 3 cells; expected 2"),
        ("formula,kappa\nNaCl,1\nKBr,2\nNaCl,2\n", "line 4: id 'NaCl' is also on line 2"),
        ("formula,kappa\n", "is empty"),
        (
            'formula,kappa,note\nNaCl,1,a\nMgO,2,"5 inch\nKBr,3,c\n',
            "line 2 and what follows cannot",
        ),
        ("formula,note\nNaCl," + 140_000 * "x", "cannot be read as CSV"),
        ("id,formula,kappa\n,NaCl,1\n", "line 2: has no id"),
    ],
)
def test_tables_that_cannot_be_meant(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(OracleError, match=message):
        load_table(_csv(tmp_path, text))
