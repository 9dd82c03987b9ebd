"""The database: durable, append-only, open to readers at any time, SQLite or PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from agents.contract.protocol import Candidate
from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.superlattice import Superlattice
from orchestrator.config.errors import ConfigError
from orchestrator.store.database import has_database
from orchestrator.store.lease import Lease
from orchestrator.store.schema import HEAD, Base
from orchestrator.store.store import (
    CampaignExists,
    NewEvent,
    Store,
    UnknownCampaign,
    UnknownCandidate,
)


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
    stored = store.evaluation(Superlattice(sequence="01").digest, "m")
    assert stored is not None
    assert stored.properties["conductance"].value == 1.0


def test_evaluations_come_back_in_bulk(store: Store) -> None:
    many = [_measured(f"{i:012b}", float(i)) for i in range(1000)]
    with Lease.acquire(store, "one") as lease:
        store.append("one", [NewEvent("a", {})], evaluations=many, token=lease.token)
    stored = store.evaluations_of([e.key for e in many] + [("no", "such")])
    assert stored == {e.key: e for e in many}


def test_a_name_is_given_once(store: Store) -> None:
    """Once a trial is planned; until then a campaign has nothing to lose."""
    assert not store.is_taken("one")
    store.create_campaign("one", {}, [NewEvent("created", {"x": 2})])
    with Lease.acquire(store, "one") as lease:
        store.append("one", [NewEvent("round_planned", {})], token=lease.token)
    assert store.is_taken("one")
    with pytest.raises(CampaignExists, match="campaign one exists already"):
        store.create_campaign("one", {}, [])
    assert [event.payload for event in store.events("one")] == [{"x": 2}, {}]


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


def test_readers_see_the_last_commit_while_a_writer_holds_the_lock(store: Store) -> None:
    with store.engine.begin() as writer:
        writer.execute(text("UPDATE campaigns SET stop_requested = true"))
        other = Store(store.home)
        assert [e.kind for e in other.events("one")] == ["created"]
        assert not other.stop_requested("one")
        other.engine.dispose()
    assert store.stop_requested("one")


def test_an_append_costs_the_same_after_many_events(sqlite_store: Store) -> None:
    steps = [0]

    def count() -> None:
        steps[0] += 1

    def append() -> int:
        """Steps of SQLite's virtual machine that one append takes."""
        before = steps[0]
        sqlite_store.append("one", [NewEvent("y", {})], token=lease.token)
        return steps[0] - before

    with Lease.acquire(sqlite_store, "one") as lease:
        connection = sqlite_store.engine.raw_connection()
        assert connection.driver_connection is not None
        connection.driver_connection.set_progress_handler(count, 1)
        connection.close()  # goes back to the pool, which holds no other
        early = append()
        many = [NewEvent("x", {"i": i}) for i in range(5000)]
        assert sqlite_store.append("one", many, token=lease.token)[-1].seq == 5002
        assert 0 < append() < 1.5 * early


def test_commits_are_durable_and_readers_are_not_locked_out(sqlite_store: Store) -> None:
    with sqlite_store.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL


def test_migrations_make_exactly_the_tables_of_the_schema(store: Store) -> None:
    inspector = inspect(store.engine)
    assert set(inspector.get_table_names()) == {*Base.metadata.tables, "alembic_version"}
    for name, table in Base.metadata.tables.items():
        columns = {c["name"]: bool(c["nullable"]) for c in inspector.get_columns(name)}
        assert columns == {c.name: bool(c.nullable) for c in table.columns}


def test_the_tables_can_be_made_in_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in Base.metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))


def _open_at_once(home: Path, environment: dict[str, str]) -> list[int]:
    script = (
        "import sys; from pathlib import Path; from orchestrator.store.store import Store; "
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
