"""Reading a pool: a folder of structure files, an ASE database, or JSON lines."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import spglib
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pymatgen.core.structure import Structure

from oracle.errors import OracleError
from oracle.files import report_damage
from oracle.material import Crystal, Material, Superlattice, digest_of

_STRUCTURES = (".cif", ".vasp", ".poscar", ".xyz", ".extxyz")
_DATABASES = (".db", ".json")
_LINES = (".jsonl", ".ndjson")

Orders = tuple[tuple[int, ...], ...]

_SUM = "sha256 "  # begins the last line of kept records
_CANONICAL = 1  # to be raised when the canonical form of materials changes


class Record(BaseModel):
    """A usable record of a pool."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["record"] = "record"
    place: str
    """File, with line or row."""
    id: str
    material: Material


class Bad(BaseModel):
    """A record that cannot be used."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["bad"] = "bad"
    place: str
    """File, with line or row."""
    reason: str
    """One line."""


_ANY: TypeAdapter[Record | Bad] = TypeAdapter(Annotated[Record | Bad, Field(discriminator="kind")])


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


def read_pool(
    path: Path, *, mirror: bool = False, symmetries: Orders = ()
) -> Iterator[Record | Bad]:
    """The records of a pool one after another, in a fixed order.

    Args:
        path: folder, ``.db`` or ``.json`` (ASE), or ``.jsonl``.
        mirror: whether a sequence and its reverse are one design.
        symmetries: orders of layers that are the same design, see `Superlattice.symmetries`.

    Raises:
        OracleError: stage ``read``; nothing there, or a kind of file that is not a pool.
    """
    if path.is_dir():
        yield from _from_folder(path)
        return
    (file,) = _files(path)
    if file.suffix in _LINES:
        yield from _from_lines(file, mirror=mirror, symmetries=symmetries)
    elif file.suffix in _DATABASES:
        yield from _from_database(file)
    else:
        raise OracleError(
            "read",
            f"{path} is not a pool; expected a folder of structure files, "
            f"an ASE database ({', '.join(_DATABASES)}) or JSON lines ({', '.join(_LINES)})",
        )


def cached_pool(
    path: Path,
    content: str,
    *,
    mirror: bool = False,
    symmetries: Orders = (),
    cache: Path | None,
) -> Iterator[Record | Bad]:
    """The records of `read_pool`, from a file in `cache` where they were read before.

    Args:
        path: see `read_pool`.
        content: its `content_sha256`.
        mirror: see `read_pool`.
        symmetries: see `read_pool`.
        cache: folder, made when absent; None reads afresh.
    """
    if cache is None:
        yield from read_pool(path, mirror=mirror, symmetries=symmetries)
        return
    orders = f"-{digest_of(symmetries)[:16]}" if symmetries else ""
    name = (
        f"pool-{content[:32]}-{_CANONICAL}-{spglib.__version__}-{int(mirror)}{orders}.checked.jsonl"
    )
    kept = cache / name
    if not _is_whole(kept):
        _keep(kept, read_pool(path, mirror=mirror, symmetries=symmetries))
    with kept.open(encoding="utf-8") as stream:
        for line in stream:
            if not line.startswith(_SUM):
                yield _ANY.validate_json(line)


def _keep(kept: Path, records: Iterator[Record | Bad]) -> None:
    """Write records one a line, and in the end the digest of them all."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    handle, part = tempfile.mkstemp(dir=kept.parent, suffix=".part")
    with open(handle, "wb") as stream:  # noqa: PTH123  # a file descriptor
        for record in records:
            line = record.model_dump_json().encode() + b"\n"
            digest.update(line)
            stream.write(line)
        stream.write(f"{_SUM}{digest.hexdigest()}\n".encode())
    Path(part).replace(kept)


def _is_whole(kept: Path) -> bool:
    """Whether kept records are there, and those that were written."""
    if not kept.exists():
        return False
    digest, ended = hashlib.sha256(), False
    with kept.open("rb") as stream:
        for line in stream:
            ended = line == f"{_SUM}{digest.hexdigest()}\n".encode()
            digest.update(line)
    if not ended:
        report_damage(kept, "its SHA-256 is not that of what was written")
    return ended


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
            yield Bad(place=name, reason=error.message.removeprefix(f"{file} "))
        else:
            yield Record(place=name, id=name, material=crystal)


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
            yield Bad(place=place, reason="not periodic in three directions; a crystal is")
            continue
        try:
            crystal = Crystal.from_structure(AseAtomsAdaptor.get_structure(atoms))
        except OracleError as error:
            yield Bad(place=place, reason=error.message)
        else:
            yield Record(place=place, id=name, material=crystal)


def _from_lines(file: Path, *, mirror: bool, symmetries: Orders) -> Iterator[Record | Bad]:
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            place = f"{file.name} line {number}"
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                yield Bad(place=place, reason=f"not JSON ({error.msg} at column {error.colno})")
                continue
            try:
                name = _id(record)
                material = _material(record, mirror=mirror, symmetries=symmetries)
                yield Record(place=place, id=name, material=material)
            except OracleError as error:
                yield Bad(place=place, reason=error.message)


def _id(record: Any) -> str:
    if not isinstance(record, dict) or not isinstance(record.get("id"), str | int):
        raise OracleError("read", 'has no "id"; expected {"id": ..., "structure": ...}')
    return str(record["id"])


def _material(record: dict[str, Any], *, mirror: bool, symmetries: Orders) -> Material:
    sequence, structure = record.get("sequence"), record.get("structure")
    if (sequence is None) == (structure is None):
        raise OracleError("read", 'expected either "structure" or "sequence"')
    if sequence is not None:
        if not isinstance(sequence, str) or not sequence:
            raise OracleError("read", f'"sequence" is {sequence!r}; expected a string of layers')
        try:
            return Superlattice.from_sequence(sequence, mirror=mirror, symmetries=symmetries)
        except ValueError as error:
            raise OracleError("read", f"space.{error}") from error
    try:
        parsed = Structure.from_dict(dict(structure or {}))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OracleError(
            "read",
            f'"structure" is not a pymatgen structure ({type(error).__name__}: {error}); '
            "expected Structure.as_dict()",
        ) from error
    return Crystal.from_structure(parsed)
