"""The database: durable, append-only, one writer per campaign, readers at any time."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from agents.protocol import Candidate
from oracle.evaluation import Measured, Quantity
from oracle.material import Superlattice
from orchestrator.lease import Lease
from orchestrator.schema import Base
from orchestrator.store import (
    CampaignExists,
    CampaignRunning,
    LeaseLost,
    NewEvent,
    Store,
    UnknownCampaign,
    UnknownCandidate,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
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
        writer.execute(text("UPDATE campaigns SET stop_requested = 1"))
        assert [e.kind for e in Store(store.home).events("one")] == ["created"]
        assert not store.stop_requested("one")
    assert store.stop_requested("one")


def test_commits_are_durable_and_readers_are_not_locked_out(store: Store) -> None:
    with store.engine.connect() as connection:
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


def test_two_processes_may_open_a_new_home_at_once(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from orchestrator.store import Store; "
        "Store(Path(sys.argv[1])).campaigns()"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "new")]) for _ in range(4)
    ]
    assert [run.wait(timeout=60) for run in runs] == [0, 0, 0, 0]
