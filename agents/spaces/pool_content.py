"""The files of a pool, and their digest. Without slow imports, because every command needs it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from oracle.runtime.errors import OracleError
from oracle.runtime.text_files import unpacked_name
from oracle.structure_files.document_shapes import is_structure_document
from oracle.structure_files.structure_names import (
    SUFFIXES,
    files_below,
    is_born,
    is_perhaps_structure,
    is_structure,
)


def content_sha256(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's structure files.

    Names are relative to the folder, so that it can be moved. Files that are not read, such as
    hidden files, notes and homes of campaigns, do not count.

    Raises:
        OracleError: stage ``read``; there is nothing at the path.
    """
    digest = hashlib.sha256()
    for file in pool_files(path):
        if path.is_dir():
            digest.update(os.fsencode(file.relative_to(path).as_posix()) + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def pool_files(path: Path) -> list[Path]:
    """The file itself, or the structure files of a folder in a fixed order.

    Raises:
        OracleError: stage ``read``; nothing is there.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        missing = "is neither a file nor a folder" if path.exists() else "does not exist"
        raise OracleError("read", f"{path} {missing}; space.path names a file or a folder")
    files = [file for file in files_below(path) if _is_read(file)]
    if not files:
        raise OracleError(
            "read",
            f"{path} holds no structure file ({', '.join(SUFFIXES)}, structures in .json, POSCAR "
            "or CONTCAR; packed or not)",
        )
    return files


def left_out(path: Path) -> tuple[str, ...]:
    """Files of a folder that may be meant as structures but are not read, relative to it."""
    if not path.is_dir():
        return ()
    files = (file for file in files_below(path) if is_perhaps_structure(file))
    return tuple(file.relative_to(path).as_posix() for file in files if not _is_read(file))


def charges_of(path: Path) -> tuple[str, ...]:
    """Born-charge files of phonopy (``BORN``) in a folder, relative to it."""
    if not path.is_dir():
        return ()
    files = (file for file in files_below(path) if is_born(file.name))
    return tuple(file.relative_to(path).as_posix() for file in files)


def _is_read(file: Path) -> bool:
    if is_born(file.name):
        return False
    plain = unpacked_name(file.name).lower()
    return is_structure(file) or (plain.endswith(".json") and is_structure_document(file))
