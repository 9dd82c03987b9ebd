"""The database: durable, append-only, one writer per campaign, readers at any time."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateTable

from agents.protocol import Candidate
from oracle.evaluation import Measured, Quantity
from oracle.material import Superlattice
from orchestrator import lease as lease_module
from orchestrator.config import ConfigError
from orchestrator.database import has_database
from orchestrator.lease import Lease
from orchestrator.schema import HEAD, Base
from orchestrator.store import (
    CampaignExists,
    CampaignRunning,
    LeaseLost,
    NewEvent,
    Store,
    UnknownCampaign,
    UnknownCandidate,
)


def _program(name: str) -> str | None:
    """A program of PostgreSQL's, which Debian keeps off the path."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(kept[-1]) if kept else None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
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
def postgresql_url(server: str, tmp_path: Path) -> str:
    """URL of an empty schema, which is much quicker to make than a database."""
    name = f"s{abs(hash(str(tmp_path)))}"
    engine = create_engine(server)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return f"{server}&options=-csearch_path%3D{name}"


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


def _measured(sequence: str, value: float = 1.0, method: str = "m") -> Measured:
    return Measured(
        material=Superlattice(sequence=sequence),
        fidelity="table",
        method=method,
        cost_s=1.0,
        stage="lookup",
        properties={"conductance": Quantity(value=value, unit="")},
    )


def test_events_are_numbered_within_their_campaign(store: Store) -> None:
    store.create_campaign("two", {}, [NewEvent("created", {})])
    with Lease.acquire(store, "one") as lease:
        rows = store.append("one", [NewEvent("a", {"i": 1}), NewEvent("b", {})], token=lease.token)
    assert [row.seq for row in rows] == [2, 3]
    assert [(e.seq, e.kind) for e in store.events("one")] == [(1, "created"), (2, "a"), (3, "b")]
    assert [e.kind for e in store.events("one", after=2)] == ["b"]
    assert [e.seq for e in store.events("two")] == [1]


def test_event_and_evaluation_are_one_transaction(store: Store) -> None:
    with Lease.acquire(store, "one") as lease, pytest.raises(TypeError):
        store.append(
            "one",
            [NewEvent("a", {"unserialisable": object()})],
            evaluations=[_measured("01")],
            token=lease.token,
        )
    assert store.evaluation(Superlattice(sequence="01").digest, "m") is None
    assert [e.kind for e in store.events("one")] == ["created"]


def test_the_first_evaluation_under_a_key_stays(store: Store) -> None:
    with Lease.acquire(store, "one") as lease:
        for value in (1.0, 2.0):
            store.append(
                "one",
                [NewEvent("a", {})],
                evaluations=[_measured("01", value)],
                candidates=[Candidate(Superlattice(sequence="01"), "random")],
                token=lease.token,
            )
    found = store.evaluation(Superlattice(sequence="01").digest, "m")
    assert found is not None
    assert found.properties["conductance"].value == 1.0


def test_evaluations_come_back_in_bulk(store: Store) -> None:
    many = [_measured(f"{i:012b}", float(i)) for i in range(1000)]
    with Lease.acquire(store, "one") as lease:
        store.append("one", [NewEvent("a", {})], evaluations=many, token=lease.token)
    found = store.evaluations_of([e.key for e in many] + [("no", "such")])
    assert found == {e.key: e for e in many}


def test_a_name_is_given_once(store: Store) -> None:
    with pytest.raises(CampaignExists, match="phonoscout resume one"):
        store.create_campaign("one", {}, [])


def test_unknown_names_list_the_known_ones(store: Store) -> None:
    with pytest.raises(UnknownCampaign, match="there are: one"):
        store.events("three")
    with pytest.raises(UnknownCandidate, match="not known"):
        store.candidate("c-12")


def test_candidates_are_found_by_a_unique_beginning(store: Store) -> None:
    candidates = [Candidate(Superlattice(sequence=f"{i:05b}"), "random") for i in range(32)]
    with Lease.acquire(store, "one") as lease:
        store.append("one", [NewEvent("a", {})], candidates=candidates, token=lease.token)
    first = candidates[0]
    assert store.candidate(first.id).material == first.material
    assert store.candidate(first.id[:-3]).id == first.id
    with pytest.raises(UnknownCandidate, match="several begin so"):
        store.candidate("c-")
    with pytest.raises(UnknownCandidate):
        store.candidate("%")


def test_only_the_holder_of_the_lease_writes(store: Store) -> None:
    with pytest.raises(LeaseLost):
        store.append("one", [NewEvent("a", {})], token="stolen")
    with Lease.acquire(store, "one"):
        assert store.is_running("one")
        with pytest.raises(CampaignRunning, match=str(os.getpid())):
            Lease.acquire(store, "one")
    assert not store.is_running("one")


def test_a_dead_writer_is_replaced_at_once(store: Store) -> None:
    script = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from orchestrator.lease import Lease
        from orchestrator.store import Store
        with Lease.acquire(Store(Path(sys.argv[1])), "one") as lease:
            print(lease.token, flush=True)
            os.kill(os.getpid(), 9)
        """
    )
    dead = subprocess.run(
        [sys.executable, "-c", script, str(store.home)], capture_output=True, text=True, check=False
    )
    assert dead.returncode == -9
    assert not store.is_running("one")
    with Lease.acquire(store, "one") as lease:
        store.append("one", [NewEvent("alive", {})], token=lease.token)
        with pytest.raises(LeaseLost):
            store.append("one", [NewEvent("ghost", {})], token=dead.stdout.strip())


def test_readers_see_the_last_commit_while_a_writer_holds_the_lock(store: Store) -> None:
    with store.engine.begin() as writer:
        writer.execute(text("UPDATE campaigns SET stop_requested = true"))
        other = Store(store.home)
        assert [e.kind for e in other.events("one")] == ["created"]
        assert not other.stop_requested("one")
        other.engine.dispose()
    assert store.stop_requested("one")


_RACER = """
import sys, time
from pathlib import Path
from orchestrator.lease import Lease
from orchestrator.store import CampaignRunning, NewEvent, Store
store = Store(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
try:
    with Lease.acquire(store, "one") as lease:
        for i in range(30):
            store.append("one", [NewEvent("tick", {"i": i})], token=lease.token)
        print("won", flush=True)
        sys.stdin.readline()
except CampaignRunning:
    print("refused", flush=True)
"""


def test_of_processes_that_start_together_one_writes_and_readers_follow(store: Store) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACER, str(store.home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    seqs: list[int] = []
    while len(seqs) < 31:
        seqs = [event.seq for event in store.events("one")]
        assert seqs == list(range(1, len(seqs) + 1))
    answers = []
    for racer in racers:
        assert racer.stdout is not None
        answers.append(racer.stdout.readline().strip())
    assert sorted(answers) == ["refused", "refused", "won"]
    for racer in racers:
        racer.communicate("end\n", timeout=30)
    assert [event.seq for event in store.events("one")] == list(range(1, 32))
    assert not store.is_running("one")


def test_a_writer_taken_over_between_look_and_commit_is_refused(store: Store) -> None:
    """An append that meets a take-over under way waits for its end, and then sees it."""
    with Lease.acquire(store, "one") as lease, ThreadPoolExecutor(1) as other:
        with store.engine.begin() as usurper:
            usurper.execute(text("UPDATE campaigns SET writer_token = 'other'"))
            late = other.submit(store.append, "one", [NewEvent("late", {})], token=lease.token)
            assert wait([late], timeout=0.5).not_done
        with pytest.raises(LeaseLost):
            late.result(timeout=30)
    # Its end must not take the lease from the new holder.
    assert store.campaign("one").writer_token == "other"
    assert [e.kind for e in store.events("one")] == ["created"]


def test_a_silent_writer_on_another_host_is_replaced_after_a_minute(store: Store) -> None:
    with Lease.acquire(store, "one"):
        for age, lives in ((55.0, True), (65.0, False)):
            with store.engine.begin() as connection:
                connection.execute(
                    text("UPDATE campaigns SET writer_host = 'elsewhere', heartbeat = :beat"),
                    {"beat": time.time() - age},
                )
            assert store.is_running("one") is lives


def test_a_process_number_used_again_is_no_writer(store: Store) -> None:
    with Lease.acquire(store, "one"):
        with store.engine.begin() as connection:
            connection.execute(text("UPDATE campaigns SET writer_started = writer_started - 100"))
        assert not store.is_running("one")


def test_the_heart_beats_and_follows_the_clock(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "_HEARTBEAT_S", 0.05)
    with Lease.acquire(store, "one"):
        first = store.campaign("one")
        with store.engine.begin() as connection:
            # As if the clock had been set: creation times are reckoned from it.
            connection.execute(text("UPDATE campaigns SET writer_started = writer_started - 100"))
        end = time.monotonic() + 20
        while not store.is_running("one") and time.monotonic() < end:
            time.sleep(0.05)
        assert store.is_running("one")
        assert store.campaign("one").heartbeat > first.heartbeat


def test_an_append_costs_the_same_after_many_events(store: Store) -> None:
    with Lease.acquire(store, "one") as lease:
        many = [NewEvent("x", {"i": i}) for i in range(5000)]
        assert store.append("one", many, token=lease.token)[-1].seq == 5001
        assert store.append("one", [NewEvent("y", {})], token=lease.token)[0].seq == 5002
        query = (
            "SELECT max(seq) FROM events WHERE campaign = 'one'"
            if store.engine.dialect.name == "sqlite"
            else None
        )
        if query is not None:
            with store.engine.connect() as connection:
                plan = str(connection.execute(text(f"EXPLAIN QUERY PLAN {query}")).all())
            assert "USING COVERING INDEX" in plan


def test_commits_are_durable_and_readers_are_not_locked_out(sqlite_store: Store) -> None:
    with sqlite_store.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL


def test_migrations_make_exactly_the_tables_of_the_schema(store: Store) -> None:
    found = inspect(store.engine)
    assert set(found.get_table_names()) == {*Base.metadata.tables, "alembic_version"}
    for name, table in Base.metadata.tables.items():
        columns = {c["name"]: bool(c["nullable"]) for c in found.get_columns(name)}
        assert columns == {c.name: bool(c.nullable) for c in table.columns}


def test_the_tables_can_be_made_in_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in Base.metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))


def _open_at_once(home: Path, environment: dict[str, str]) -> list[int]:
    script = (
        "import sys; from pathlib import Path; from orchestrator.store import Store; "
        "Store(Path(sys.argv[1])).campaigns()"
    )
    command = [sys.executable, "-c", script, str(home)]
    runs = [subprocess.Popen(command, env=os.environ | environment) for _ in range(2)]
    return [run.wait(timeout=60) for run in runs]


def test_processes_may_open_a_new_home_at_once(tmp_path: Path) -> None:
    assert _open_at_once(tmp_path / "new", {}) == [0, 0]


def test_processes_may_open_a_new_postgresql_database_at_once(
    tmp_path: Path, postgresql_url: str
) -> None:
    assert _open_at_once(tmp_path, {"PHONOSCOUT_DATABASE": postgresql_url}) == [0, 0]


def test_a_database_of_a_newer_program_is_refused(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match=f"newer phonoscout .* revision {HEAD}; update"):
        Store(store.home)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("what is this", "PHONOSCOUT_DATABASE: what it holds is no URL"),
        ("nosuch://host/name", "nosuch.*whose driver is installed"),
        ("postgresql+nosuch://host/name", "nosuch.*whose driver is installed"),
        ("postgresql+psycopg://me:secret@127.0.0.1:1/x", r"me:\*\*\*@.*can be reached"),
    ],
)
def test_a_database_that_cannot_be_used_is_named(tmp_path: Path, url: str, message: str) -> None:
    pytest.importorskip("psycopg", reason="the extra phonoscout[postgresql] is not installed")
    with pytest.raises(ConfigError, match=message) as caught:
        Store(tmp_path, url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "phonoscout.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigError, match=r"phonoscout\.db: .*not a database"):
        Store(tmp_path)


def test_where_there_is_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHONOSCOUT_DATABASE", raising=False)
    assert not has_database(tmp_path)
    Store(tmp_path)
    assert has_database(tmp_path)
    monkeypatch.setenv("PHONOSCOUT_DATABASE", "postgresql://host/name")
    assert has_database(tmp_path / "elsewhere")
