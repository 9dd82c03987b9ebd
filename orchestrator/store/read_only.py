"""Opens the database of a home that cannot be written: on a share, in an archive, a full disk."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import weakref
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event


def may_be_written(file: Path) -> bool:
    """Whether a database, and the files that SQLite creates beside it, can be written."""
    return os.access(file.parent, os.W_OK) and os.access(file, os.W_OK)


def read_only_engine(file: Path, busy_ms: int) -> Engine:
    """An engine that reads a SQLite file and writes nothing beside it.

    A write-ahead log needs an index beside it, which a reader creates if it is allowed to.
    Otherwise the file is read without the log if that is empty, and a copy of both is read if not.

    Args:
        file: the database.
        busy_ms: how long to wait for a lock, milliseconds.

    Raises:
        sqlite3.Error: the file cannot be read, or is no database.
        OSError: the file cannot be read or copied.
    """
    if _answers(file, "mode=ro"):
        return _engine(file, {"mode": "ro"}, busy_ms)
    log = file.with_name(f"{file.name}-wal")
    if not log.exists() or not log.stat().st_size:
        return _engine(file, {"immutable": "1"}, busy_ms)
    return _engine(copy_of(file), {}, busy_ms)


def copy_of(file: Path) -> Path:
    """Copy a database with its log; the copy is removed when this process ends."""
    folder = tempfile.mkdtemp(prefix="phonoscout-")
    weakref.finalize(copy_of, shutil.rmtree, folder, ignore_errors=True)
    for source in (file, file.with_name(f"{file.name}-wal")):
        if source.exists():
            shutil.copyfile(source, Path(folder) / source.name)
    return Path(folder) / file.name


def _answers(file: Path, options: str) -> bool:
    """Whether SQLite can read a file with these options."""
    try:
        connection = sqlite3.connect(f"{_uri(file)}?{options}", uri=True)
    except sqlite3.OperationalError:
        return False
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        return False
    finally:
        connection.close()
    return True


def _engine(file: Path, options: dict[str, str], busy_ms: int) -> Engine:
    url = URL.create("sqlite", database=_uri(file), query={**options, "uri": "true"})
    engine = create_engine(url)

    def configure(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={busy_ms}").close()

    event.listen(engine, "connect", configure)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _uri(file: Path) -> str:
    return f"file:{quote(str(file.absolute()))}"
