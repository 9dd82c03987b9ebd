"""Objects named by import path, and the digest of their sources.

A calculator or an oracle of the user's own has no weights whose digest would tell two versions
apart, so the digest is taken of its sources: its module or the whole package that contains it, and
all of the user's own modules that these import. Installed libraries are left out. A module that
reads other files declares them in a literal list of paths, relative to itself::

    PHONOSCOUT_DEPENDS = ("weights.pt", "parameters/")
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from oracle.runtime.errors import RAISED_BY_LIBRARIES, SetupError, in_words
from oracle.runtime.files import digest_of_path

DEPENDS = "PHONOSCOUT_DEPENDS"
"""Name of the constant in which a module lists further files that change its numbers."""
_SUFFIXES = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)
_OWN = ("oracle", "surrogate", "agents", "orchestrator")
_ROOT = Path(__file__).resolve().parents[2]


def imported(name: str) -> Any:
    """What ``package.module:name`` names.

    Raises:
        SetupError: it cannot be imported, or its sources have changed since its digest was taken.
    """
    module, _, attribute = name.partition(":")
    before = digest_of_import(name)
    try:
        attribute_value = getattr(importlib.import_module(module), attribute)
    except RAISED_BY_LIBRARIES as error:  # a module may raise anything while it is imported
        raise SetupError(
            f"{name!r} cannot be imported ({in_words(error)}){_overlooked(module)}"
        ) from error
    if _digest(name) != before:
        raise SetupError(f"{name!r}: its source was changed while it was being loaded; start again")
    return attribute_value


@functools.lru_cache(maxsize=16)
def digest_of_import(name: str) -> str:
    """SHA-256 of an import path and its sources, independent of the folder they are in.

    Raises:
        SetupError: there is no such module, or no file that contains it.
    """
    return _digest(name)


def _digest(name: str) -> str:
    digests = [f"{label} {digest_of_path(path)}\n" for label, path in sorted(_sources(name))]
    return hashlib.sha256("".join([f"{name}\n", *digests]).encode()).hexdigest()


def _sources(name: str) -> Iterator[tuple[str, Path]]:
    """Every relevant file, with a name that does not depend on its folder."""
    module = name.partition(":")[0]
    queue = [module.partition(".")[0]]
    queued = set(queue)
    while queue:
        top = queue.pop()
        for label, path in _files(top, module, name):
            yield label, path
            if path.suffix not in SOURCE_SUFFIXES or not _is_users(top):
                continue
            tree = _parsed(path, name)
            yield from _declared(tree, path, label, name)
            fresh = sorted({x for x in _imports(tree) if x not in queued and _is_users(x)})
            queued.update(fresh)
            queue += fresh


def _files(top: str, module: str, name: str) -> list[tuple[str, Path]]:
    """The files of a top-level module or package; only the named module of phonoscout itself."""
    if top in _OWN and _lies_in(top, _ROOT):
        own = _ROOT.joinpath(*module.split("."))
        path = own / "__init__.py" if own.is_dir() else own.with_suffix(".py")
        return [(path.relative_to(_ROOT).as_posix(), path)] if path.is_file() else []
    spec = _spec(top)
    if spec is not None and spec.submodule_search_locations:
        folders = [Path(folder) for folder in spec.submodule_search_locations]
        return [
            (f"{top}/{path.relative_to(folder).as_posix()}", path)
            for folder in folders
            for path in sorted(folder.rglob("*"))
            if path.name.endswith(_SUFFIXES) and path.is_file()
        ]
    single = _origin(top)
    if single is None:
        raise SetupError(_missing(name, top))
    return [(single.name, single)]


def _overlooked(module: str) -> str:
    """That a module of the working folder was not meant by its name, where that is so."""
    top = module.partition(".")[0]
    here = PathFinder.find_spec(top, [str(Path.cwd())])
    if here is None or here.origin is None or _origin(top) in (None, Path(here.origin)):
        return ""
    return (
        f"; {here.origin} is not it, because another module {top!r} comes before it "
        f"({_origin(top)}): give yours another name"
    )


def _missing(name: str, top: str) -> str:
    exists = top in sys.modules or top in sys.builtin_module_names or _spec(top) is not None
    if exists:
        return (
            f"{name!r}: no file holds the source of {top}, so that results of two "
            "versions of it could not be told apart; put it into a file"
        )
    return (
        f"{name!r} cannot be imported: there is no module {top!r}; install it, put "
        "its folder on PYTHONPATH, or work in that folder"
    )


def _spec(top: str) -> ModuleSpec | None:
    """Where a module lies; the working folder is looked through last, and stays on the path."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    here = str(Path.cwd())
    if spec is None and here not in sys.path:
        spec = PathFinder.find_spec(top, [here])
        if spec is not None:
            sys.path.append(here)  # workers are told of it as of all the path
    return spec


def _origin(top: str) -> Path | None:
    """The file of a top-level module, or of the ``__init__`` of a package."""
    spec = _spec(top)
    origin = spec.origin if spec is not None else getattr(sys.modules.get(top), "__file__", None)
    return Path(origin) if origin is not None and Path(origin).is_file() else None


def _lies_in(top: str, folder: Path) -> bool:
    origin = _origin(top)
    return origin is not None and folder in origin.resolve().parents


def _is_users(top: str) -> bool:
    """Whether a module is the user's own: neither Python's nor installed nor phonoscout's."""
    if top in sys.stdlib_module_names or (top in _OWN and _lies_in(top, _ROOT)):
        return False
    spec, origin = _spec(top), _origin(top)
    folders = None if spec is None else spec.submodule_search_locations
    places: list[str | Path | None] = [*folders] if folders else [origin]
    resolved = [Path(place).resolve() for place in places if place is not None]
    return bool(resolved) and not any(
        folder in place.parents or place.suffix == ".zip"
        for place in resolved
        for folder in _installed()
    )


@functools.cache
def _installed() -> tuple[Path, ...]:
    """Folders of Python's own modules and of installed packages."""
    paths = sysconfig.get_paths()
    named = {Path(paths[key]).resolve() for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    searched = {
        Path(p).resolve() for p in sys.path if Path(p).name in ("site-packages", "dist-packages")
    }
    return tuple(sorted(named | searched))


def _parsed(path: Path, name: str) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        raise SetupError(f"{name!r}: {path}: {in_words(error)}") from error


def _imports(tree: ast.Module) -> Iterator[str]:
    """Top-level names that a module imports anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def _declared(tree: ast.Module, path: Path, label: str, name: str) -> Iterator[tuple[str, Path]]:
    """Files that a module declares in `DEPENDS`."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not any(isinstance(target, ast.Name) and target.id == DEPENDS for target in targets):
            continue
        for text in _literal(node, path, name):
            file = path.parent / Path(text).expanduser()
            if not file.exists():
                raise SetupError(f"{name!r}: {DEPENDS} names {text!r}: no such file")
            yield f"{label}: {text}", file


def _literal(node: ast.stmt, path: Path, name: str) -> list[str]:
    try:
        value = ast.literal_eval(getattr(node, "value", None) or "None")
    except ValueError:
        value = None
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise SetupError(
            f"{name!r}: {DEPENDS} in {path.name} is not written out; expected "
            'a tuple of paths such as ("weights.pt",), because it is read without being run'
        )
    return list(texts)
