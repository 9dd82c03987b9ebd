"""The replay oracle, and the tables that it reads."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest

from oracle.contract.evaluation import EVALUATION, Failed, Measured, Unstable, scalar
from oracle.contract.protocol import Oracle
from oracle.materials.superlattice import Superlattice
from oracle.replay.oracle import ReplayOracle
from oracle.replay.table import load_table
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError

NAMES = ("0011", "0101", "0110", "1001", "1100", "1010")
ROWS: list[dict[str, Any]] = [
    {"id": "a", "kappa": 3.5, "stable": True, "error": 0.4, "tight": 3.1},
    {"id": "b", "kappa": 7, "stable": False, "tight": 6.0},
    {"id": "c", "kappa": None, "stable": False},
    {"id": "d", "kappa": None, "stable": True},
    {"id": "e", "kappa": 2.0, "error": None},
]
MATERIALS = {row["id"]: Superlattice.from_sequence(n) for row, n in zip(ROWS, NAMES, strict=False)}
UNKNOWN = Superlattice.from_sequence(NAMES[-1])


def make(**changes: Any) -> ReplayOracle:
    settings: dict[str, Any] = {
        "fidelity": "dft",
        "property": "kappa",
        "column": "kappa",
        "stable_column": "stable",
        "cost_s": 30.0,
        "table_sha256": "00",
    }
    return ReplayOracle(
        {MATERIALS[row["id"]].digest: row for row in ROWS}, **{**settings, **changes}
    )


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(workdir=tmp_path)


def test_is_an_oracle() -> None:
    assert isinstance(make(), Oracle)
    assert make().fidelity == "dft"


def test_a_number_is_measured(context: Context) -> None:
    evaluation = make().evaluate(MATERIALS["a"], context=context)
    assert isinstance(evaluation, Measured)
    assert scalar(evaluation, "kappa", 300) == (3.5, None)
    assert evaluation.properties["kappa"].unit == "W/m/K"
    assert (evaluation.cost_s, evaluation.fidelity) == (30.0, "dft")
    assert evaluation.key == (MATERIALS["a"].digest, make().method_digest)
    assert EVALUATION.validate_json(EVALUATION.dump_json(evaluation)) == evaluation


def test_other_properties_have_the_unit_that_is_given(context: Context) -> None:
    plain = make(property="conductance").evaluate(MATERIALS["a"], context=context)
    evaluation = make(property="conductance", unit="MW/m^2/K").evaluate(
        MATERIALS["a"], context=context
    )
    assert isinstance(plain, Measured)
    assert isinstance(evaluation, Measured)
    assert plain.properties["conductance"].unit == ""
    assert evaluation.properties["conductance"].unit == "MW/m^2/K"


@pytest.mark.parametrize("name", ["b", "c"])
def test_false_in_the_stable_column_is_unstable_whatever_the_number(
    name: str, context: Context
) -> None:
    evaluation = make().evaluate(MATERIALS[name], context=context)
    assert isinstance(evaluation, Unstable)
    assert not evaluation.properties


def test_a_null_number_that_is_not_unstable_is_a_permanent_failure(context: Context) -> None:
    evaluation = make().evaluate(MATERIALS["d"], context=context)
    assert isinstance(evaluation, Failed)
    assert evaluation.permanent
    assert evaluation.stage == "lookup"


def test_a_row_without_stable_column_is_stable(context: Context) -> None:
    assert isinstance(make().evaluate(MATERIALS["e"], context=context), Measured)


def test_without_stable_column_nothing_is_unstable(context: Context) -> None:
    oracle = make(stable_column=None)
    statuses = [oracle.evaluate(m, context=context).status for m in MATERIALS.values()]
    assert statuses == ["measured", "measured", "failed", "failed", "measured"]


def test_a_material_outside_the_table_fails(context: Context) -> None:
    evaluation = make().evaluate(UNKNOWN, context=context)
    assert isinstance(evaluation, Failed)
    assert evaluation.permanent
    assert UNKNOWN.formula in evaluation.message


@pytest.mark.parametrize(
    "change",
    [
        {"table_sha256": "01"},
        {"stable_column": None},
        {"fidelity": "bte"},
        {"property": "conductance"},
        {"cost_s": 31.0},
        {"temperature": 300.0},
        {"std_column": "error"},
    ],
)
def test_all_that_changes_the_outcome_changes_the_method(change: dict[str, Any]) -> None:
    assert make(**change).method_digest != make().method_digest
    assert make().method_digest == make().method_digest


def test_a_column_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(OracleError, match=r"'kapa'.*known: error, kappa, stable, tight"):
        make(column="kapa")
    with pytest.raises(OracleError, match="'stabel'"):
        make(stable_column="stabel")


def test_a_column_of_another_type_is_refused() -> None:
    with pytest.raises(OracleError, match=r"'stable' of 'a' is True; expected a number"):
        make(column="stable")
    with pytest.raises(OracleError, match=r"'kappa' of 'a' is 3.5; expected true, false"):
        make(stable_column="kappa")


def test_the_error_of_a_number_is_read_where_it_is_known(context: Context) -> None:
    oracle = make(std_column="error")
    assert scalar(oracle.evaluate(MATERIALS["a"], context=context), "kappa") == (3.5, 0.4)
    assert scalar(oracle.evaluate(MATERIALS["e"], context=context), "kappa") == (2.0, None)


@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan, True, "0.1"])
def test_an_error_is_a_finite_number_from_0(value: Any) -> None:
    row = {"id": "a", "kappa": 1.0, "error": value}
    with pytest.raises(OracleError, match="'error' of 'a'"):
        ReplayOracle(
            {"x": row}, fidelity="f", property="kappa", column="kappa", std_column="error",
            table_sha256="00",
        )  # fmt: skip


def test_exact_numbers_need_no_confirmation() -> None:
    oracle = make()
    assert oracle.tightened(0) is oracle
    assert oracle.tightened(1) is None


def test_confirmation_reads_the_better_number(context: Context) -> None:
    oracle = make(confirm_column="tight", std_column="error", temperature=300.0)
    tight = oracle.tightened(1)
    assert tight is not None
    assert (tight.fidelity, tight.method_digest != oracle.method_digest) == ("dft", True)
    evaluation = tight.evaluate(MATERIALS["a"], context=context)
    assert scalar(evaluation, "kappa", 300.0) == (3.1, None)
    assert evaluation.cost_s == 30.0
    statuses = [tight.evaluate(m, context=context).status for m in MATERIALS.values()]
    assert statuses == ["measured", "unstable", "unstable", "failed", "failed"]


def test_a_table_confirms_once() -> None:
    oracle = make(confirm_column="tight")
    first = oracle.tightened(1)
    assert first is not None
    assert oracle.tightened(2) is None
    assert first.tightened(1) is None


def test_what_confirms_a_number_does_not_change_it() -> None:
    assert make(confirm_column="tight").method_digest == make().method_digest


def test_a_number_cannot_confirm_itself() -> None:
    with pytest.raises(OracleError, match="confirm_column: given 'kappa', which is the column"):
        make(confirm_column="kappa")


def test_optional_columns_that_do_not_exist_are_refused() -> None:
    with pytest.raises(OracleError, match="'tihgt' is in no row"):
        make(confirm_column="tihgt")
    with pytest.raises(OracleError, match="'eror' is in no row"):
        make(std_column="eror")


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_load_table(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", *[json.dumps(row) for row in ROWS], "", "  ")
    rows, digest = load_table(path)
    assert [{k: v for k, v in row.items() if v is not None} for row in rows.values()] == [
        {k: v for k, v in row.items() if v is not None} for row in ROWS
    ]
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_one_row_alone_is_judged_as_within_its_table(tmp_path: Path, context: Context) -> None:
    rows, digest = load_table(write(tmp_path / "t.jsonl", *[json.dumps(row) for row in ROWS]))
    columns: dict[str, Any] = {
        "stable_column": "stable",
        "std_column": "error",
        "confirm_column": "tight",
    }
    for name, material in MATERIALS.items():
        single_row = ReplayOracle(
            {material.digest: rows[name]}, fidelity="dft", property="kappa", column="kappa",
            cost_s=30.0, table_sha256=digest, **columns,
        )  # fmt: skip
        among = make(table_sha256=digest, **columns)
        assert single_row.method_digest == among.method_digest
        assert single_row.evaluate(material, context=context) == among.evaluate(
            material, context=context
        )


def test_integer_ids_are_texts(tmp_path: Path) -> None:
    assert list(load_table(write(tmp_path / "t.jsonl", '{"id": 7}'))[0]) == ["7"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: given list"),
        ('{"kappa": 1}', 'line 2: given no "id"'),
        ('{"id": true}', 'line 2: given no "id"'),
        ('{"id": "a"}', "line 2: id 'a' is also on line 1"),
    ],
)
def test_load_table_names_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "t.jsonl", '{"id": "a"}', line)
    with pytest.raises(OracleError, match=message) as caught:
        load_table(path)
    assert "t.jsonl" in caught.value.message
    assert "\n" not in caught.value.message


def test_load_table_without_content(tmp_path: Path) -> None:
    with pytest.raises(OracleError, match="empty"):
        load_table(write(tmp_path / "t.jsonl"))
    with pytest.raises(OracleError, match=r"absent.jsonl cannot be read"):
        load_table(tmp_path / "absent.jsonl")
    (tmp_path / "b.jsonl").write_bytes(b'{"id": "\xff"}')
    with pytest.raises(OracleError, match="not JSON"):
        load_table(tmp_path / "b.jsonl")
