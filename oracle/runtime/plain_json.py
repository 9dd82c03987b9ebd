"""Parsing JSON from untrusted sources, with a limit on nesting."""

from __future__ import annotations

import json
import re
from typing import Any

_DEEPEST = 100
"""Largest number of nested levels. Python's own limit does not protect: libraries raise it, and
deeply nested text then crashes the whole process."""
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        json.JSONDecodeError: it is not JSON.
        ValueError: it is nested more than a hundred levels deep.
    """
    if text.count("[") + text.count("{") > _DEEPEST and _depth(text) > _DEEPEST:
        raise ValueError(f"nested too deeply; expected at most {_DEEPEST} levels")
    return json.loads(text)


def _depth(text: str) -> int:
    """Largest number of open brackets, without those inside strings."""
    depth = deepest = 0
    for piece in _PIECES.finditer(text):
        first = text[piece.start()]
        if first in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in "]}":
            depth -= 1
    return deepest
