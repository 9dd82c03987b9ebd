"""One clear line for each way a config can be wrong: key, what was given, what is allowed."""

from __future__ import annotations

import difflib
import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError


def one_line(error: ValidationError, root: type[BaseModel], source: str) -> str:
    """The first error as ``source: key: got ..., expected ...``.

    Args:
        error: what pydantic raised while validating `root`.
        root: the model that was validated.
        source: the file's name.
    """
    first = error.errors(include_url=False)[0]
    keys, model = _walk(root, first["loc"])
    key = ".".join(keys) or "(whole file)"
    given = first.get("input")
    kind = first["type"]
    if kind == "extra_forbidden":
        return f"{source}: {key}: unknown key (given {_short(given)}); {_allowed(keys[-1], model)}"
    if kind == "missing":
        return f"{source}: {key}: missing; expected {_described(model, keys[-1])}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = first.get("ctx", {}).get("expected_tags", "")
        value = given.get("kind") if isinstance(given, dict) else given
        return f"{source}: {key}.kind: given {_short(value)}; allowed: {tags or 'a kind'}"
    message = str(first["msg"]).removeprefix("Value error, ").replace("\n", " ")
    if kind == "value_error" and isinstance(given, dict):
        return f"{source}: {key}: {message}"
    return f"{source}: {key}: given {_short(given)}; expected: {_sentence(message)}"


def _sentence(message: str) -> str:
    for prefix in ("Input should be a valid ", "Input should be "):
        if message.startswith(prefix):
            return message.removeprefix(prefix)
    return message


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _allowed(key: str, model: type[BaseModel] | None) -> str:
    if model is None:
        return "it is not allowed here"
    names = sorted(_key(name, field) for name, field in model.model_fields.items())
    near = difflib.get_close_matches(key, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}allowed: {', '.join(names)}"


def _key(name: str, field: Any) -> str:
    return str(field.alias or name)


def _described(model: type[BaseModel] | None, key: str) -> str:
    field = None if model is None else model.model_fields.get(key)
    annotation = None if field is None else field.annotation
    if isinstance(annotation, type) and not issubclass(annotation, BaseModel):
        return f"a value of type {annotation.__name__}"
    return f"a value for {key!r}"


def _walk(
    root: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[list[str], type[BaseModel] | None]:
    """Keys as the user wrote them (tags of unions left out) and the model that holds the last."""
    keys: list[str] = []
    current: Any = root
    holder: type[BaseModel] | None = root
    for part in location:
        models = _models(current)
        tagged = [m for m in models if part in _tags(m)]
        if len(models) > 1 and tagged:
            current = tagged[0]
            continue
        single = models[0] if len(models) == 1 else None
        if isinstance(part, int):
            keys.append(str(part))
            current = _item(current)
            continue
        if part.startswith(("function-", "constrained-", "tuple[", "list[", "dict[")):
            continue  # pydantic's name for a validator or a branch of a plain union
        holder = single
        keys.append(part)
        field = None if single is None else single.model_fields.get(part)
        current = None if field is None else field.annotation
    return keys, holder


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("kind")
    return () if field is None else typing.get_args(field.annotation)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models an annotation may hold, through unions, Annotated and None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        return [model for part in typing.get_args(annotation) for model in _models(part)]
    return []


def _item(annotation: Any) -> Any:
    """Annotation of the items of a list or tuple, also inside a union."""
    origin = typing.get_origin(annotation)
    if origin in (list, tuple):
        return typing.get_args(annotation)[0]
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        for part in typing.get_args(annotation):
            found = _item(part)
            if found is not None:
                return found
    return None
