"""What is said of potentials is what the published data say."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from oracle.accuracy import known_accuracy

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


def test_one_statement_per_family_in_order() -> None:
    families = ["wurtzite", "perovskite", "rocksalt"]
    found = known_accuracy("7net-0", families)
    assert [statement.family for statement in found] == families
    assert [statement.known is None for statement in found] == [False, True, False]


def test_texts_are_one_line_and_say_what_is_not_known() -> None:
    (known, unknown, bad) = (
        known_accuracy("7net-l3i5", ["wurtzite"])[0].text,
        known_accuracy("my.module:potential", ["pool"])[0].text,
        known_accuracy("7net-0", ["half-heusler"])[0].text,
    )
    assert "factor of 1.64" in known
    assert "too low" in known
    assert "no known accuracy of my.module:potential for pool" in unknown
    assert "1 compound;" in bad.replace(")", "")
    assert "kappa_SRME 0.767" in known_accuracy("7net-0", ["rocksalt"])[0].text
    assert all("\n" not in text for text in (known, unknown, bad))
