"""Unusual files: encodings, compressed files and bombs, pipes, and YAML that expands."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write

from oracle.runtime import text_files
from oracle.runtime.errors import OracleError
from oracle.runtime.plain_yaml import parse_yaml
from oracle.runtime.text_files import read_text
from oracle.structure_files.structure_io import read_structure

TEXT = "name: ä\nvalue: 1\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_unicode_in_any_encoding(tmp_path: Path, encoding: str, ends: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.replace("\n", ends).encode(encoding))
    assert read_text(path) == TEXT


def test_what_is_not_unicode_is_refused_by_line_or_read_as_told(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"value: 1\nname: \xe4\n")
    with pytest.raises(OracleError, match=r"a\.txt: line 2: byte 0xe4 is not UTF-8") as caught:
        read_text(path)
    assert "\n" not in str(caught.value)
    assert read_text(path, otherwise="latin-1").endswith("ä\n")


@pytest.mark.parametrize("name", ["a.cif", "POSCAR", "a.extxyz", "a.xsf", "a.json"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_structures_with_a_byte_order_mark(tmp_path: Path, name: str, encoding: str) -> None:
    path = tmp_path / name
    write(
        path, bulk("GaAs", "zincblende", a=5.7), **({"format": "vasp"} if name == "POSCAR" else {})
    )
    path.write_bytes(path.read_text().encode(encoding))
    assert read_structure(path).composition.formula == "Ga1 As1"


@pytest.mark.parametrize("name", ["a.cif", "POSCAR"])
def test_comments_in_another_encoding(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write(
        path, bulk("GaAs", "zincblende", a=5.7), **({"format": "vasp"} if name == "POSCAR" else {})
    )
    lines = path.read_bytes().split(b"\n")
    lines[0] = lines[0] + b"\n# M\xfcller" if name == "a.cif" else b"M\xfcller"
    path.write_bytes(b"\n".join(lines))
    assert read_structure(path).composition.formula == "Ga1 As1"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["a.cif", "a.extxyz"])
def test_packed_files(tmp_path: Path, pack: Callable[[bytes], bytes], name: str) -> None:
    suffix = {"gzip": "gz", "bz2": "bz2", "lzma": "xz"}[pack.__module__]
    write(tmp_path / name, bulk("GaAs", "zincblende", a=5.7))
    path = tmp_path / f"{name}.{suffix}"
    path.write_bytes(pack((tmp_path / name).read_bytes()))
    assert read_structure(path).composition.formula == "Ga1 As1"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(OracleError, match="cannot be read") as caught:
        read_structure(path)
    assert path.name in caught.value.message


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "LARGEST", 10_000_000)
    path = tmp_path / "a.cif.gz"
    path.write_bytes(gzip.compress(b" " * 30_000_000, 1))
    with pytest.raises(OracleError, match="more than 10 MB"):
        read_structure(path)


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.cif")
    with pytest.raises(OracleError, match="is not a file"):
        read_structure(tmp_path / "a.cif")
    with pytest.raises(OracleError, match="is not a file"):
        read_text(tmp_path / "a.cif")


def _laughs(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (_laughs(9), "more than 1,000,000 values"),
        ("a: &a [*a]", "refers to a value that contains it"),
        ("[" * 5000, "nested too deeply"),
        ("a: [1", "expected"),
        ("a: 2026-13-45", "month"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("? [a, {b: c}]\n: d", "unhashable"),
    ],
)
def test_yaml_that_is_refused_on_one_line(text: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)


def test_yaml_with_a_few_aliases() -> None:
    assert parse_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}") == {
        "a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2},
    }  # fmt: skip
    assert parse_yaml("") is None
    assert len(parse_yaml(_laughs(3))) == 3
