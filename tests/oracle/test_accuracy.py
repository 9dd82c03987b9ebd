"""Statements about the accuracy of potentials agree with the published data."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from oracle.potentials import accuracy
from oracle.potentials.accuracy import factor_within, holes, known_accuracy, summary


@pytest.fixture(autouse=True)
def _as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured here is tested with the error budget, on figures that stay as they are."""
    monkeypatch.setattr(accuracy, "MEASURED", {})


DATA = Path(__file__).parents[3] / "shared" / "data" / "phonondb_pbe_part.csv"
COLUMNS = {"7net-l3i5": "kappa300_SevenNet_l3i5_W_mK", "chgnet": "kappa300_CHGNet_W_mK"}


@pytest.mark.skipif(not DATA.is_file(), reason="the reference data are not on this machine")
@pytest.mark.parametrize("family", ["rocksalt", "zincblende", "wurtzite"])
@pytest.mark.parametrize("potential", COLUMNS)
def test_factors_follow_from_the_published_values(potential: str, family: str) -> None:
    with DATA.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["structure"] == family]
    logs = [
        math.log(float(row[COLUMNS[potential]]) / float(row["kappa300_PBE_noNAC_W_mK"]))
        for row in rows
        if row[COLUMNS[potential]]
    ]
    known = known_accuracy(potential, [family])[0].known
    assert known is not None
    assert known.factor is not None
    assert known.bias is not None
    assert known.factor == pytest.approx(math.exp(sum(map(abs, logs)) / len(logs)), rel=0.01)
    assert known.bias == pytest.approx(math.exp(sum(logs) / len(logs)), rel=0.03)
    assert known.compounds == len(logs)
    assert known.imaginary == len(rows) - len(logs)


@pytest.mark.skipif(not DATA.is_file(), reason="the reference data are not on this machine")
def test_an_srme_bounds_the_factor_of_every_compound() -> None:
    with DATA.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row[COLUMNS["chgnet"]]]
    assert len(rows) > 40
    for row in rows:
        for potential, name in (("7net-l3i5", "SevenNet_l3i5"), ("chgnet", "CHGNet")):
            if row[COLUMNS[potential]]:
                ratio = float(row[COLUMNS[potential]]) / float(row["kappa300_PBE_noNAC_W_mK"])
                bound = factor_within(float(row[f"srme_{name}"]))
                assert max(ratio, 1 / ratio) <= bound * 1.05, row["formula"]  # rounding


@pytest.mark.parametrize(
    ("srme", "factor"), [(0.0, 1.0), (2 / 3, 2.0), (1.0, 3.0), (2.0, math.inf)]
)
def test_factor_within_an_srme(srme: float, factor: float) -> None:
    assert factor_within(srme) == pytest.approx(factor)


def test_one_statement_per_family_in_order() -> None:
    families = ["wurtzite", "perovskite", "rocksalt"]
    statements = known_accuracy("7net-0", families)
    assert [statement.family for statement in statements] == families
    assert [statement.known is None for statement in statements] == [False, True, False]


@pytest.mark.parametrize(
    ("potential", "family", "text"),
    [
        ("7net-l3i5", "zincblende", "typically off by a factor of 1.5, mostly too low"),
        ("7net-l3i5", "half-heusler", "typically off by a factor of 6.6, mostly too low"),
        ("7net-0", "rocksalt", "typically off by a factor of up to 2.2"),
        ("orb-v3", "wurtzite", "typically off by a factor of up to 1.2"),
        ("orb-v3", "half-heusler", "nothing is known"),
        ("7net-0", "perovskite", "nothing is known"),
        ("my.module:potential", "rocksalt", "nothing is known"),
    ],
)
def test_words(potential: str, family: str, text: str) -> None:
    assert known_accuracy(potential, [family])[0].text == text


def test_summaries_and_holes() -> None:
    assert summary("7net-0") == "typically off by a factor of up to 2.2"
    assert summary("7net-l3i5") == "typically off by a factor of 1.2 to 1.6, mostly too low"
    assert summary("my.module:potential") is None
    assert holes("7net-0") == holes("7net-l3i5") == ("half-heusler",)
    assert holes("chgnet") == ("rocksalt", "zincblende", "wurtzite")
    assert holes("orb-v3") == ()
