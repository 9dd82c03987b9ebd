"""Opens the database of a home, and brings its tables to the newest form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, text

from orchestrator.schema import HEAD

_BUSY_MS = 30_000
"""How long a writer waits for another one's transaction; those take milliseconds."""


def database_of(home: Path) -> Path:
    """The SQLite file of a home."""
    return home / "phonoscout.db"


def open_engine(home: Path, url: str | None = None) -> Engine:
    """An engine whose tables exist and are of the newest form.

    Args:
        home: folder of the default SQLite database; made if absent.
        url: of another database, for instance ``postgresql+psycopg://user@host/name``.
    """
    home.mkdir(parents=True, exist_ok=True)
    address = url or f"sqlite:///{database_of(home)}"
    engine = create_engine(address, json_serializer=json.dumps)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    if _revision(engine) != HEAD:
        _upgrade(engine)
    return engine


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
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "orchestrator:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        # Two processes may open a new home at once: the lock is held, so look again.
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
