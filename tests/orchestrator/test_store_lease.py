"""One writer per campaign, whatever becomes of the writer before."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from sqlalchemy import text

from orchestrator.store import lease as lease_module
from orchestrator.store.lease import Lease
from orchestrator.store.store import CampaignRunning, LeaseLost, NewEvent, Store


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
        from orchestrator.store.lease import Lease
        from orchestrator.store.store import Store
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


_RACER = """
import sys, time
from pathlib import Path
from orchestrator.store.lease import Lease
from orchestrator.store.store import CampaignRunning, NewEvent, Store
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
        for age, is_alive in ((55.0, True), (65.0, False)):
            with store.engine.begin() as connection:
                connection.execute(
                    text("UPDATE campaigns SET writer_host = 'elsewhere', heartbeat = :beat"),
                    {"beat": time.time() - age},
                )
            assert store.is_running("one") is is_alive


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
