"""Reading a pool: a folder of structure files, an ASE database, or JSON lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from oracle.errors import OracleError
from oracle.material import Crystal, Superlattice

_STRUCTURES = (".cif", ".vasp", ".poscar", ".xyz", ".extxyz")
_DATABASES = (".db", ".json")
_LINES = (".jsonl", ".ndjson")

Record = tuple[str, str, Crystal | Superlattice]
"""Where it stands, its id, the material."""


@dataclass(frozen=True)
class Bad:
    """A record that cannot be used.

    Args:
        place: file, with line or row.
        reason: one line.
    """

    place: str
    reason: str


def content_sha256(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's structure files.

    Raises:
        OracleError: stage ``read``; there is nothing at the path.
    """
    digest = hashlib.sha256()
    for file in _files(path):
        if path.is_dir():
            digest.update(f"{file.relative_to(path).as_posix()}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def read_pool(path: Path, *, mirror: bool = False) -> Iterator[Record | Bad]:
    """The records of a pool one after another, in a fixed order.

    Args:
        path: folder, ``.db`` or ``.json`` (ASE), or ``.jsonl``.
        mirror: whether a sequence and its reverse are one design.

    Raises:
        OracleError: stage ``read``; nothing there, or a kind of file that is not a pool.
    """
    if path.is_dir():
        yield from _from_folder(path)
        return
    (file,) = _files(path)
    if file.suffix in _LINES:
        yield from _from_lines(file, mirror=mirror)
    elif file.suffix in _DATABASES:
        yield from _from_database(file)
    else:
        raise OracleError(
            "read",
            f"{path} is not a pool; expected a folder of structure files, "
            f"an ASE database ({', '.join(_DATABASES)}) or JSON lines ({', '.join(_LINES)})",
        )


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise OracleError("read", f"{path} does not exist; space.path names a file or a folder")
    found = sorted(file for file in path.rglob("*") if file.is_file() and _is_structure(file))
    if not found:
        raise OracleError(
            "read",
            f"{path} holds no structure file ({', '.join(_STRUCTURES)}, POSCAR or CONTCAR)",
        )
    return found


def _is_structure(file: Path) -> bool:
    return file.suffix.lower() in _STRUCTURES or file.name.startswith(("POSCAR", "CONTCAR"))


def _from_folder(path: Path) -> Iterator[Record | Bad]:
    from oracle.structure_io import read_structure  # brings the readers of ASE with it

    for file in _files(path):
        name = file.relative_to(path).as_posix()
        try:
            crystal = Crystal.from_structure(read_structure(file))
        except OracleError as error:
            yield Bad(name, error.message)
        else:
            yield name, name, crystal


def _from_database(file: Path) -> Iterator[Record | Bad]:
    """Rows of an ASE database; the id is ``row.name`` where given, else its number."""
    from ase.db import connect
    from pymatgen.io.ase import AseAtomsAdaptor

    try:
        rows = list(connect(file).select())
    except Exception as error:
        raise OracleError(
            "read", f"{file} is not an ASE database: {error}; write it with ase.db.connect"
        ) from error
    for row in rows:
        place = f"{file.name} row {row.id}"
        name = str(row.get("name", row.id))
        atoms = row.toatoms()
        if not atoms.pbc.all():
            yield Bad(place, "not periodic in three directions; a crystal is")
            continue
        try:
            yield place, name, Crystal.from_structure(AseAtomsAdaptor.get_structure(atoms))
        except OracleError as error:
            yield Bad(place, error.message)


def _from_lines(file: Path, *, mirror: bool) -> Iterator[Record | Bad]:
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            place = f"{file.name} line {number}"
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                yield Bad(place, f"not JSON ({error.msg} at column {error.colno})")
                continue
            try:
                yield place, _id(record), _material(record, mirror=mirror)
            except OracleError as error:
                yield Bad(place, error.message)


def _id(record: Any) -> str:
    if not isinstance(record, dict) or not isinstance(record.get("id"), str | int):
        raise OracleError("read", 'has no "id"; expected {"id": ..., "structure": ...}')
    return str(record["id"])


def _material(record: dict[str, Any], *, mirror: bool) -> Crystal | Superlattice:
    sequence, structure = record.get("sequence"), record.get("structure")
    if (sequence is None) == (structure is None):
        raise OracleError("read", 'expected either "structure" or "sequence"')
    if sequence is not None:
        if not isinstance(sequence, str) or not sequence:
            raise OracleError("read", f'"sequence" is {sequence!r}; expected a string of layers')
        return Superlattice.from_sequence(sequence, mirror=mirror)
    try:
        parsed = Structure.from_dict(dict(structure or {}))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OracleError(
            "read",
            f'"structure" is not a pymatgen structure ({type(error).__name__}: {error}); '
            "expected Structure.as_dict()",
        ) from error
    return Crystal.from_structure(parsed)
