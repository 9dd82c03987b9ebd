"""Refuses values that YAML allows but no setting can use: ``.inf``, or ``true`` for a number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

_Key = tuple[str, ...]
_SHOWN = 60  # characters of the value in a message
_LARGEST = 10**18  # databases and integer arrays hold no larger numbers


def check_values(raw: Any, validated: Any) -> None:
    """Refuse values that pydantic accepts but that cannot be stored and read back.

    JSON has no infinity, so a campaign with one could not be resumed; databases and paths hold
    neither the NUL character nor one half of a surrogate pair.

    Args:
        raw: the settings as read: mappings, lists and plain values.
        validated: the same settings after validation, as plain values.

    Raises:
        ValueError: a value is refused; names its key and what is expected instead.
    """
    for key, value, parsed in _leaves(raw, validated, ()):
        expected = _expected(value, parsed)
        if expected:
            raise ValueError(f"{'.'.join(key)}: given {_shown(value)}; expected {expected}")


def _leaves(raw: Any, validated: Any, key: _Key) -> Iterator[tuple[_Key, Any, Any]]:
    """Each plain value with its key and its validated form, None if that has another shape."""
    if isinstance(raw, dict):
        counterparts = validated if isinstance(validated, dict) else {}
        for name, value in raw.items():
            yield from _leaves(value, counterparts.get(name), (*key, str(name)))
    elif isinstance(raw, list | tuple):
        items = validated if isinstance(validated, list | tuple) else ()
        for index, value in enumerate(raw):
            parsed = items[index] if index < len(items) else None
            yield from _leaves(value, parsed, (*key, str(index)))
    else:
        yield key, raw, validated


def _expected(value: Any, parsed: Any) -> str:
    """What is expected instead of a value; empty if the value is sound."""
    if isinstance(value, bool) and isinstance(parsed, int | float) and not isinstance(parsed, bool):
        return "a number"
    if isinstance(value, int) and abs(value) > _LARGEST:
        return f"a number of at most {_LARGEST:.0e}"
    numbers = [x for x in (value, parsed) if isinstance(x, float)]
    if not all(math.isfinite(x) for x in numbers):
        return "a finite number: leave the key out where there is no limit"
    if isinstance(value, str) and not _is_sound(value):
        return "a text without characters that no file or database can hold"
    return ""


def _is_sound(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else ascii(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
