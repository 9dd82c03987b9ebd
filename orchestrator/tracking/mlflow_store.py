"""MLflow's store in a home: its URI, its experiment, and its paths after the home was moved."""

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
"""Tables and columns in which MLflow stores absolute paths."""


def store_uri(database: Path) -> str:
    """The URI of a SQLite file whose absolute path may contain any character."""
    plain = f"sqlite:///{database}"
    if make_url(plain).database == str(database):
        return plain
    # With the driver in the URI, MLflow does not create a folder from a misread path.
    return URL.create("sqlite+pysqlite", database=str(database)).render_as_string()


def write_ahead(database: Path) -> None:
    """Use write-ahead logging, so that MLflow's pages can be read while rounds are written."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def follow_home(database: Path, location: str) -> None:
    """Update the paths in a store that was moved with its home.

    MLflow stores absolute paths of the files of experiments, runs and models.
    """
    with contextlib.closing(sqlite3.connect(database, timeout=30.0)) as connection, connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not {"experiments", "runs", "model_versions"} <= tables:
            return
        rows = connection.execute("SELECT DISTINCT artifact_location FROM experiments")
        earlier = [place for (place,) in rows if place and place != location]
        for place in earlier:
            if not place.endswith(_PLACE):
                continue  # not created by phonoscout
            for table, column in _PLACES:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE substr({column}, 1, ?) = ?",
                    (location, len(place) + 1, len(place), place),
                )


def experiment_of(client: Any, run: str | None) -> str | None:
    """Id of the experiment of a run, under whatever name; None if the run is gone."""
    from mlflow.exceptions import MlflowException

    if run is None:
        return None
    try:
        experiment = client.get_experiment(client.get_run(run).info.experiment_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def experiment_named(client: Any, name: str, location: str | None) -> str:
    """Id of the experiment of all campaigns; another process may create it at the same time."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)
