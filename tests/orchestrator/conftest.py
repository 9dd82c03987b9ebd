"""Databases that tests of the store run on, and a small campaign for tests of commands."""

from __future__ import annotations

import getpass
import itertools
import json
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from orchestrator.cli import main
from orchestrator.store import NewEvent, Store


def _program(name: str) -> str | None:
    """A program of PostgreSQL's, which Debian keeps off the path."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(kept[-1]) if kept else None)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a PostgreSQL server of our own, which listens on no port."""
    pytest.importorskip("psycopg", reason="the extra phonoscout[postgresql] is not installed")
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL is not installed on this machine")
    # PostgreSQL refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else getpass.getuser()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: it holds a socket
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    common: dict[str, Any] = {"cwd": "/", "user": user if os.geteuid() == 0 else None}
    data = str(folder / "data")
    made = [initdb, "-D", data, "--auth=trust", "--username=tester", "--no-sync", "-E", "UTF8"]
    subprocess.run(made, check=True, capture_output=True, **common)
    with (folder / "log").open("w") as log:
        options = ["-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
        command = [postgres, "-D", data, *options]
        process = subprocess.Popen(command, stdout=log, stderr=log, **common)
    url = f"postgresql+psycopg://tester@/postgres?host={folder}"
    try:
        _wait_for(url)
        yield url
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: nothing is kept
        process.wait(timeout=30)
        shutil.rmtree(folder)


def _wait_for(url: str) -> None:
    engine, end = create_engine(url), time.monotonic() + 30
    while True:
        try:
            engine.connect().close()
        except OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            engine.dispose()
            return


@pytest.fixture
def postgresql_url(postgresql_server: str, tmp_path: Path) -> str:
    """URL of an empty schema, which is much quicker to make than a database."""
    name = f"s{abs(hash(str(tmp_path)))}"
    engine = create_engine(postgresql_server)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return f"{postgresql_server}&options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store with a campaign, in each kind of database."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else None
    with pytest.MonkeyPatch.context() as patch:
        # By the environment, so that processes started by a test find the same database.
        patch.delenv("PHONOSCOUT_DATABASE", raising=False)
        if url is not None:
            patch.setenv("PHONOSCOUT_DATABASE", url)
        made = Store(tmp_path / "home")
        made.create_campaign("one", {"name": "one"}, [NewEvent("created", {"x": 1})])
        yield made
        made.engine.dispose()


@pytest.fixture
def sqlite_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("PHONOSCOUT_DATABASE", raising=False)
    made = Store(tmp_path / "home")
    made.create_campaign("one", {"name": "one"}, [NewEvent("created", {"x": 1})])
    return made


class Desk:
    """A user with a folder, a home, and the replay of 64 layer sequences.

    The conductance of a design is one more than its number of interfaces.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.designs = [f"{i:06b}" for i in range(64)]

    def write(self, name: str, rows: list[dict[str, Any]]) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def config(self, table: Mapping[str, Mapping[str, Any]] | None = None, **changes: Any) -> Path:
        """Write pool, table and config; `table` has what differs in the rows of some designs."""
        self.write("data/pool.jsonl", [{"id": d, "sequence": d} for d in self.designs])
        rows = []
        for design in self.designs:
            value = 1.0 + sum(a != b for a, b in itertools.pairwise(design))
            row = {"id": design, "conductance": value, "better": value, "std": 0.1}
            rows.append(row | dict((table or {}).get(design, {})))
        self.write("data/table.jsonl", rows)
        config: dict[str, Any] = {
            "name": "layers",
            "seed": 3,
            "space": {"kind": "pool", "path": "pool.jsonl"},
            "objective": {"property": "conductance", "goal": "maximize"},
            "agents": [{"kind": "random"}],
            "surrogate": {"kind": "random-forest"},
            "oracle": {"kind": "replay", "table": "table.jsonl", "column": "conductance"},
            "budget": {"batch": 4, "oracle_calls": 8},
            "executor": {"kind": "serial"},
            "tracking": {"enabled": False},
        }
        path = self.folder / "data" / "config.yaml"
        path.write_text(yaml.safe_dump(config | changes))
        return path

    def __call__(self, *words: str | Path, code: int = 0) -> Result:
        """Run a command of phonoscout in this home; it must end with a code."""
        given = [str(word) for word in words]
        home = [] if "--home" in given else ["--home", str(self.home)]
        done = CliRunner().invoke(main, [*given, *home], catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done

    def document(self, *words: str) -> Any:
        """What a command prints as JSON."""
        return json.loads(self(*words, "--json").stdout)

    def hints(self, printed: str) -> list[list[str]]:
        """Words after `phonoscout` of the commands that a run ends with."""
        lines = [line.partition(": ")[2].strip() for line in printed.splitlines()]
        return [shlex.split(line)[1:] for line in lines if line.startswith("phonoscout resume")]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.delenv("PHONOSCOUT_DATABASE", raising=False)
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path)
