"""As many digits as mean something."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.presentation.numbers import aligned, clock, duration, plain, with_error

POSITIVE = st.floats(1e-12, 1e12, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "std", "text"),
    [
        (0.7365, 0.16, "0.74 ± 0.16"),
        (138.9, 14, "139 ± 14"),
        (5.347, 0.28, "5.35 ± 0.28"),
        (4.854, 0.0996, "4.85 ± 0.10"),
        (1288, 160, "1290 ± 160"),
        (99.6, 99.6, "100 ± 100"),
        (0.3745, 5.0, "0.4 ± 5.0"),
        (0.0, 0.001, "0.0000 ± 0.0010"),
        (-3.21, 0.4, "-3.21 ± 0.40"),
        (1.2e9, 3e7, "(1.200 ± 0.030)×10⁹"),
        (2.34e-5, 1e-6, "(2.34 ± 0.10)×10⁻⁵"),
        (4.8543, None, "4.854"),
        (4.8543, 0.0, "4.854"),
        (4.8543, math.nan, "4.854"),
        (1000.0, 1e-9, "1000"),
        (math.nan, 1.0, "nan"),
    ],
)
def test_a_value_has_the_digits_that_its_error_leaves(
    value: float, std: float | None, text: str
) -> None:
    assert with_error(value, std) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (12345.6, "12350"),
        (0.00123456, "0.001235"),
        (3.0, "3"),
        (1.23456e9, "1.235×10⁹"),
        (-4.5e-7, "-4.5×10⁻⁷"),
        (99999.6, "1×10⁵"),
    ],
)
def test_a_value_without_an_error_has_four_digits(value: float, text: str) -> None:
    assert plain(value) == text


@given(POSITIVE, st.floats(1e-4, 10.0))
def test_what_is_written_is_the_value_within_its_error(value: float, relative: float) -> None:
    std = relative * value
    match = re.fullmatch(r"\(?(-?[\d.]+) ± ([\d.]+)\)?(?:×10(.+))?", with_error(value, std))
    assert match is not None
    superscripts = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    power = 10.0 ** int((match[3] or "0").translate(superscripts))
    assert float(match[1]) * power == pytest.approx(value, abs=0.06 * std)
    assert float(match[2]) * power == pytest.approx(std, rel=0.06)
    assert len(match[2].replace(".", "").strip("0")) <= 2


@given(POSITIVE)
def test_a_plain_number_is_within_its_last_digit(value: float) -> None:
    mantissa, _, power = plain(value).partition("×10")
    superscripts = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    read_back = float(mantissa) * 10.0 ** int(power.translate(superscripts) or 0)
    assert read_back == pytest.approx(value, rel=6e-4)


def test_errors_stand_below_each_other() -> None:
    padded = aligned(["0.74 ± 0.16", "139 ± 14", "5.3"])
    assert padded == ["0.74 ± 0.16", " 139 ± 14  ", " 5.3       "]


@pytest.mark.parametrize(
    ("seconds", "passed", "roughly"),
    [
        (0.2, "0:00", "less than 1 s"),
        (8, "0:08", "8 s"),
        (245, "4:05", "4 min"),
        (3723, "1:02:03", "62 min"),
        (9000, "2:30:00", "2.5 h"),
        (302400, "84:00:00", "3.5 days"),
    ],
)
def test_times_are_said_as_people_say_them(seconds: float, passed: str, roughly: str) -> None:
    assert clock(seconds) == passed
    assert duration(seconds) == roughly
