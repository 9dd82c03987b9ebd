"""An import path is identified by its sources: an edited source is another calculator."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from oracle.potentials.table import calculator, weights_digest
from oracle.runtime.errors import SetupError
from oracle.runtime.sources import digest_of_import

SIMPLE = "from ase.calculators.emt import EMT\ndef factory():\n    return EMT()\n"


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("my"):
            del sys.modules[name]
    for cached in (digest_of_import, weights_digest, calculator):
        cached.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mycalc.py").write_text(SIMPLE)
    return tmp_path


def _digest(name: str = "mycalc:factory") -> str:
    digest_of_import.cache_clear()
    weights_digest.cache_clear()
    return weights_digest(name)


def test_an_edited_module_is_another_calculator(folder: Path) -> None:
    before = _digest()
    assert _digest() == before
    (folder / "mycalc.py").write_text(SIMPLE + "# edited\n")
    assert _digest() != before


def test_where_it_lies_plays_no_part(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _digest()
    (folder / "elsewhere").mkdir()
    (folder / "mycalc.py").rename(folder / "elsewhere" / "mycalc.py")
    monkeypatch.syspath_prepend(str(folder / "elsewhere"))
    assert _digest() == before


@pytest.mark.parametrize("line", ["import myhelper", "def f():\n    from myhelper import x"])
def test_what_it_imports_of_the_users_own_counts(folder: Path, line: str) -> None:
    (folder / "mycalc.py").write_text(f"{SIMPLE}{line}\n")
    (folder / "myhelper.py").write_text("import mydeeper\nx = 1\n")
    (folder / "mydeeper.py").write_text("y = 1\n")
    first = _digest()
    (folder / "mydeeper.py").write_text("y = 2\n")
    assert _digest() != first


@pytest.mark.parametrize("init", [True, False])
def test_all_of_a_package_counts(folder: Path, init: bool) -> None:
    package = folder / "mypackage"
    package.mkdir()
    if init:
        (package / "__init__.py").touch()
    (package / "calc.py").write_text("from . import parameters\n" + SIMPLE)
    (package / "parameters.py").write_text("a = 1\n")
    first = _digest("mypackage.calc:factory")
    (package / "notes.txt").write_text("of no account")
    assert _digest("mypackage.calc:factory") == first
    (package / "parameters.py").write_text("a = 2\n")
    assert _digest("mypackage.calc:factory") != first


def test_declared_files_count(folder: Path) -> None:
    (folder / "mycalc.py").write_text(SIMPLE + 'PHONOSCOUT_DEPENDS = ("weights.bin", "more")\n')
    (folder / "weights.bin").write_bytes(b"1")
    (folder / "more").mkdir()
    (folder / "more" / "x.txt").write_text("1")
    seen = {_digest()}
    (folder / "weights.bin").write_bytes(b"2")
    seen.add(_digest())
    (folder / "more" / "x.txt").write_text("2")
    seen.add(_digest())
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('PHONOSCOUT_DEPENDS = ("missing.bin",)', "no such file"),
        ('PHONOSCOUT_DEPENDS = tuple(["a"])', "is not written out"),
        ("def factory(:", "SyntaxError"),
    ],
)
def test_what_cannot_be_read_is_one_line(folder: Path, text: str, words: str) -> None:
    (folder / "mycalc.py").write_text(text + "\n")
    with pytest.raises(SetupError, match=words) as caught:
        _digest()
    assert "mycalc:factory" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_module_without_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mynotebook", types.ModuleType("mynotebook"))
    for name in ("mynotebook:factory", "builtins:dict"):
        with pytest.raises(SetupError, match="no file holds the source"):
            _digest(name)
    with pytest.raises(SetupError, match="there is no module 'mynowhere'"):
        _digest("mynowhere:factory")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import mymissing\ndef factory(): ...\n", "No module named 'mymissing'"),
        ("raise RuntimeError('no licence')\n", "no licence"),
        ("def other(): ...\n", "factory"),
        ("def factory():\n    open('/nowhere/weights.bin')\n", "weights.bin"),
        ("def factory():\n    return 3\n", "returned int"),
    ],
)
def test_a_calculator_that_does_not_load_is_the_users_error(
    folder: Path, text: str, words: str
) -> None:
    (folder / "mycalc.py").write_text(text)
    with pytest.raises(SetupError, match=words) as caught:
        calculator("mycalc:factory")
    assert caught.value.transient
    assert "\n" not in caught.value.message


def test_a_source_edited_under_way_is_noticed(folder: Path) -> None:
    _digest()
    (folder / "mycalc.py").write_text(SIMPLE + "# edited\n")
    with pytest.raises(SetupError, match="was changed while it was being loaded"):
        calculator("mycalc:factory")
