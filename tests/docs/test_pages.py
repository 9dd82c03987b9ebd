"""Links, paths and names of modules in the documentation exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks" / "README.md"])
LAYERS = ("orchestrator", "agents", "surrogate", "oracle")
_LAYER = rf"(?:{'|'.join(LAYERS)})"


def _anchor(heading: str) -> str:
    """The name that a heading has in links."""
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower())
    return kept.replace(" ", "-")


def _prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(), flags=re.MULTILINE)
            assert anchor in map(_anchor, headings), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_of_sources_exist(page: Path) -> None:
    for name in re.findall(rf"`({_LAYER}/[\w/.]+)`", _prose(page)):
        assert (ROOT / name).exists(), name


SOURCES = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


def _names(text: str) -> list[str]:
    """Modules and what is in them, as docstrings name them."""
    return re.findall(rf"(?<!`)`({_LAYER}\.[a-z_]+\.[A-Za-z_.]+)`(?!`)", text)


@pytest.mark.parametrize("layer", LAYERS)
def test_names_in_docstrings_exist(layer: str) -> None:
    for path in (ROOT / layer).rglob("*.py"):
        for name in _names(path.read_text()):
            _check(name, path)


def _check(name: str, path: Path) -> None:
    parts = name.split(".")
    for count in range(len(parts), 1, -1):
        if (ROOT / Path(*parts[:count])).with_suffix(".py").exists():
            found = importlib.import_module(".".join(parts[:count]))
            for part in parts[count:]:
                assert hasattr(found, part), f"{path}: {name}"
                found = getattr(found, part)
            return
    assert (ROOT / Path(*parts)).is_dir(), f"{path}: {name}"


@pytest.mark.parametrize("layer", LAYERS)
def test_the_map_shows_every_room(layer: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = re.search(rf"\| `{layer}/` \| what it is for \|.*?\n\n", text, flags=re.DOTALL)
    assert table is not None
    shown = set(re.findall(r"`(\w+)`(?=<br>| \|)", table[0]))
    rooms = {path.parent.name for path in (ROOT / layer).glob("*/__init__.py")}
    assert rooms == shown
