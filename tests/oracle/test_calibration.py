"""The measured accuracy of potentials: its statistics, and the module generated from them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.accuracy_table import comparison, module, origin_of, printed, read_rows, tables
from oracle.potentials.calibration import (
    ANALOGY,
    NORMAL_90,
    Comparison,
    deviations,
    measured_table,
    multiplier_90,
)

FAMILIES = ("rocksalt", "zincblende", "wurtzite")
SPREADS = {"rocksalt": 0.08, "zincblende": 0.2, "wurtzite": 0.35}


def _compounds(seed: int, count: int = 120, freedom: float | None = None) -> list[Comparison]:
    """Deviations of known spread, normal or (with `freedom`) of Student's distribution."""
    rng = np.random.default_rng(seed)
    compounds = []
    for i in range(count):
        family = FAMILIES[i % 3]
        numerics = float(rng.choice([0.02, 0.05, 0.15]))
        unit = rng.standard_normal() if freedom is None else rng.standard_t(freedom)
        log_ratio = float(unit) * math.hypot(SPREADS[family], numerics)
        compounds.append(Comparison(f"X{i // 2}Y", family, log_ratio, numerics))
    return compounds


@pytest.mark.parametrize("freedom", [None, 3.0])
def test_intervals_cover_nine_of_ten_new_compounds(freedom: float | None) -> None:
    """Also where tails are heavier than normal, and for compounds that no table has seen."""
    covered, tested = 0, 0
    for seed in range(8):
        table = measured_table(_compounds(seed, freedom=freedom))
        assert table.coverage is not None
        for each in _compounds(1000 + seed, freedom=freedom):
            half = table.multiplier_90 * math.hypot(table.potential(each.family)[0], each.numerics)
            assert each.log_ratio is not None
            covered += abs(each.log_ratio) <= half
            tested += 1
    assert 0.86 <= covered / tested <= 0.95


def test_cross_validation_foretells_the_coverage() -> None:
    coverages = [measured_table(_compounds(seed)).coverage for seed in range(6)]
    shares = [c.share for c in coverages if c is not None]
    assert len(shares) == 6
    assert 0.86 <= float(np.mean(shares)) <= 0.95
    quartiles = np.mean([c.quartiles for c in coverages if c is not None], axis=0)
    assert quartiles.shape == (4,)
    assert (quartiles >= 0.8).all()


def test_spread_is_divided_between_numerics_and_potential() -> None:
    table = measured_table(_compounds(3, count=3000))
    for family, spread in SPREADS.items():
        numerics = math.sqrt((0.02**2 + 0.05**2 + 0.15**2) / 3)
        assert table.families[family].numerics == pytest.approx(numerics, rel=0.1)
        assert table.families[family].spread == pytest.approx(math.hypot(spread, numerics), rel=0.1)
        assert table.families[family].potential == pytest.approx(spread, rel=0.15)
    assert table.multiplier_90 == pytest.approx(NORMAL_90, rel=0.08)


def test_figures_by_hand() -> None:
    logs = (math.log(2), -math.log(2), math.log(4))
    found = deviations([Comparison(f"X{i}", "cscl", log) for i, log in enumerate(logs)])
    assert found.bias == pytest.approx(4 ** (1 / 3))
    assert found.factor == pytest.approx(2 ** (4 / 3))
    assert found.spread == pytest.approx(math.log(2) * math.sqrt(2))
    assert found.factor_90 == pytest.approx(4)


def test_a_bias_is_part_of_the_error_and_not_corrected() -> None:
    low = [Comparison(f"X{i}", "cscl", -0.5) for i in range(9)]
    assert deviations(low).potential == pytest.approx(0.5)


def test_refused_compounds_are_counted_and_change_nothing_else() -> None:
    compounds = _compounds(5)
    refused = [Comparison(f"Z{i}", "rocksalt", None) for i in range(7)]
    alone, together = measured_table(compounds), measured_table(compounds + refused)
    assert together.families["rocksalt"].refused == together.overall.refused == 7
    assert together.overall.compounds == alone.overall.compounds == len(compounds)
    assert together.families["rocksalt"].spread == alone.families["rocksalt"].spread
    assert together.multiplier_90 == alone.multiplier_90
    assert f"{len(compounds) + 7} compounds" in together.source
    with pytest.raises(ValueError, match="measure more"):
        measured_table(refused)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 12))
def test_a_formula_is_never_on_both_sides(seed: int, formulas: int) -> None:
    """The multiplier is the one found by really leaving out one formula after another."""
    rng = np.random.default_rng(seed)
    compounds = [
        Comparison(f"X{rng.integers(formulas)}", c.family, c.log_ratio, c.numerics)
        for c in _compounds(seed, count=30)
    ]
    ratios = []
    for name in {c.formula for c in compounds}:
        rest = [c for c in compounds if c.formula != name]
        if not rest:
            return
        table = measured_table(rest)
        for each in (c for c in compounds if c.formula == name):
            width = math.hypot(table.potential(each.family)[0], each.numerics)
            ratios.append(abs(each.log_ratio or 0) / width)
    assert multiplier_90(compounds) == pytest.approx(sorted(ratios)[27])  # ⌈0.9 · 31⌉ = 28


def test_polymorphs_that_deviate_alike_do_not_calibrate_each_other() -> None:
    """Of each formula both polymorphs deviate by the same; only one is large, in both families."""
    compounds = [
        Comparison(f"X{i}", family, 0.01 if i else 3.0, 0.01)
        for i in range(15)
        for family in ("zincblende", "wurtzite")
    ]
    table = measured_table(compounds)
    assert table.coverage is not None
    assert table.coverage.share == pytest.approx(28 / 30)


def test_few_compounds_take_the_normal_distribution() -> None:
    assert multiplier_90(_compounds(1, count=19)) == NORMAL_90
    table = measured_table(_compounds(1, count=19))
    assert table.coverage is None
    pair = measured_table(_compounds(1, count=5))
    assert not pair.families  # none has three
    assert pair.potential("rocksalt") == (ANALOGY * pair.overall.potential, True)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 10), st.integers(0, 10))
def test_a_family_that_was_not_measured_is_less_certain_than_any_average(
    scale: float, seed: int
) -> None:
    compounds = [
        Comparison(c.formula, c.family, scale * (c.log_ratio or 0), c.numerics)
        for c in _compounds(seed, count=18)
    ]
    table = measured_table(compounds)
    by_analogy, marked = table.potential("perovskite")
    assert marked
    assert by_analogy == table.potential(None)[0] > table.overall.potential


def _row(formula: str, family: str, ratio: float | None, **changes: Any) -> dict[str, Any]:
    row = {
        "formula": formula,
        "family": family,
        "calculator": "mine",
        "default": True,
        "status": "unstable" if ratio is None else "measured",
        "kappa": None if ratio is None else 10 * ratio,
        "limit": None if ratio is None else 12 * ratio,
        "std": None if ratio is None else 0.6 * ratio,
        "reference": 10.0,
        "against": "dft",
    }
    return row | changes


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _rows(count: int = 40) -> list[dict[str, Any]]:
    return [
        _row(c.formula, c.family, None if c.log_ratio is None else math.exp(c.log_ratio))
        for c in _compounds(2, count=count)
    ]


def test_a_row_is_a_comparison() -> None:
    made = comparison(_row("NaCl", "rocksalt", 0.8))
    assert (made.formula, made.family) == ("NaCl", "rocksalt")
    assert made.log_ratio == pytest.approx(math.log(0.8))
    assert made.numerics == pytest.approx(0.05)  # of kappa of all waves, to which it belongs
    for refused in (_row("NaCl", "rocksalt", None), _row("NaCl", "rocksalt", 0.8, status="failed")):
        assert comparison(refused).log_ratio is None


@pytest.mark.parametrize("count", [0, 2, 12, 40])
def test_the_generated_module_states_the_table(tmp_path: Path, count: int) -> None:
    rows = [*_rows(count), *([_row("KI", "rocksalt", None)] if count else [])]
    measured = tables(read_rows([_write(tmp_path / "rows.jsonl", rows)]))
    text = module(measured, origin_of(rows))
    target = tmp_path / "generated.py"
    target.write_text(text)
    for words in (["check", "--select", "E,F,W,I,D"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, "--line-length", "100", str(target)]
        assert subprocess.run(command, check=False, capture_output=True).returncode == 0, text
    names: dict[str, Any] = {}
    exec(compile(text, str(target), "exec"), names)
    assert list(names["MEASURED"]) == list(measured)
    for name, table in measured.items():
        read = names["MEASURED"][name]
        assert read.overall.compounds == table.overall.compounds
        assert read.overall.refused == 1
        assert read.overall.spread == pytest.approx(table.overall.spread, rel=1e-3)
        assert list(read.families) == list(table.families)
        assert (read.coverage is None) == (count < 21)
    assert len(list(printed(measured))) >= 2


def test_rows_of_other_references_or_settings_are_refused(tmp_path: Path) -> None:
    wrong = _write(tmp_path / "a.jsonl", [_row("NaCl", "rocksalt", 1.0, against="7net-l3i5")])
    with pytest.raises(ValueError, match="--against dft"):
        read_rows([wrong])
    mixed = [_row("NaCl", "rocksalt", 1.0), _row("KCl", "rocksalt", 1.0, default=False)]
    with pytest.raises(ValueError, match="one kind"):
        read_rows([_write(tmp_path / "b.jsonl", mixed)])


def test_a_compound_measured_again_counts_once(tmp_path: Path) -> None:
    first = _write(tmp_path / "a.jsonl", [_row("NaCl", "rocksalt", 2.0)])
    again = _write(tmp_path / "b.jsonl", [_row("NaCl", "rocksalt", 1.1)])
    (row,) = read_rows([first, again])
    assert row["kappa"] == pytest.approx(11)
