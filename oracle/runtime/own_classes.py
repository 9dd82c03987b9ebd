"""What users name by its import path in a config: how it is set, made and checked."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import get_protocol_members

from oracle.runtime.errors import RAISED_BY_LIBRARIES, OracleError, SetupError, in_words
from oracle.runtime.local_inputs import ImportPath, names_code
from oracle.runtime.sources import imported

NAMED = "named"
"""Branch of a union: settings of one of the kinds that have a name."""
OWN = "own"
"""Branch of a union: settings of a class of the user's own."""

_NOTHING = object()


class OwnSettings(BaseModel):
    """Something of the user's own, in place of one of the kinds that have a name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ImportPath
    """``package.module:name`` of a class or function."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments it is called with; plain values, lists and mappings."""


def branch_of(value: Any) -> str:
    """Which branch of a union settings belong to, by their kind: `NAMED` or `OWN`."""
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return OWN if isinstance(kind, str) and names_code(kind) else NAMED


def made(settings: OwnSettings, interface: Any, *given: Any, **named: Any) -> Any:
    """What settings name, called with the arguments given and the settings' own.

    Args:
        settings: name and options.
        interface: a Protocol that the result must satisfy.
        given: positional arguments.
        named: keyword arguments.

    Raises:
        SetupError: it cannot be imported, raises, or does not satisfy the interface, in one line.
    """
    name = settings.kind
    factory = imported(name)
    if not callable(factory):
        raise SetupError(f"{name!r} is a {type(factory).__name__}; expected a class or a function")
    try:
        result = factory(*given, **{**named, **settings.options})
    except OracleError as error:
        raise SetupError(f"{name!r}: {error.message}") from error
    except RAISED_BY_LIBRARIES as error:
        raise SetupError(f"{name!r} cannot be made ({in_words(error)})") from error
    _check(result, interface, name)
    return result


def _check(result: Any, interface: Any, name: str) -> None:
    """See that an object has all that a Protocol asks for, and takes what it is called with.

    Raises:
        SetupError: it has not, with what it lacks.
    """
    members = sorted(get_protocol_members(interface))
    lacking = [m for m in members if inspect.getattr_static(result, m, _NOTHING) is _NOTHING]
    what = f"{interface.__module__}.{interface.__name__}"
    if lacking:
        raise SetupError(
            f"{name!r} gives {type(result).__name__}, which lacks {', '.join(lacking)}; expected "
            f"all of {what}: {', '.join(members)}"
        )
    for member in members:
        asked = inspect.getattr_static(interface, member)
        if inspect.isfunction(asked) and not member.startswith("__"):
            _check_call(getattr(result, member), inspect.signature(asked), f"{name!r}: {member}")


def _check_call(method: Any, asked: inspect.Signature, name: str) -> None:
    """See that a method can be called as the interface's own is."""
    if not callable(method):
        raise SetupError(f"{name} is a {type(method).__name__}; expected a method")
    parameters = list(asked.parameters.values())[1:]  # without self
    shown = asked.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    by_name = inspect.Parameter.KEYWORD_ONLY
    try:
        inspect.signature(method).bind(
            *(None for p in parameters if p.kind is not by_name),
            **{p.name: None for p in parameters if p.kind is by_name},
        )
    except TypeError as error:
        plain = ", ".join(p.name for p in shown.parameters.values())
        raise SetupError(
            f"{name} cannot be called as it will be ({error}); expected it to take {plain}"
        ) from error
