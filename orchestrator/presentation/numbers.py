"""Formats numbers for people, with their significant digits only."""

from __future__ import annotations

import math
from collections.abc import Sequence

from uncertainties import ufloat

_DIGITS = 4  # significant digits of a number without an error
_LARGE, _SMALL = 1e5, 1e-3  # numbers from _LARGE, and below _SMALL, are written as powers of ten
_EXACT = 1e-6  # smaller relative errors come from rounding in the arithmetic
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def plain(value: float, digits: int = _DIGITS) -> str:
    """A number without an error, with `digits` significant digits and no trailing zeros."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    if _SMALL <= abs(rounded) < _LARGE:
        text = f"{rounded:.{max(0, digits - 1 - exponent)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa = f"{rounded / 10.0**exponent:.{digits - 1}f}".rstrip("0").rstrip(".")
    return f"{mantissa}×10{str(exponent).translate(_SUPERSCRIPTS)}"


def with_error(value: float, std: float | None, digits: int = _DIGITS) -> str:
    """``0.74 ± 0.16``: two digits of the standard error, and the value to the same place.

    Args:
        value: any number.
        std: its standard error; None, zero or a value that is not finite is left out.
        digits: significant digits of the value if there is no error.
    """
    if not _is_meaningful(value, std):
        return plain(value, digits)
    assert std is not None  # None is not meaningful
    size = max(abs(value), std)
    form = ".2uf" if _SMALL <= size < _LARGE else ".2ue"
    if form == ".2uf" and std >= 100:  # insignificant digits before the point become zeros
        place = 1 - math.floor(math.log10(std))
        value, std = round(value, place), round(std, place)
        return f"{value:.0f} ± {std:.0f}"
    return f"{ufloat(value, std):{form}P}".replace("±", " ± ")


def aligned(texts: Sequence[str]) -> list[str]:
    """Texts from `with_error`, padded so that the signs ± are aligned in a column."""
    parts = [text.partition(" ± ") for text in texts]
    before = max((len(left) for left, _, _ in parts), default=0)
    after = max((len(right) for _, _, right in parts), default=0)
    padded = [f"{left:>{before}}{sign}{right:<{after}}" for left, sign, right in parts]
    width = max(map(len, padded), default=0)
    return [f"{text:<{width}}" for text in padded]


def clock(seconds: float) -> str:
    """An elapsed time as a clock shows it: ``4:05``, ``1:02:03``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def duration(seconds: float) -> str:
    """An approximate duration: ``40 s``, ``6 min``, ``2.5 h``, ``3.5 days``."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 90:
        return f"{round(seconds)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def _is_meaningful(value: float, std: float | None) -> bool:
    return (
        std is not None
        and math.isfinite(value)
        and math.isfinite(std)
        and std > _EXACT * abs(value)
    )
