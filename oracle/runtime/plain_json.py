"""JSON that somebody else wrote, whose nesting is counted before Python follows it."""

from __future__ import annotations

import json
import re
from typing import Any

_DEEPEST = 100
"""Levels that a text may nest. Python's own limit is no guard: libraries raise it, and then a
text that nests without end takes the whole process down."""
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        json.JSONDecodeError: it is none.
        ValueError: it nests more than a hundred levels.
    """
    if text.count("[") + text.count("{") > _DEEPEST and _depth(text) > _DEEPEST:
        raise ValueError(f"nested too deeply; expected at most {_DEEPEST} levels")
    return json.loads(text)


def _depth(text: str) -> int:
    """How many brackets are open at most; those inside of strings do not count."""
    depth = deepest = 0
    for piece in _PIECES.finditer(text):
        first = text[piece.start()]
        if first in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in "]}":
            depth -= 1
    return deepest
