"""What users name by its import path in a config: how it is set, made and checked."""

from __future__ import annotations

import contextlib
import inspect
import json
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import get_protocol_members

from oracle.runtime.errors import RAISED_BY_LIBRARIES, OracleError, SetupError, in_words
from oracle.runtime.local_inputs import ImportPath, names_code
from oracle.runtime.sources import imported

NAMED = "named"
"""Branch of a union: settings of one of the kinds that have a name."""
OWN = "own"
"""Branch of a union: settings of a class of the user's own."""

_NOTHING = object()


class OwnCodeFailed(RuntimeError):
    """Code of the user's own raised, or returned what its Protocol does not allow; one line."""


class OwnSettings(BaseModel):
    """Something of the user's own, in place of one of the kinds that have a name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ImportPath
    """``package.module:name`` of a class or function."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments it is called with; plain values, lists and mappings."""

    @field_validator("options")
    @classmethod
    def _plain(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Options are recorded with the campaign, as JSON."""
        for name, value in options.items():
            try:
                json.dumps(value)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{name} is {value!r}, which cannot be recorded; expected numbers, texts, "
                    "lists and mappings (a date in quotation marks)"
                ) from error
        return options


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
    check_interface(result, interface, name)
    return result


@contextlib.contextmanager
def blamed(name: str, method: str) -> Iterator[None]:
    """Say of an error that it came from the user's own code, and from which line of it.

    Args:
        name: import path of the class.
        method: of the class, that is called meanwhile.

    Raises:
        OwnCodeFailed: in place of whatever is raised.
    """
    try:
        yield
    except OwnCodeFailed:
        raise
    except RAISED_BY_LIBRARIES as error:
        raise OwnCodeFailed(
            f"{name!r}: {method} raised {in_words(error)}{_place(error, name)}"
        ) from error


@contextlib.contextmanager
def blamed_within(name: str) -> Iterator[None]:
    """As `blamed`, of errors alone that passed through the module of an import path.

    Args:
        name: import path, or the name of a kind, through which no error passes.

    Raises:
        OwnCodeFailed: in place of such an error.
    """
    try:
        yield
    except OwnCodeFailed:
        raise
    except Exception as error:
        place = _place(error, name)
        if not place:
            raise
        raise OwnCodeFailed(f"{name!r} raised {in_words(error)}{place}") from error


def _place(error: BaseException, name: str) -> str:
    """The last line of a user's own module that an error passed through, where there is one."""
    module = sys.modules.get(name.partition(":")[0])
    file = None if module is None else module.__file__
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def check_interface(result: Any, interface: Any, name: str) -> None:
    """See that an object has all that a Protocol asks for, and takes what it is called with.

    Args:
        result: what a user's own class or function gave.
        interface: the Protocol.
        name: its import path, for the message.

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
