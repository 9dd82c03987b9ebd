"""A resume reads the canonical forms of a pool's crystals, which take long to compute, once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agents.spaces import pool_files


def test_a_second_resume_reads_what_the_first_computed(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk("launch", desk.config())
    assert not (desk.home / "cache" / "pools").exists()  # a launch reads before it writes anything
    desk("resume", "layers", "--set", "budget.oracle_calls=9")
    (kept,) = (desk.home / "cache" / "pools").iterdir()
    assert kept.suffix == ".jsonl"

    def unread(*args: object, **kwargs: object) -> Iterator[Any]:
        raise AssertionError("the pool is read again")

    monkeypatch.setattr(pool_files, "read_pool", unread)
    desk("resume", "layers", "--set", "budget.oracle_calls=10")
    assert desk.document("status", "layers")["oracle_calls"] == 10


def test_a_damaged_copy_is_made_again(desk: Any) -> None:
    desk("launch", desk.config())
    desk("resume", "layers", "--set", "budget.oracle_calls=9")
    (kept,) = (desk.home / "cache" / "pools").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    desk("resume", "layers", "--set", "budget.oracle_calls=10")
    assert kept.read_bytes() == whole
