"""Suggested commands raise all limits that are used up, and do what they say."""

from __future__ import annotations

from typing import Any

import pytest

CONFIRMED = {"kind": "replay", "table": "table.jsonl", "column": "conductance",
             "std_column": "std", "confirm_column": "better"}  # fmt: skip


@pytest.mark.parametrize(
    ("budget", "named"),
    [
        ({"batch": 4, "oracle_calls": 8}, {"oracle_calls": "16"}),
        ({"batch": 4, "oracle_calls": 8, "rounds": 2}, {"oracle_calls": "16", "rounds": "4"}),
        ({"batch": 4, "oracle_calls": 20, "rounds": 2}, {"rounds": "5"}),
        ({"batch": 3, "oracle_calls": 8, "rounds": 4}, {"oracle_calls": "16", "rounds": "6"}),
        ({"batch": 4, "oracle_calls": 8, "rounds": 9}, {"oracle_calls": "16"}),
        ({"batch": 4, "oracle_calls": 8, "wall_time": "1h"}, {"oracle_calls": "16"}),
        (
            {"batch": 4, "oracle_calls": 64, "rounds": 2, "min_gain": 100.0},
            {"rounds": "16", "min_gain": "null"},
        ),
    ],
)
def test_the_hint_extends_the_campaign(desk: Any, budget: Any, named: dict[str, str]) -> None:
    ended = desk("launch", desk.config(budget=budget)).stdout
    before = desk.document("status", "layers")
    (words,) = desk.hints(ended)
    changes = dict(w.removeprefix("budget.").split("=") for w in words if w.startswith("budget."))
    assert changes == named
    if "min_gain" not in named:
        for key in ("oracle_calls", "rounds"):
            used_up = key in named and budget.get(key) in (8, 2)
            assert (f"budget.{key}" in before["stop_reason"]) == used_up
    desk(*words)
    after = desk.document("status", "layers")
    assert after["oracle_calls"] >= min(2 * before["oracle_calls"], 16)


def test_a_cost_that_is_used_up_is_named_and_raised(desk: Any) -> None:
    oracle = {
        "kind": "replay",
        "table": "table.jsonl",
        "fidelities": {"only": {"column": "conductance", "cost_s": 900}},
    }
    budget = {"batch": 2, "oracle_calls": 60, "cost_h": 1.0}
    ended = desk("launch", desk.config(oracle=oracle, budget=budget)).stdout
    assert "budget.cost_h: 1 of 1 h are used" in ended
    (words,) = desk.hints(ended)
    assert "budget.cost_h=2.0" in words
    desk(*words)
    assert desk.document("status", "layers")["oracle_calls"] == 8


def test_a_time_that_is_used_up_is_named_and_raised(desk: Any) -> None:
    ended = desk("launch", desk.config(budget={"batch": 4, "oracle_calls": 8, "wall_time": 1e-3}))
    assert "budget.wall_time" in ended.stdout
    (words,) = desk.hints(ended.stdout)
    assert next(w for w in words if w.startswith("budget.")).startswith("budget.wall_time=")
    before = desk.document("status", "layers")["oracle_calls"]
    desk(*words)
    assert desk.document("status", "layers")["oracle_calls"] > before


def test_nothing_extends_a_space_that_is_used_up(desk: Any) -> None:
    desk.designs = desk.designs[:8]
    ended = desk("launch", desk.config()).stdout
    assert "budget.oracle_calls: all 8 are used; the space is used up" in ended
    assert desk.hints(ended) == []


def _confirmation(calls: int) -> dict[str, Any]:
    return {"leaders": 3, "max_calls": calls, "each_round": False}


def test_an_extension_confirms_its_new_leaders(desk: Any) -> None:
    table = {d: {"conductance": 20.0 + i, "better": 20.0 + i} for i, d in enumerate(desk.designs)}
    config = desk.config(table, oracle=CONFIRMED, confirmation=_confirmation(3))
    ended = desk("launch", config).stdout
    assert desk.document("status", "layers")["confirmations"] == 3
    first = desk.document("best", "layers", "-k", "3")
    desk(*desk.hints(ended)[0])
    second = desk.document("best", "layers", "-k", "3")
    assert {row["candidate"] for row in first} != {row["candidate"] for row in second}
    assert [row["confirmed"] for row in second] == [True] * 3
    assert [row["value"] for row in second] == sorted((r["value"] for r in second), reverse=True)


def test_leaders_for_whose_confirmation_no_calls_are_left_are_told(desk: Any) -> None:
    ended = desk("launch", desk.config(oracle=CONFIRMED, confirmation=_confirmation(2))).stdout
    assert "confirmation.max_calls: all 2 are used, 1 of the best 3 are not confirmed" in ended
    extend, confirm = desk.hints(ended)
    assert "budget.oracle_calls=16" in extend
    assert confirm[-1] == "confirmation.max_calls=4"
    again = desk(*confirm).stdout
    assert "confirmation.max_calls" not in again
    rows = desk.document("best", "layers", "-k", "3")
    assert [row["confirmed"] for row in rows] == [True] * 3
    assert desk.document("status", "layers")["oracle_calls"] == 8


def test_a_target_that_an_unconfirmed_candidate_meets_is_confirmed_first(desk: Any) -> None:
    """A candidate whose value changes when it is confirmed does not end the campaign."""
    lie = {d: {"conductance": 3.0, "better": 6.0} for d in desk.designs[::2]}
    truth = {d: {"conductance": 9.0, "better": 9.0} for d in desk.designs[1::2]}
    last = {desk.designs[-1]: {"conductance": 3.0, "better": 3.0}}
    ended = desk(
        "launch",
        desk.config(
            lie | truth | last,
            objective={"property": "conductance", "goal": "target", "target": 3.0},
            oracle=CONFIRMED,
            budget={"batch": 4, "oracle_calls": 64},
            confirmation={"leaders": 2, "max_calls": 99, "each_round": False},
        ),
    ).stdout
    assert "target met: 3 where 3 was sought" in ended
    best = desk.document("best", "layers")[0]
    assert (best["value"], best["confirmed"]) == (3.0, True)
    assert desk.hints(ended) == []


def test_a_campaign_whose_calls_fail_says_how_to_go_on(desk: Any, lookups_fail: Any) -> None:
    answered = set(desk.designs[61::2])
    lookups_fail(lambda sequence: sequence not in answered)
    ended = desk("launch", desk.config({}), code=1).stdout
    (words,) = desk.hints(ended)
    desk(*words)
    assert desk.document("status", "layers")["oracle_calls"] == 8
