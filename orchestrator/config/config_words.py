"""Describes the values that a setting accepts, in the words of YAML, from its Python type."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four"}
_PLAIN = {str: "a text", int: "an integer", float: "a number", bool: "true or false"}
_BOUNDS = (
    ("gt", "above {}"),
    ("ge", "of at least {}"),
    ("lt", "below {}"),
    ("le", "of at most {}"),
)
_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$": (
        "a name of up to 100 letters, digits, dots, underscores and hyphens that begins with a "
        "letter or a digit"
    ),
}
"""Descriptions of regular expressions."""


_FIRST_KEY = re.compile(r"a mapping with (?:the keys|a key) '?(\w+)")


def described(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """``a list of numbers above 0``, ``one of a, b``, ``a mapping with the keys a, b``.

    Args:
        annotation: type of a field, or of the items in it.
        metadata: constraints on the field.
    """
    annotation, constraints = unwrapped(annotation, metadata)
    described_as = next(
        (c.description for c in constraints if getattr(c, "description", None)), None
    )
    if described_as is not None:
        return str(described_as)
    if annotation is None or annotation is type(None):
        return "null"
    if annotation in _PLAIN:
        return _simple(annotation, constraints)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"a mapping with the keys {', '.join(keys_of(annotation))}"
    if isinstance(annotation, type) and issubclass(annotation, Path):
        return "a path"
    return _composed(annotation, constraints)


def unwrapped(annotation: Any, metadata: Iterable[Any] = ()) -> tuple[Any, list[Any]]:
    """The type inside `Annotated`, and all constraints attached to it."""
    constraints = list(metadata)
    while typing.get_origin(annotation) is typing.Annotated:
        annotation, *more = typing.get_args(annotation)
        constraints += more
    flat: list[Any] = []
    for constraint in constraints:
        flat += [constraint]
        if isinstance(constraint, FieldInfo):
            flat += constraint.metadata
    return annotation, flat


def is_union(annotation: Any) -> bool:
    """Whether an annotation is a union of types."""
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a mapping as they are written in a config."""
    return [str(field.alias or name) for name, field in model.model_fields.items()]


def _composed(annotation: Any, constraints: list[Any]) -> str:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        values = ", ".join(str(part) for part in parts)
        return f"one of {values}" if len(parts) > 1 else values
    if is_union(annotation):
        return _choice([described(part, constraints) for part in parts if part is not type(None)])
    if origin is tuple and Ellipsis not in parts:
        several = _NUMBERS.get(len(parts), str(len(parts)))
        return f"a list of {several} {_plural(described(parts[0]))}"
    if origin in (tuple, list, set, frozenset):
        return f"a list of {_several(described(parts[0]), _least(constraints))}"
    if origin is dict:
        return f"a mapping of names to {_plural(described(parts[1]))}"
    return "another kind of value"


def _choice(words: list[str]) -> str:
    """Alternatives joined by "or", each once; mappings of several kinds count as one."""
    mappings = [word for word in words if word.startswith("a mapping with ")]
    if len(mappings) > 1:
        # What tells them apart stands first in each of them.
        firsts = {_FIRST_KEY.match(word) for word in mappings}
        names = {found.group(1) for found in firsts if found is not None}
        one = f"a mapping with a key {names.pop()!r}" if len(names) == 1 else "a mapping"
        words = [word for word in words if word not in mappings] + [one]
    return " or ".join(dict.fromkeys(words))


def _simple(annotation: Any, constraints: list[Any]) -> str:
    word = _PLAIN[annotation]
    pattern = next((c.pattern for c in constraints if getattr(c, "pattern", None)), None)
    if pattern is not None:
        return _PATTERNS.get(str(pattern), "a text of another form")
    bounds: list[str] = []
    for name, form in _BOUNDS:
        limits = [getattr(c, name) for c in constraints if _bounds(c, name)]
        bounds += [form.format(f"{limits[0]:g}")] if limits else []
    if annotation is str and _least(constraints):
        return "a text that is not empty"
    return f"{word} {' and '.join(bounds)}" if bounds else word


def _bounds(constraint: Any, name: str) -> bool:
    kinds = (annotated_types.Gt, annotated_types.Ge, annotated_types.Lt, annotated_types.Le)
    return isinstance(constraint, kinds) and getattr(constraint, name, None) is not None


def _least(constraints: list[Any]) -> int:
    """Minimum number of items in a list or characters in a text."""
    return max(
        (c.min_length for c in constraints if isinstance(c, annotated_types.MinLen)), default=0
    )


def _several(words: str, least: int) -> str:
    """Describes the items of a list by their minimum number."""
    if least == 0:
        return _plural(words)
    if least == 1 and words.startswith(("a ", "an ")):
        return f"at least one {words.partition(' ')[2]}"
    return f"at least {_NUMBERS.get(least, str(least))} {_plural(words)}"


def _plural(words: str) -> str:
    """The plural of a description: ``numbers above 0``, or ``values, each ...`` for choices."""
    for one, many in (
        ("an integer", "integers"),
        ("a number", "numbers"),
        ("a text", "texts"),
        ("a path", "paths"),
        ("a temperature", "temperatures"),
        ("a name", "names"),
        ("a list", "lists"),
        ("a mapping", "mappings"),
    ):
        if words.startswith(one):
            return many + words.removeprefix(one)
    return f"values, each {words}"
