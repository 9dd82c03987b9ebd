"""Every name of code, of a config key or of a stored word in the glossary exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from orchestrator.config.config import CampaignConfig

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("orchestrator", "agents", "surrogate", "oracle")
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
NAMES = sorted(set(re.findall(r"`([^`]+)`", GLOSSARY)))
_ROW = re.compile(r"^\| (?!word )([^|]+?) \| ([^|]+?) \| ([^|]+?) \|$", flags=re.MULTILINE)
ROWS = _ROW.findall(GLOSSARY)


@cache
def _written() -> frozenset[str]:
    """Every name that some module defines, and every text that one contains as a whole."""
    names: set[str] = set()
    for layer in LAYERS:
        for path in (ROOT / layer).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                        names.add(name)
                    case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                        names.add(name)
                    case ast.Constant(value=str(text)):
                        names.add(text)
    return frozenset(names)


def _is_config_key(name: str) -> bool:
    model: type[BaseModel] | None = CampaignConfig
    for part in name.split("."):
        field = None if model is None else model.model_fields.get(part)
        if field is None:
            return False
        annotation = field.annotation
        is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        model = annotation if is_model else None  # type: ignore[assignment]  # checked above
    return True


def _exists(name: str) -> bool:
    if "/" in name:
        return (ROOT / name).exists()
    if "." in name:
        return _is_config_key(name)
    return _written().issuperset(name.split(": "))


@pytest.mark.parametrize("name", NAMES)
def test_names_exist(name: str) -> None:
    assert _exists(name)


def test_every_word_stands_once_and_says_where_it_is() -> None:
    words = [word for row in ROWS for word in row[0].split(", ")]
    assert len(words) > 60
    assert len(words) == len(set(words))
    assert all(re.search(r"`[^`]+`", where) for _, _, where in ROWS)


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_glossary_is_linked(page: str) -> None:
    assert re.search(r"\]\((docs/)?glossary\.md\)", (ROOT / page).read_text())
