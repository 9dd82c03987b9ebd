"""Reading a pool: a folder of structure files, an ASE database, JSON lines, or CSV."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import spglib
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from agents.spaces.pool_content import content_sha256, pool_files
from oracle.materials.composition import Composition
from oracle.materials.crystal import Crystal
from oracle.materials.crystal_checks import Unusable
from oracle.materials.material import Material
from oracle.materials.superlattice import Superlattice
from oracle.runtime.csv_tables import csv_rows, is_csv
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError
from oracle.runtime.files import report_damage
from oracle.runtime.plain_json import parse_json
from oracle.runtime.text_files import decoded, read_text
from oracle.structure_files.document_shapes import documents

__all__ = ["Bad", "Record", "cached_pool", "content_sha256", "read_pool"]

_DATABASES = (".db", ".json")
_LINES = (".jsonl", ".ndjson")

Orders = tuple[tuple[int, ...], ...]

_SUM = "sha256 "  # begins the last line of a file of cached records
_CANONICAL = 1  # increased whenever the canonical form of materials changes
_READING = 3  # increased whenever different records are accepted
_IDS = ("material_id", "id", "name", "task_id")  # keys of a document; the first present is its id


class Record(BaseModel):
    """A usable record of a pool."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["record"] = "record"
    place: str
    """File, with line or row."""
    id: str
    material: Material
    remarks: tuple[str, ...] = ()
    """Choices that were made in reading it, one line each."""


class Bad(BaseModel):
    """A record that cannot be used."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["bad"] = "bad"
    place: str
    """File, with line or row."""
    reason: str
    """One line."""


_ANY: TypeAdapter[Record | Bad] = TypeAdapter(Annotated[Record | Bad, Field(discriminator="kind")])


def read_pool(
    path: Path, *, mirror: bool = False, symmetries: Orders = ()
) -> Iterator[Record | Bad]:
    """The records of a pool one after another, in a fixed order.

    Args:
        path: folder, ``.db`` or ``.json`` (ASE), ``.jsonl``, or ``.csv`` (compositions).
        mirror: whether a sequence and its reverse are one design.
        symmetries: permutations of layers that give the same design, see
            `Superlattice.symmetries`.

    Raises:
        OracleError: stage ``read``; the path does not exist, or is not a pool.
    """
    if path.is_dir():
        yield from _from_folder(path)
        return
    (file,) = pool_files(path)
    if file.suffix in _LINES:
        yield from _from_lines(file, mirror=mirror, symmetries=symmetries)
    elif is_csv(file):
        yield from _from_csv(file)
    elif file.suffix in _DATABASES:
        entries = _entries(file) if file.suffix == ".json" else []
        yield from _from_documents(file, entries) if entries else _from_database(file)
    else:
        raise OracleError(
            "read",
            f"{path} is not a pool; expected a folder of structure files, an ASE database "
            f"({', '.join(_DATABASES)}), a JSON list or JSON lines ({', '.join(_LINES)}), or "
            "compositions in a .csv",
        )


def cached_pool(
    path: Path,
    content: str,
    *,
    mirror: bool = False,
    symmetries: Orders = (),
    cache: Path | None,
) -> Iterator[Record | Bad]:
    """The records of `read_pool`, from a file in `cache` if they were read before.

    Args:
        path: see `read_pool`.
        content: the pool's `content_sha256`.
        mirror: see `read_pool`.
        symmetries: see `read_pool`.
        cache: folder, which is created if missing; None reads without a cache.
    """
    if cache is None:
        yield from read_pool(path, mirror=mirror, symmetries=symmetries)
        return
    orders = f"-{digest_of(symmetries)[:16]}" if symmetries else ""
    rules = f"{_CANONICAL}.{_READING}"
    name = f"pool-{content[:32]}-{rules}-{spglib.__version__}-{int(mirror)}{orders}.checked.jsonl"
    cache_file = cache / name
    if not _is_whole(cache_file):
        _keep(cache_file, read_pool(path, mirror=mirror, symmetries=symmetries))
    with cache_file.open(encoding="utf-8") as stream:
        for line in stream:
            if not line.startswith(_SUM):
                yield _ANY.validate_json(line)


def _keep(cache_file: Path, records: Iterator[Record | Bad]) -> None:
    """Write one record per line, and finally the digest of all records."""
    cache_file.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    handle, part = tempfile.mkstemp(dir=cache_file.parent, suffix=".part")
    with open(handle, "wb") as stream:  # noqa: PTH123  # a file descriptor
        for record in records:
            line = record.model_dump_json().encode() + b"\n"
            digest.update(line)
            stream.write(line)
        stream.write(f"{_SUM}{digest.hexdigest()}\n".encode())
    Path(part).replace(cache_file)


def _is_whole(cache_file: Path) -> bool:
    """Whether the file of cached records exists and is undamaged."""
    if not cache_file.exists():
        return False
    digest, ended = hashlib.sha256(), False
    with cache_file.open("rb") as stream:
        for line in stream:
            ended = line == f"{_SUM}{digest.hexdigest()}\n".encode()
            digest.update(line)
    if not ended:
        report_damage(cache_file, "its SHA-256 is not that of what was written")
    return ended


def _entries(file: Path) -> list[Any]:
    """The entries of a JSON file if any of them is a structure; otherwise none."""
    try:
        value = parse_json(read_text(file))
    except json.JSONDecodeError:
        return []
    except ValueError as error:
        raise OracleError("read", f"{file}: {error}") from error
    entries = value if isinstance(value, list) else [value]
    return entries if any(documents(entry) for entry in entries) else []


def _from_folder(path: Path) -> Iterator[Record | Bad]:
    from oracle.structure_files.structure_io import (
        read_file,  # brings the readers of pymatgen with it
    )

    for file in pool_files(path):
        raw = file.relative_to(path).as_posix()
        name = raw.encode(errors="backslashreplace").decode()

        def read(file: Path = file, name: str = name, raw: str = raw) -> Record:
            if name != raw:
                raise Unusable("its name is not in UTF-8; expected one that is: rename the file")
            reading = read_file(file)
            crystal = Crystal.from_structure(reading.structure)
            return Record(place=name, id=name, material=crystal, remarks=reading.remarks)

        yield _attempt(name, read, source=file)


def _from_database(file: Path) -> Iterator[Record | Bad]:
    """Rows of an ASE database; the id is ``row.name`` if it exists, otherwise the row number."""
    for number, row in _rows(file):
        place = f"{file.name} row {number}"

        def read(row: Callable[[], Any] = row, place: str = place) -> Record:
            from oracle.structure_files.structure_io import from_atoms, quiet_readers

            values = row()
            with quiet_readers():
                crystal = Crystal.from_structure(from_atoms(values.toatoms()))
            return Record(place=place, id=str(values.get("name", values.id)), material=crystal)

        yield _attempt(place, read)


def _rows(file: Path) -> Iterator[tuple[int, Callable[[], Any]]]:
    """Number of each row with a function that reads it, so that a damaged row can be reported.

    Raises:
        OracleError: stage ``read``; the file is not an ASE database.
    """
    from ase.db import connect

    try:
        database = connect(file)
        numbers = [row.id for row in database.select(columns=["id"], include_data=False)]
    except Exception as error:
        raise OracleError(
            "read", f"{file} is not an ASE database: {error}; write it with ase.db.connect"
        ) from error
    try:
        rows = {row.id: row for row in database.select()}  # much faster than one by one
    except Exception:
        rows = {}
    for number in numbers:
        if number in rows:
            yield number, functools.partial(rows.__getitem__, number)
        else:
            yield number, functools.partial(database.get, id=number)


def _from_documents(file: Path, entries: list[Any]) -> Iterator[Record | Bad]:
    """Documents of a JSON list, with ids as in the Materials Project, or numbered from 1."""
    for number, entry in enumerate(entries, start=1):
        place = f"{file.name} entry {number}"

        def read(entry: Any = entry, place: str = place, number: int = number) -> Record:
            structures = documents(entry)
            if len(structures) != 1:
                raise Unusable(f'it holds {len(structures)} structures; expected one "structure"')
            name = next((entry[k] for k in _IDS if isinstance(entry.get(k), str | int)), number)
            return Record(place=place, id=_sound(str(name)), material=_crystal(structures[0]))

        yield _attempt(place, read)


def _from_lines(file: Path, *, mirror: bool, symmetries: Orders) -> Iterator[Record | Bad]:
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        place = f"{file.name} line {number}"

        def read(line: bytes = line, place: str = place) -> Record:
            record = _parsed(line)
            name = _id(record)
            material = _material(record, mirror=mirror, symmetries=symmetries)
            return Record(place=place, id=name, material=material)

        yield _attempt(place, read)


def _from_csv(file: Path) -> Iterator[Record | Bad]:
    """Rows with a composition; the id is in the column ``id``, or is the composition itself."""
    for place, row in csv_rows(file):

        def read(row: dict[str, Any] = row, place: str = place) -> Record:
            if "composition" not in row:
                raise Unusable("has no composition; expected a column with this heading")
            material = Composition.of(row["composition"])
            return Record(place=place, id=_sound(row["id"]), material=material)

        yield _attempt(place, read)


def _attempt(place: str, read: Callable[[], Record], source: Path | None = None) -> Record | Bad:
    """A record, or the reason why it cannot be used; any library error counts as a reason."""
    try:
        return read()
    except MemoryError:
        raise
    except OracleError as error:
        reason = error.message
    except Unusable as error:
        reason = str(error)
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        reason = f"cannot be used ({type(error).__name__}: {text})"
    for beginning in (f"{source}: ", f"{source} "):
        reason = reason.removeprefix(beginning)
    return Bad(place=place, reason=reason)


def _lines(file: Path) -> Iterator[bytes]:
    """Lines of a file, converted from UTF-16 or UTF-32 to UTF-8, without byte-order marks."""
    with file.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0)
        if b"\0" in head or head.startswith((b"\xff\xfe", b"\xfe\xff")):
            yield from decoded(stream.read(), str(file)).encode().split(b"\n")
            return
        for line in stream:
            yield line.removeprefix(b"\xef\xbb\xbf")


def _parsed(line: bytes) -> Any:
    try:
        return parse_json(line.decode())
    except UnicodeDecodeError as error:
        raise Unusable(
            f"not UTF-8 (byte 0x{line[error.start]:02x} at column {error.start + 1}); expected "
            "JSON in UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        raise Unusable(f"not JSON ({error.msg} at column {error.colno})") from error
    except ValueError as error:
        raise Unusable(str(error)) from error


def _id(record: Any) -> str:
    if not isinstance(record, dict) or not isinstance(record.get("id"), str | int):
        raise Unusable(
            'has no "id"; expected {"id": ..., "structure": ...}, or "sequence" or "composition" '
            "in place of a structure"
        )
    return _sound(str(record["id"]))


def _sound(name: str) -> str:
    """The id, if databases and files can hold it.

    Raises:
        Unusable: it contains half of a surrogate pair, or the character NUL.
    """
    if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
        raise Unusable(f"its id {name[:60]!a} is not a text; expected Unicode characters")
    return name


def _material(record: dict[str, Any], *, mirror: bool, symmetries: Orders) -> Material:
    sequence, structure = record.get("sequence"), record.get("structure")
    composition = record.get("composition")  # of many documents with a structure as well
    if sequence is structure is None and composition is not None:
        return Composition.of(composition)
    if (sequence is None) == (structure is None):
        raise Unusable('expected one of "structure", "sequence" and "composition"')
    if sequence is not None:
        if not isinstance(sequence, str) or not sequence:
            raise Unusable(f'"sequence" is {sequence!r}; expected a string of layers')
        try:
            return Superlattice.from_sequence(sequence, mirror=mirror, symmetries=symmetries)
        except ValueError as error:
            raise Unusable(f"space.{error}") from error
    return _crystal(structure)


def _crystal(document: Any) -> Crystal:
    from oracle.structure_files.structure_documents import structure_of
    from oracle.structure_files.structure_io import quiet_readers

    with quiet_readers():
        return Crystal.from_structure(structure_of(document))
