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
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from oracle.contract.evaluation import Failed
from oracle.replay.oracle import ReplayOracle
from orchestrator.app.cli import main
from orchestrator.executors import serial_executor, worker
from orchestrator.executors.protocol import CallContext
from orchestrator.store.store import NewEvent, Store

ROOT = Path(__file__).resolve().parents[2]


def _program(name: str) -> str | None:
    """A program of PostgreSQL, which Debian does not put on the path."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(installed[-1]) if installed else None)


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
    create = [initdb, "-D", data, "--auth=trust", "--username=tester", "--no-sync", "-E", "UTF8"]
    subprocess.run(create, check=True, capture_output=True, **common)
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
        new = Store(tmp_path / "home")
        new.create_campaign("one", {"name": "one"}, [NewEvent("created", {"x": 1})])
        yield new
        new.engine.dispose()


@pytest.fixture
def sqlite_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("PHONOSCOUT_DATABASE", raising=False)
    store = Store(tmp_path / "home")
    store.create_campaign("one", {"name": "one"}, [NewEvent("created", {"x": 1})])
    return store


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    errors: str

    @property
    def lines(self) -> list[str]:
        """What it printed on stderr."""
        return self.errors.strip().splitlines()


@pytest.fixture
def phonoscout() -> Iterator[Callable[..., Answer]]:
    """The command line as a user starts it; what still runs afterwards is ended."""
    started: list[subprocess.Popen[str]] = []

    def call(*words: str | Path, cwd: Path | None = None, **variables: str) -> Answer:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.app.cli", *map(str, words)],
            cwd=cwd,
            env={"PYTHONPATH": str(ROOT), **os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        out, errors = process.communicate(timeout=200)
        return Answer(process.returncode, out, errors)

    yield call
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """Makes a folder read-only for everybody, until the test ends."""
    changed: list[Path] = []

    def mount(folder: Path) -> None:
        for words in (["--bind", str(folder), str(folder)], ["-o", "remount,ro,bind", str(folder)]):
            done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"root can write everywhere, and may not mount: {done.stderr.strip()}")
        changed.append(folder)

    def forbid(folder: Path) -> None:
        for path in (*folder.rglob("*"), folder):
            path.chmod(path.stat().st_mode & ~0o222)
            changed.append(path)

    yield mount if os.geteuid() == 0 else forbid
    for path in reversed(changed):
        if os.geteuid() == 0:
            # Lazily: whoever reads it still has it open.
            subprocess.run(["umount", "-l", str(path)], check=True, capture_output=True)
        else:
            path.chmod(path.stat().st_mode | 0o700)


@pytest.fixture
def lookups_fail(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], bool]], None]:
    """Makes evaluations of some sequences in tables fail for good."""

    def install(fails: Callable[[str], bool]) -> None:
        evaluate = ReplayOracle.evaluate

        def some_fail(self: ReplayOracle, material: Any, *, context: Any) -> Any:
            if not fails(material.sequence):
                return evaluate(self, material, context=context)
            return Failed(
                message="the row cannot be read", permanent=True, material=material,
                fidelity=self.fidelity, method=self.method_digest, cost_s=0.0, stage="lookup",
            )  # fmt: skip

        monkeypatch.setattr(ReplayOracle, "evaluate", some_fail)

    return install


@pytest.fixture
def write_config() -> Callable[..., Path]:
    """Writes the config of a campaign that takes a second, with its inputs; gives its path."""
    return write_layers


def write_layers(
    folder: Path, rows: dict[str, dict[str, Any]] | None = None, **changes: Any
) -> Path:
    """A replay of 64 sequences whose conductance is one more than their number of interfaces.

    Args:
        folder: for the config and its inputs.
        rows: by sequence, what the table holds instead.
        changes: of the config.
    """
    folder.mkdir(parents=True, exist_ok=True)
    designs = [f"{i:06b}" for i in range(64)]
    pool = [{"id": d, "sequence": d} for d in designs]
    table = [
        {"id": d, "stable": True, "conductance": 1.0 + d.count("01") + d.count("10")}
        | (rows or {}).get(d, {})
        for d in designs
    ]
    for name, lines in (("pool", pool), ("table", table)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines))
    config: dict[str, Any] = {
        "name": "layers",
        "seed": 3,
        "space": {"kind": "pool", "path": str(folder / "pool.jsonl")},
        "objective": {"property": "conductance", "goal": "maximize"},
        "agents": [{"kind": "random"}],
        "oracle": {
            "kind": "replay",
            "table": str(folder / "table.jsonl"),
            "column": "conductance",
            "stable_column": "stable",
        },
        "budget": {"batch": 4, "oracle_calls": 12},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
    }
    config.update(changes)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


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
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, Any], None]:
    """Has serial executors call another function in the place of one of their own."""
    standing: dict[Any, Any] = {}

    def run(function: Any, payload: Any, context: CallContext) -> Any:
        return worker.run(standing.get(function, function), payload, context)

    monkeypatch.setattr(serial_executor, "run", run)

    def replace(function: Any, other: Any) -> None:
        standing[function] = other

    return replace


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.delenv("PHONOSCOUT_DATABASE", raising=False)
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path)
