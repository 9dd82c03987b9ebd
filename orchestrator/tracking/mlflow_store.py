"""MLflow's store in a home: opened, found again after a move, and its experiment."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url

_PLACE = "/mlflow/artifacts"
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Tables and columns in which MLflow keeps whole paths."""


def store_uri(database: Path) -> str:
    """What MLflow calls a SQLite file whose absolute path may hold any character."""
    plain = f"sqlite:///{database}"
    if make_url(plain).database == str(database):
        return plain
    # With the driver named, MLflow makes no folder of what it takes for a path in here.
    return URL.create("sqlite+pysqlite", database=str(database)).render_as_string()


def write_ahead(database: Path) -> None:
    """Let MLflow's pages be looked at while rounds are written, which then also takes less long."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def follow_home(database: Path, location: str) -> None:
    """Let a store that was moved with its home find its files, and put new ones beside them.

    MLflow knows places of files by whole paths alone, of experiments, runs and models.
    """
    with contextlib.closing(sqlite3.connect(database, timeout=30.0)) as connection, connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not {"experiments", "runs", "model_versions"} <= tables:
            return
        found = connection.execute("SELECT DISTINCT artifact_location FROM experiments")
        places = [place for (place,) in found if place and place != location]
        for place in places:
            if not place.endswith(_PLACE):
                continue  # not one of ours
            for table, column in _PLACES:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE substr({column}, 1, ?) = ?",
                    (location, len(place) + 1, len(place), place),
                )


def experiment_of(client: Any, run: str | None) -> str | None:
    """Id of the experiment that a run is in, whatever it is called now; None where it is gone."""
    from mlflow.exceptions import MlflowException

    if run is None:
        return None
    try:
        found = client.get_experiment(client.get_run(run).info.experiment_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def experiment_named(client: Any, name: str, location: str | None) -> str:
    """Id of the experiment of all campaigns; another process may make it at the same time."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)
