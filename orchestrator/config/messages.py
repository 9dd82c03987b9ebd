"""One clear line per mistake in a config: the key, what was given, and what is allowed."""

from __future__ import annotations

import typing
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Tag, ValidationError

from oracle.runtime.own_classes import OwnSettings
from oracle.runtime.suggestions import did_you_mean
from orchestrator.config.config_words import described, is_union, keys_of, unwrapped

_LONGEST = 80  # characters of a value in a message
_TAGS = ("union_tag_invalid", "union_tag_not_found")
_DISCRIMINATORS = ("kind", "engine")
_SIMPLE = ("str", "int", "float", "bool", "path", "none")
_COMPOSED = (
    *("literal[", "tuple[", "list[", "dict[", "tagged-union[", "function-", "constrained-"),
    *("lax-or-strict[", "json-or-python[", "nullable[", "is-instance["),
)


def one_line(error: ValidationError, root: type[BaseModel], source: str) -> str:
    """The first error as ``source: key: got ..., expected ...``.

    Args:
        error: raised by pydantic while validating `root`.
        root: the model that was validated.
        source: the file's name.
    """
    first = _most_specific(error.errors(include_url=False))
    place = _walk(root, _place_of(first))
    problem = _problem(first, place)
    if not place.keys and first["type"] == "value_error":
        return f"{source}{problem}"  # such messages name their keys themselves
    return f"{source}: {'.'.join(map(_key, place.keys)) or '(whole file)'}{problem}"


def _place_of(error: Any) -> tuple[int | str, ...]:
    """The location of an error; of an item that a list lacks, that of the list."""
    location: tuple[int | str, ...] = tuple(error["loc"])
    lacks_item = error["type"] == "missing" and location and isinstance(location[-1], int)
    return location[:-1] if lacks_item else location


def _most_specific(errors: list[Any]) -> Any:
    """The first error; of the errors of a union, the one deepest inside the given mapping.

    For a union, pydantic reports what is wrong with each of its types.
    """
    first = errors[0]
    depth = next((i for i, part in enumerate(first["loc"]) if _is_branch(part)), None)
    if depth is None:
        return first
    same_union = [e for e in errors if e["loc"][:depth] == first["loc"][:depth]]
    return max(same_union, key=lambda e: len(e["loc"]))  # the first of the deepest


def _is_branch(part: int | str) -> bool:
    """Whether a part of a location is pydantic's name for a branch of a union."""
    return isinstance(part, str) and (part in _SIMPLE or part.startswith(_COMPOSED))


def _problem(error: Any, place: _Place) -> str:
    given, kind = error.get("input"), error["type"]
    if kind == "extra_forbidden":
        return f": unknown key (given {_short(given)}); {_allowed(place)}"
    if kind in _TAGS:
        return _unknown_kind(error, given, place)
    expected = described(place.annotation, place.metadata)
    if kind == "missing":
        whole = "" if isinstance(error["loc"][-1], str) else f"given {_short(given)}; "
        return f": {whole or 'missing; '}expected {expected}"
    if kind in ("value_error", "assertion_error"):
        message = " ".join(str(error["ctx"]["error"]).split())
        if isinstance(given, dict) or message.startswith(("got ", repr(given))):
            return f": {message}"
        return f": given {_short(given)}; expected: {message}"
    near = did_you_mean(given, _choices(place.annotation))
    return f": given {_short(given)}; {near}expected {expected}"


def _unknown_kind(error: Any, given: Any, place: _Place) -> str:
    """The message for a mapping of unknown kind, or for a value that is no mapping."""
    context = error.get("ctx", {})
    key = str(context.get("discriminator", "'kind'")).strip("'")
    kinds = [str(tag) for model in _models(place.annotation) for tag in _tags(model)]
    allowed = ", ".join(kinds)
    if not isinstance(given, dict):
        return f": given {_short(given)}; expected a mapping with a key {key!r}: {allowed}"
    if error["type"] == "union_tag_not_found":
        return f".{key}: missing in {_short(given)}; allowed: {allowed}"
    value = given.get(key)
    near = did_you_mean(value, kinds)
    return f".{key}: given {_short(value)}; {near}allowed: {allowed}"


def _short(value: Any) -> str:
    """A given value in YAML's notation, on one line and shortened."""
    text = _written(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _written(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)}: {_written(part)}" for k, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_written, value)) + "]"
    return repr(value)


def _key(key: Any) -> str:
    """A key as the user wrote it, on one line."""
    return str(key) if str(key).isprintable() else repr(key)


def _allowed(place: _Place) -> str:
    if place.holder is None:
        return "it is not allowed here"
    names = sorted(keys_of(place.holder))
    return f"{did_you_mean(place.keys[-1], names)}allowed: {', '.join(names)}"


def _choices(annotation: Any) -> list[str]:
    """The allowed texts of a setting; empty if any text is allowed."""
    annotation, _ = unwrapped(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return [part for part in typing.get_args(annotation) if isinstance(part, str)]
    if is_union(annotation):
        return [name for part in typing.get_args(annotation) for name in _choices(part)]
    return []


@dataclass
class _Place:
    """The place of an error in a config.

    Args:
        annotation: the type expected there.
        metadata: constraints on it.
        keys: the path to it as the user wrote it, without the tags of unions.
        holder: the model with the last key, if there is one.
    """

    annotation: Any
    metadata: list[Any] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    holder: type[BaseModel] | None = None

    def go(self, part: int | str) -> None:
        """Follow one part of pydantic's location."""
        if part in _branches(self.annotation):
            return
        models = _models(self.annotation)
        tagged = [m for m in models if part in _tags(m)]
        if len(models) > 1 and tagged:
            self.annotation, self.metadata = tagged[0], []
            return
        if isinstance(part, int):
            self.keys.append(str(part))
            self._become(_item(self.annotation, part))
            return
        owner = next((m for m in models if part in m.model_fields), None)
        if owner is not None:
            self.keys.append(part)
            field_info = owner.model_fields[part]
            self.holder, self.annotation = owner, field_info.annotation
            self.metadata = [*field_info.metadata, field_info]
            return
        values = _values(self.annotation)
        if part in [m.__name__ for m in models] or _is_branch(part) or part == "[key]":
            return  # pydantic's name for a branch of a union, or for a wrong key
        self.keys.append(part)
        self.holder = models[0] if len(models) == 1 else None
        self._become(values)

    def _become(self, annotation: Any) -> None:
        self.annotation, self.metadata = annotation, []


def _walk(root: type[BaseModel], location: tuple[int | str, ...]) -> _Place:
    place = _Place(root)
    for part in location:
        place.go(part)
    return place


def _branches(annotation: Any) -> list[str]:
    """The tags of a union's branches, which do not appear in configs."""
    plain, marks = unwrapped(annotation)
    below = typing.get_args(plain) if is_union(plain) else ()
    own = [mark.tag for mark in marks if isinstance(mark, Tag)]
    return [*own, *(tag for part in below for tag in _branches(part))]


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    if issubclass(model, OwnSettings):
        return ("package.module:name",)
    fields = [model.model_fields[name] for name in _DISCRIMINATORS if name in model.model_fields]
    return tuple(tag for each in fields for tag in typing.get_args(each.annotation))


def _parts(annotation: Any) -> list[Any]:
    """The alternative types of an annotation, with unions and `Annotated` resolved."""
    annotation, _ = unwrapped(annotation)
    if is_union(annotation):
        return [part for each in typing.get_args(annotation) for part in _parts(each)]
    return [annotation]


def _models(annotation: Any) -> list[type[BaseModel]]:
    parts = _parts(annotation)
    return [p for p in parts if isinstance(p, type) and issubclass(p, BaseModel)]


def _item(annotation: Any, index: int) -> Any:
    """Type of an item of a list; None if no list is allowed."""
    for part in _parts(annotation):
        inner = typing.get_args(part)
        if typing.get_origin(part) in (list, tuple, set, frozenset) and inner:
            fixed = typing.get_origin(part) is tuple and Ellipsis not in inner
            return inner[min(index, len(inner) - 1)] if fixed else inner[0]
    return None


def _values(annotation: Any) -> Any:
    """Type of the values of a mapping with arbitrary keys; None if no mapping is allowed."""
    for part in _parts(annotation):
        if typing.get_origin(part) is dict:
            return typing.get_args(part)[1]
    return None
