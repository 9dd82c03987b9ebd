"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_LEAST = 0.6  # least similarity, from 0 to 1, of a suggestion


def nearest(given: object, names: Iterable[str]) -> str | None:
    """The name most similar to the given one, or None where none is similar.

    Case and punctuation are ignored: ``7net0`` is ``7net-0``, ``NA`` is ``Na``.
    """
    if not isinstance(given, str) or not given.strip():
        return None
    candidates = list(dict.fromkeys(names))
    bare: dict[str, str] = {}
    for name in candidates:
        bare.setdefault(_bare(name), name)
    if _bare(given) in bare:
        return bare[_bare(given)]
    near = difflib.get_close_matches(_bare(given), list(bare), n=1, cutoff=_LEAST)
    return bare[near[0]] if near else None


def did_you_mean(given: object, names: Iterable[str]) -> str:
    """``did you mean 'x'? ``, or an empty text where no name is similar."""
    near = nearest(given, names)
    return "" if near is None or near == given else f"did you mean {near!r}? "


def _bare(name: str) -> str:
    return re.sub(r"[\s._:/-]+", "", name).lower() or name
