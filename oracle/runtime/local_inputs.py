"""Settings that mean something only on this machine: paths of files, and import paths of code.

Each is marked where it is declared, so that one list of them serves for all that is done with them:
paths are taken relative to the config file, pinned by their content and refused over HTTP unless
they are absolute; code is never taken over HTTP.

What validation has to know stands in pydantic's context: ``base`` is the folder of relative paths,
or None; ``remote`` is true for a config that came over HTTP; ``known`` is a `Known` of what a
campaign has already, which may stay.
"""

from __future__ import annotations

import re
import shlex
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationInfo

M = TypeVar("M")
_IMPORT = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_LOCAL = re.compile(r"sqlite(\+\w+)?:///|file://(localhost)?|file:")
FAMILY_NAMES = ("7net", "chgnet", "nequix", "mace", "mattersim", "orb", "matgl", "dpa4")
"""What may stand before the colon of a potential's ``family:/path/to/weights``."""


def _always(text: str) -> bool:
    return True


@dataclass(frozen=True)
class InputPath:
    """Marks a setting that holds the path of a file or folder of the user's.

    Args:
        pinned: whether a campaign records the SHA-256 of the content.
        is_path: whether a value is a path, where it may also be something else.
    """

    pinned: bool = True
    is_path: Callable[[str], bool] = _always


@dataclass(frozen=True)
class CodePath:
    """Marks a setting that may hold an import path, ``package.module:name``."""


@dataclass(frozen=True)
class CommandLine:
    """Marks a setting that holds a command."""


@dataclass(frozen=True)
class Known:
    """What a campaign has already, each for itself: the name of a store is not a command."""

    paths: frozenset[str] = frozenset()
    code: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()

    @staticmethod
    def of(model: BaseModel) -> Known:
        """All that a model names."""

        def texts(mark: type[Any]) -> frozenset[str]:
            return frozenset(str(value) for _, value, _ in marked(model, mark))

        return Known(texts(InputPath), texts(CodePath), texts(CommandLine))


def looks_like_a_file(text: str) -> bool:
    """Whether a text is the path of a file rather than a formula."""
    return "/" in text or Path(text).suffix != ""


def names_code(text: str) -> bool:
    """Whether the name of a potential, or a kind, is an import path."""
    family, colon, _ = text.partition(":")
    return bool(colon) and family not in FAMILY_NAMES


def _known(info: ValidationInfo) -> Known:
    known = (info.context or {}).get("known", Known())
    assert isinstance(known, Known)
    return known


def _placed(path: Path, info: ValidationInfo) -> Path:
    """The path, absolute where the context says what it is relative to.

    Raises:
        ValueError: a relative path over HTTP.
    """
    context = info.context or {}
    strange = str(path) not in _known(info).paths
    if context.get("remote") and strange and not path.is_absolute():
        raise ValueError("an absolute path, since there is no config file it could be relative to")
    path = path.expanduser() if str(path).startswith("~") else path
    base = context.get("base")
    return path if base is None else (base / path).resolve()


def _placed_file(text: str, info: ValidationInfo) -> str:
    return str(_placed(Path(text), info)) if looks_like_a_file(text) else text


def _permitted(text: str, info: ValidationInfo) -> str:
    """The text, unless it names code and came over HTTP.

    Raises:
        ValueError: it does.
    """
    context = info.context or {}
    if context.get("remote") and names_code(text) and text not in _known(info).code:
        raise ValueError(
            f"{text!r} is an import path, which is not taken over HTTP, because it runs code; "
            "launch such a campaign from the command line or from Python"
        )
    return text


def _import_path(text: str) -> str:
    if not _IMPORT.fullmatch(text):
        raise ValueError(f"{text!r} is not an import path; expected package.module:name")
    return text


def _command(text: str, info: ValidationInfo) -> str:
    """A command line that can be taken apart, and did not come over HTTP.

    Raises:
        ValueError: it cannot, or did.
    """
    context = info.context or {}
    if context.get("remote") and text not in _known(info).commands:
        raise ValueError(
            f"{text!r} is a command, which is not taken over HTTP, because it runs code; launch "
            "such a campaign from the command line or from Python"
        )
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a command line ({error})") from error
    if not parts:
        raise ValueError("expected a program and its arguments")
    return text


def is_local_uri(text: str) -> bool:
    """Whether the URI of a store names a file or folder rather than a server."""
    scheme, separator, _ = text.partition(":")
    if not separator or len(scheme) == 1:  # a path, or a drive
        return text != "databricks"
    return scheme == "file" or scheme.startswith("sqlite")


def _placed_uri(text: str, info: ValidationInfo) -> str:
    """The URI; that of a file, such as ``sqlite:///mlflow.db``, with an absolute path."""
    if not is_local_uri(text):
        return text
    prefix = _LOCAL.match(text)
    path = Path(text[prefix.end() :] if prefix else text)
    if text in _known(info).paths:
        return text
    placed = _placed(path, info)
    if placed == path:
        return text
    return f"{prefix[0]}{placed}" if prefix else str(placed)


LocalUri = Annotated[
    str, InputPath(pinned=False, is_path=is_local_uri), AfterValidator(_placed_uri)
]
"""URI of a store: of a server, or of a file or folder, whose path is made absolute."""
UserPath = Annotated[Path, InputPath(), AfterValidator(_placed)]
"""A path whose content is pinned."""
FileOrFormula = Annotated[str, InputPath(is_path=looks_like_a_file), AfterValidator(_placed_file)]
"""A formula, or the path of a structure file, whose content is pinned."""
UnpinnedPath = Annotated[Path, InputPath(pinned=False), AfterValidator(_placed)]
"""A path of what has a digest of its own."""
PotentialName = Annotated[str, CodePath(), AfterValidator(_permitted)]
"""The name of a potential, or its import path."""
ImportPath = Annotated[str, CodePath(), AfterValidator(_import_path), AfterValidator(_permitted)]
"""``package.module:name``."""
Command = Annotated[str, CommandLine(), AfterValidator(_command)]
"""A program and its arguments, as on a command line; no shell is involved."""


def marked(model: BaseModel, marker: type[M]) -> Iterator[tuple[str, Any, M]]:
    """All settings that bear a mark, as (key, value, mark), wherever in a model they stand."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        yield from ((name, value, m) for m in field.metadata if isinstance(m, marker))
        yield from _marked(field.annotation, value, marker, name)


def _marked(annotation: Any, value: Any, marker: type[M], key: str) -> Iterator[tuple[str, Any, M]]:
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        yield from ((key, value, m) for m in arguments[1:] if isinstance(m, marker))
        yield from _marked(arguments[0], value, marker, key)
    elif isinstance(value, BaseModel):
        yield from ((f"{key}.{below}", *rest) for below, *rest in marked(value, marker))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _marked(arguments[-1] if arguments else None, item, marker, f"{key}.{name}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _marked(arguments[0] if arguments else None, item, marker, f"{key}.{index}")
    elif isinstance(value, str):  # one of several types that may stand here
        for part in arguments:
            yield from _marked(part, value, marker, key)
