"""Realistic pools: bad records of every kind, other files beside the structures, encodings."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from ase.db import connect
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from agents.spaces.pool import PoolSpace
from agents.spaces.pool_content import content_sha256
from agents.spaces.settings import PoolSpaceSettings
from oracle.runtime.errors import OracleError

Write = Callable[[Sequence[object]], Path]


def rocksalt(cation: str, anion: str, a: float) -> Structure:
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(a), [cation, anion], [[0] * 3, [0.5] * 3]
    )


SALT, SYLVITE, LIME = (
    rocksalt("Na", "Cl", 5.64),
    rocksalt("K", "Cl", 6.29),
    rocksalt("Ca", "O", 4.8),
)


def pool(path: Path, *, skip: bool = True) -> PoolSpace:
    return PoolSpace(PoolSpaceSettings(path=path, on_error="skip" if skip else "stop"))


def _changed(**lattice: Any) -> dict[str, Any]:
    document = SALT.as_dict()
    document["lattice"] = document["lattice"] | lattice
    return document


def _with_species(*species: dict[str, Any]) -> dict[str, Any]:
    document = SALT.as_dict()
    document["sites"][0]["species"] = list(species)
    return document


BAD: list[tuple[bytes | dict[str, Any], str]] = [
    (b'{"id": "M\xfcller", "sequence": "01"}', "not UTF-8"),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"id": ' + b"9" * 5000 + b"}", "4300 digits"),
    (b"null", 'no "id"'),
    (_changed(matrix=[[float("nan"), 0, 0], [0, 5, 0], [0, 0, 5]]), "finite"),
    (_changed(matrix=[[1e308] * 3, [0, 1e308, 0], [0, 0, 1e308]]), ""),
    (_changed(matrix=[[0, 0, 0]] * 3), "periodic in 0"),
    (_changed(matrix="cubic"), "not a pymatgen structure"),
    (_changed(pbc=[True, True, False]), "periodic in 2"),
    (_with_species({"element": "X", "occu": 1}), "'X' is not an element"),
    (_with_species({"element": "X", "oxidation_state": 0, "occu": 1}), "'X' is not an element"),
    (_with_species({"element": "D", "occu": 1}), "isotope"),
    (_with_species({"element": "Na", "occu": 0.5}), "partial occupancies"),
    (_with_species({"element": "Na", "occu": "most"}), "not a pymatgen structure"),
    (_with_species({"element": "Na", "occu": 7}), "cannot be used"),
    ({"lattice": SALT.lattice.as_dict(), "sites": []}, "no atoms"),
    ({"lattice": SALT.lattice.as_dict(), "sites": 3}, "not a pymatgen structure"),
]


@pytest.mark.parametrize(("record", "reason"), BAD)
def test_one_bad_record_is_named_and_the_others_stay(
    tmp_path: Path, record: bytes | dict[str, Any], reason: str
) -> None:
    good = [
        {"id": "salt", "structure": SALT.as_dict()},
        {"id": "kcl", "structure": SYLVITE.as_dict()},
    ]
    bad = (
        record
        if isinstance(record, bytes)
        else json.dumps({"id": "b", "structure": record}).encode()
    )
    path = tmp_path / "pool.jsonl"
    path.write_bytes(b"\n".join([json.dumps(good[0]).encode(), bad, json.dumps(good[1]).encode()]))
    space = pool(path)
    assert set(space.reading.ids) == {"salt", "kcl"}
    (line,) = space.reading.skipped
    assert line.startswith("pool.jsonl line 2: ")
    assert reason in line
    assert "\n" not in line
    with pytest.raises(OracleError, match=r"pool\.jsonl line 2"):
        pool(path, skip=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_lines_in_any_encoding(tmp_path: Path, encoding: str, ends: str) -> None:
    lines = [
        json.dumps({"id": f"ä{i}", "sequence": s}, ensure_ascii=False)
        for i, s in enumerate(("01", "001"))
    ]
    (tmp_path / "pool.jsonl").write_bytes((ends.join(lines) + ends).encode(encoding))
    assert set(pool(tmp_path / "pool.jsonl", skip=False).reading.ids) == {"ä0", "ä1"}


@pytest.mark.parametrize("suffix", ["db", "json"])
def test_bad_rows_of_a_database(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"pool.{suffix}"
    slab, heavy = bulk("Si", a=5.4), bulk("Ge", a=5.6)
    slab.pbc = (True, True, False)
    heavy.set_masses([76.0, 76.0])
    empty = bulk("Cu")
    empty.cell[:] = 0
    with connect(path) as rows:
        for atoms in (bulk("Si", a=5.43), slab, heavy, empty, bulk("C", a=3.57)):
            rows.write(atoms)
    if suffix == "db":
        with sqlite3.connect(path) as database:
            database.execute("update systems set positions = ? where id = 5", (b"abc",))
        database.close()
    else:
        content = json.loads(path.read_text())
        content["5"]["positions"] = {"__ndarray__": [[2], "float64", [1, 2]]}
        path.write_text(json.dumps(content))
    space = pool(path)
    assert set(space.reading.ids) == {"1"}
    assert [line.split(":")[0] for line in space.reading.skipped] == [
        f"pool.{suffix} row {n}" for n in (2, 3, 4, 5)
    ]
    for line, reason in zip(
        space.reading.skipped, ("2 of 3", "mass 76", "0 of 3", ""), strict=True
    ):
        assert reason in line


def test_documents_of_a_database(tmp_path: Path) -> None:
    path = tmp_path / "pool.json"
    entries = [
        {"material_id": "mp-1", "structure": SALT.as_dict()},
        {"material_id": "mp-2", "structure": None},
        {"material_id": "mp-3", "structure": _changed(pbc=[False] * 3)},
        SYLVITE.as_dict(),
    ]
    path.write_text(json.dumps(entries))
    space = pool(path)
    assert set(space.reading.ids) == {"mp-1", "4"}
    assert [line.split(":")[0] for line in space.reading.skipped] == [
        "pool.json entry 2",
        "pool.json entry 3",
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Structures in all kinds of files, and other files as they lie beside structures."""
    place = tmp_path / "pool"
    place.mkdir()
    cif = SALT.to(fmt="cif").encode()
    (place / "a.cif.gz").write_bytes(gzip.compress(cif))
    (place / "b.mcif").write_bytes(SYLVITE.to(fmt="cif").encode())
    (place / "c.json").write_text(json.dumps(LIME.as_dict()))
    (place / "d.json").write_text(json.dumps({"structure": rocksalt("Mg", "O", 4.21).as_dict()}))
    (place / "e.POSCAR.bz2").write_bytes(
        bz2.compress(rocksalt("Li", "F", 4.0).to(fmt="poscar").encode())
    )
    (place / "CONTCAR_RbI").write_text(rocksalt("Rb", "I", 7.3).to(fmt="poscar"))
    return place


READ = {"a.cif.gz", "b.mcif", "c.json", "d.json", "e.POSCAR.bz2", "CONTCAR_RbI"}


def test_kinds_of_files_that_are_read(folder: Path) -> None:
    space = pool(folder, skip=False)
    assert set(space.reading.ids) == READ
    assert space.reading.left_out == space.reading.skipped == space.reading.remarks == ()


def test_files_beside_structures(folder: Path) -> None:
    before = content_sha256(folder)
    (folder / "README").write_text("x")
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "._a.cif").write_bytes(b"\0")
    (folder / "config.yaml").write_text("name: x\n")
    (folder / "settings.json").write_text('{"a": 1}')
    (folder / ".git").mkdir()
    (folder / ".git" / "x.cif").write_text("x")
    home = folder / "phonoscout-home"
    (home / "structures").mkdir(parents=True)
    (home / "phonoscout.db").write_bytes(b"")
    (home / "structures" / "NaCl.cif").write_text(SALT.to(fmt="cif"))
    os.mkfifo(folder / "pipe.cif")
    (folder / "x.xsf").write_text("CRYSTAL\n")
    (folder / "run").mkdir()
    (folder / "run" / "vasprun.xml.gz").write_bytes(b"")
    (folder / "BORN").write_text("1\n")
    space = pool(folder, skip=False)
    assert set(space.reading.ids) == READ
    assert space.reading.left_out == ("run/vasprun.xml.gz", "x.xsf")
    assert space.reading.charges == ("BORN",)
    assert content_sha256(folder) == before == space.content_sha256
    (folder / "z.cif").write_text(rocksalt("K", "Br", 6.6).to(fmt="cif"))
    assert content_sha256(folder) != before


def test_a_moved_folder_keeps_its_digest(folder: Path) -> None:
    before = content_sha256(folder)
    moved = folder.rename(folder.parent / "elsewhere")
    assert content_sha256(moved) == before


def test_decisions_in_reading_are_kept(tmp_path: Path) -> None:
    from ase.io import write

    write(tmp_path / "a.extxyz", [bulk("Si", a=a) for a in (5.3, 5.4)])
    cache = tmp_path / "cache"
    for _ in range(2):
        space = PoolSpace(PoolSpaceSettings(path=tmp_path), cache)
        assert space.reading.remarks == ("a.extxyz: it holds 2 steps; the last was taken",)


def test_what_is_no_pool_at_all(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pool.jsonl")
    with pytest.raises(OracleError, match="is neither a file nor a folder"):
        pool(tmp_path / "pool.jsonl")
    (tmp_path / "bad.jsonl").write_text("{}\n")
    with pytest.raises(OracleError, match=r"1 skipped, the first: bad\.jsonl line 1"):
        pool(tmp_path / "bad.jsonl")
