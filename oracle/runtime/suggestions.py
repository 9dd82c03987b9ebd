"""Near misses of names: what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_LEAST = 0.6  # similarity, from 0 to 1, below which nothing is suggested


def nearest(given: object, names: Iterable[str]) -> str | None:
    """The name most like what was given, or None where none is like it.

    Case and punctuation count least: ``7net0`` is ``7net-0``, ``NA`` is ``Na``.
    """
    if not isinstance(given, str) or not given.strip():
        return None
    known = list(dict.fromkeys(names))
    bare: dict[str, str] = {}
    for name in known:
        bare.setdefault(_bare(name), name)
    if _bare(given) in bare:
        return bare[_bare(given)]
    near = difflib.get_close_matches(_bare(given), list(bare), n=1, cutoff=_LEAST)
    return bare[near[0]] if near else None


def did_you_mean(given: object, names: Iterable[str]) -> str:
    """``did you mean 'x'? ``, or nothing where no name is like what was given."""
    near = nearest(given, names)
    return "" if near is None or near == given else f"did you mean {near!r}? "


def _bare(name: str) -> str:
    return re.sub(r"[\s._:/-]+", "", name).lower() or name
