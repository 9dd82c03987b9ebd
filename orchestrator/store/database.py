"""Opens the database of a home, and upgrades its tables to the newest version."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from oracle.runtime.errors import one_line
from orchestrator.config.errors import ConfigError
from orchestrator.store.read_only import copy_of, may_be_written, read_only_engine
from orchestrator.store.schema import HEAD

_BUSY_MS = 90_000
"""How long to wait for another program's lock, milliseconds; transactions here are short, but a
backup or a check of the file takes a minute."""
_VARIABLE = "PHONOSCOUT_DATABASE"
_MIGRATION_LOCK = 0x70686F6E6F  # a number that other programs are unlikely to lock
_EXAMPLE = "postgresql+psycopg://user@host/name"


def database_of(home: Path) -> Path:
    """The SQLite file of a home."""
    return home / "phonoscout.db"


def has_database(home: Path) -> bool:
    """Whether there is a database: a file in `home`, or one named by the environment variable."""
    return bool(os.environ.get(_VARIABLE)) or database_of(home).exists()


def open_engine(home: Path, url: str | None = None, *, reading: bool = False) -> Engine:
    """An engine whose tables exist and have the newest version.

    Args:
        home: folder of the default SQLite database; created if missing.
        url: URL of another database, for instance ``postgresql+psycopg://user@host/name``; by
            default the value of the environment variable ``PHONOSCOUT_DATABASE``.
        reading: whether a database that cannot be written is acceptable.

    Raises:
        ConfigError: the database cannot be reached, is no database, or is newer than this program.
    """
    other = url or os.environ.get(_VARIABLE)
    address = _address(home, other)
    file = None if other else database_of(home)
    shown = str(file or address.render_as_string(hide_password=True))
    try:
        if reading and file is not None and file.exists() and not may_be_written(file):
            return _reading_engine(file)
        return _ready_engine(home, address)
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise ConfigError(f"home {home}: {error.filename or 'its folder'}: {reason}") from error
    except (ArgumentError, ImportError) as error:
        raise ConfigError(
            f"database {shown}: {one_line(error)}; expected a URL such as {_EXAMPLE} whose driver "
            "is installed"
        ) from error
    except (SQLAlchemyError, sqlite3.Error) as error:
        if reading and file is not None and is_full(error):
            return _reading_engine(file)
        raise ConfigError(f"database {shown}: {database_problem(error)}") from error


_DAMAGED = "it is damaged; put a copy back in its place, or give another home with --home"


def database_problem(error: Exception) -> str:
    """The error message of a database, and advice."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    code = getattr(cause, "sqlite_errorcode", None)
    advice = {
        sqlite3.SQLITE_BUSY: "another program has locked it for longer than "
        f"{_BUSY_MS / 1000:.0f} s; end that, then try again",
        sqlite3.SQLITE_FULL: "make room on its disk, then try again",
        sqlite3.SQLITE_READONLY: "it can be read only; give a home that can be written with --home",
        sqlite3.SQLITE_CORRUPT: _DAMAGED,
        sqlite3.SQLITE_NOTADB: _DAMAGED,
    }.get(code or 0, "check that it can be reached and written to")
    return f"{one_line(cause).partition(': ')[2] or one_line(cause)}; {advice}"


def is_full(error: Exception) -> bool:
    """Whether an error means that the disk of the database is full, or cannot be written."""
    code = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
    return code is not None and (code & 0xFF) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _reading_engine(file: Path) -> Engine:
    """An engine that writes nothing to the home; tables of an earlier version are copied first."""
    engine = read_only_engine(file, _BUSY_MS)
    if _revision(engine) == HEAD:
        return engine
    engine.dispose()
    copy = copy_of(file)
    return _ready_engine(copy.parent, _address(copy.parent, None))


def _ready_engine(home: Path, address: URL) -> Engine:
    home.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    try:
        if _revision(engine) != HEAD:
            _upgrade(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _address(home: Path, url: str | None) -> URL:
    if url is None:
        return URL.create("sqlite", database=str(database_of(home)))
    try:
        return make_url(url)
    except ArgumentError as error:
        raise ConfigError(
            f"{_VARIABLE}: what it holds is no URL; expected for instance {_EXAMPLE}"
        ) from error


def _configure_sqlite(connection: Any, record: Any) -> None:
    """Make transactions durable (full sync) and allow reading at any time (write-ahead log)."""
    connection.isolation_level = None  # `_begin_immediate` begins transactions
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={_BUSY_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    """Take the lock at the beginning of a write, since taking it later can fail at once."""
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN" if options.get("reads_only") else "BEGIN IMMEDIATE")


def _revision(engine: Engine) -> str | None:
    """Revision of the tables, read without Alembic, whose start takes longer than a query."""
    with engine.connect().execution_options(reads_only=True) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if revision is None else str(revision)


def _upgrade(engine: Engine) -> None:
    """Run the missing migrations, in one process at a time."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "orchestrator.store:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # a transaction of SQLite locks the whole database
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ConfigError(
                "the database was made by a newer phonoscout than this one, which knows revision "
                f"{HEAD}; update phonoscout ({one_line(error)})"
            ) from error
