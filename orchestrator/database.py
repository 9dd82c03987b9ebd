"""Opens the database of a home, and brings its tables to the newest form."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from orchestrator.config import ConfigError
from orchestrator.schema import HEAD
from orchestrator.worker import one_line

_BUSY_MS = 30_000
"""How long a writer waits for another one's transaction; those take milliseconds."""
_VARIABLE = "PHONOSCOUT_DATABASE"
_MIGRATION_LOCK = 0x70686F6E6F  # any number that other programs are unlikely to lock
_EXAMPLE = "postgresql+psycopg://user@host/name"


def database_of(home: Path) -> Path:
    """The SQLite file of a home."""
    return home / "phonoscout.db"


def has_database(home: Path) -> bool:
    """Whether there is something to read: a file in `home`, or a server's by environment."""
    return bool(os.environ.get(_VARIABLE)) or database_of(home).exists()


def open_engine(home: Path, url: str | None = None) -> Engine:
    """An engine whose tables exist and are of the newest form.

    Args:
        home: folder of the default SQLite database; made if absent.
        url: of another database, for instance ``postgresql+psycopg://user@host/name``; by default
            what the environment variable ``PHONOSCOUT_DATABASE`` says.

    Raises:
        ConfigError: the database cannot be reached, or is none, or is newer than this program.
    """
    home.mkdir(parents=True, exist_ok=True)
    address = _address(home, url or os.environ.get(_VARIABLE))
    shown = address.render_as_string(hide_password=True)
    try:
        return _ready_engine(address)
    except (ArgumentError, ImportError) as error:
        raise ConfigError(
            f"database {shown}: {one_line(error)}; expected a URL such as {_EXAMPLE} whose driver "
            "is installed"
        ) from error
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        raise ConfigError(
            f"database {shown}: {one_line(cause)}; check that it can be reached and written to"
        ) from error


def _ready_engine(address: URL) -> Engine:
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
    """Durable (full sync) and open to readers at any time (write-ahead log)."""
    connection.isolation_level = None  # transactions are begun by `_begin_immediate`
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
    """Writers take the lock when they begin, since a lock taken later can fail at once."""
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN" if options.get("reads_only") else "BEGIN IMMEDIATE")


def _revision(engine: Engine) -> str | None:
    """Revision of the tables, read without starting Alembic (it takes longer than a query)."""
    with engine.connect().execution_options(reads_only=True) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _upgrade(engine: Engine) -> None:
    """Run the migrations that are missing; only one process at a time does."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "orchestrator:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # SQLite's transaction has locked all of it
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ConfigError(
                "the database was made by a newer phonoscout than this one, which knows revision "
                f"{HEAD}; update phonoscout ({one_line(error)})"
            ) from error
