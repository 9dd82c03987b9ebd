"""Values that YAML can hold and no setting means: ``.inf``, ``true`` as a number, broken texts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

_Key = tuple[str, ...]
_SHOWN = 60  # characters of what was given
_LARGEST = 10**18  # what databases and arrays of integers hold


def check_values(raw: Any, validated: Any) -> None:
    """Refuse what pydantic lets pass, and what a record of the settings would not give back.

    JSON has no infinity, so that a campaign could not be resumed with one; a database and a path
    hold no character NUL and no half of a surrogate pair.

    Args:
        raw: as read: mappings, lists and plain values.
        validated: the same settings after validation, as plain values.

    Raises:
        ValueError: naming the key, what was given and what is expected.
    """
    for key, value, became in _leaves(raw, validated, ()):
        expected = _expected(value, became)
        if expected:
            raise ValueError(f"{'.'.join(key)}: given {_written(value)}; expected {expected}")


def _leaves(raw: Any, validated: Any, key: _Key) -> Iterator[tuple[_Key, Any, Any]]:
    """Plain values with their keys and what became of them; None where that has another shape."""
    if isinstance(raw, dict):
        there = validated if isinstance(validated, dict) else {}
        for name, value in raw.items():
            yield from _leaves(value, there.get(name), (*key, str(name)))
    elif isinstance(raw, list | tuple):
        items = validated if isinstance(validated, list | tuple) else ()
        for index, value in enumerate(raw):
            became = items[index] if index < len(items) else None
            yield from _leaves(value, became, (*key, str(index)))
    else:
        yield key, raw, validated


def _expected(value: Any, became: Any) -> str:
    """What should stand there instead; empty where the value is sound."""
    if isinstance(value, bool) and isinstance(became, int | float) and not isinstance(became, bool):
        return "a number"
    if isinstance(value, int) and abs(value) > _LARGEST:
        return f"a number of at most {_LARGEST:.0e}"
    numbers = [x for x in (value, became) if isinstance(x, float)]
    if not all(math.isfinite(x) for x in numbers):
        return "a finite number: leave the key out where there is no limit"
    if isinstance(value, str) and not _is_sound(value):
        return "a text without characters that no file or database can hold"
    return ""


def _is_sound(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _written(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else ascii(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
