"""What is wrong with an HTTP request, in the form and the words of all other messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_EXPECTED = {
    "dict_type": "a mapping",
    "model_attributes_type": "a JSON object",
    "model_type": "a JSON object",
    "list_type": "a list",
    "string_type": "a text",
    "int_parsing": "an integer",
    "int_type": "an integer",
    "bool_parsing": "true or false",
}
_BOUNDS = {"greater_than_equal": ("ge", "at least"), "less_than_equal": ("le", "at most")}
_LONGEST = 80  # characters of a value in a message
_WHERE = {"body": "request", "query": "query", "path": "address"}


def request_problem(errors: Sequence[Any]) -> str:
    """One line for the first error of a request: where, what was given, and what was expected.

    Args:
        errors: of pydantic, as FastAPI collects them; not empty.
    """
    error: Mapping[str, Any] = errors[0]
    source, *keys = map(str, error["loc"])
    place = ": ".join(filter(None, (_WHERE.get(source, source), ".".join(keys))))
    kind, context = error["type"], error.get("ctx") or {}
    if kind == "json_invalid":
        return f"request: its body is not JSON ({context.get('error', 'unreadable')})"
    if isinstance(error.get("input"), bytes):
        return "request: its body is not marked as JSON; expected Content-Type: application/json"
    if kind == "missing":
        return f"{place}: missing; expected a JSON object" if not keys else f"{place}: missing"
    if kind == "extra_forbidden":
        return f"{place}: unknown key; expected only those of this request, see /openapi.json"
    given = repr(error.get("input"))
    shown = given if len(given) <= _LONGEST else f"{given[: _LONGEST - 3]}..."
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"{place}: given {shown}; expected {words} {context[key]:g}"
    expected = _EXPECTED.get(kind) or str(error.get("msg", "another value"))
    return f"{place}: given {shown}; expected {expected}"
