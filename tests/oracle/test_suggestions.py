"""Suggestions for misspelt names."""

from __future__ import annotations

import pytest

from oracle.runtime.suggestions import did_you_mean, nearest

NAMES = ("7net-0", "7net-l3i5", "chgnet", "rocksalt", "dynamically_stable", "Na", "N", "kappa")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("7net0", "7net-0"),
        ("CHGNet", "chgnet"),
        ("rock-salt", "rocksalt"),
        ("dynamically-stable", "dynamically_stable"),
        ("dynamicaly_stable", "dynamically_stable"),
        ("na", "Na"),
        ("kapa", "kappa"),
        ("zzz", None),
        ("", None),
        (3, None),
        (None, None),
        (["kappa"], None),
    ],
)
def test_the_nearest_name_is_suggested(given: object, meant: str | None) -> None:
    assert nearest(given, NAMES) == meant


def test_a_hint_is_a_question_or_nothing() -> None:
    assert did_you_mean("kapa", NAMES) == "did you mean 'kappa'? "
    assert did_you_mean("zzz", NAMES) == ""
    assert did_you_mean("kappa", NAMES) == ""
