"""Shares add up, follow the agents' success and starve no agent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.selection.portfolio import Credit, credits, proportions, shares

NAMES = ("bayesian", "evolution", "random")
histories = st.lists(
    st.builds(
        Credit,
        agent=st.sampled_from((*NAMES, "retired")),
        round=st.integers(1, 9),
        score=st.none() | st.floats(-5, 5),
        purpose=st.sampled_from(("promise", "hole", "audit")),
    ),
    max_size=40,
)


@given(histories, st.integers(0, 30), st.floats(0, 0.5))
def test_shares_sum_to_the_batch(history: list[Credit], batch: int, floor: float) -> None:
    result = shares(NAMES, history, batch, floor=floor)
    assert sum(result.values()) == batch
    assert tuple(result) == NAMES
    assert min(result.values()) >= 0
    assert result == shares(NAMES, history, batch, floor=floor)


@given(histories, st.floats(0, 0.3))
def test_no_share_falls_below_the_floor(history: list[Credit], floor: float) -> None:
    shares_of = proportions(NAMES, history, floor=floor)
    assert sum(shares_of.values()) == pytest.approx(1.0)
    assert min(shares_of.values()) >= floor - 1e-12


@given(histories)
def test_a_large_batch_follows_the_proportions(history: list[Credit]) -> None:
    wanted = proportions(NAMES, history)
    result = shares(NAMES, history, 400)
    for name in NAMES:
        assert result[name] / 400 == pytest.approx(wanted[name], abs=0.06)


def test_merit_is_rewarded() -> None:
    history = [
        Credit(name, r, score)
        for r in range(1, 6)
        for name, score in (("bayesian", float(r)), ("evolution", 0.1 * r), ("random", None))
    ]
    result = proportions(NAMES, history)
    assert result["bayesian"] > result["evolution"] > result["random"]


def test_old_merit_fades() -> None:
    early = [Credit("evolution", 1, 5.0), Credit("bayesian", 1, 0.0)]
    late = [*early, *(Credit("evolution", r, -1.0) for r in range(8, 12))]
    late += [Credit("bayesian", r, 4.0) for r in range(8, 12)]
    assert proportions(NAMES, early)["evolution"] > proportions(NAMES, early)["bayesian"]
    assert proportions(NAMES, late)["bayesian"] > proportions(NAMES, late)["evolution"]


def test_batches_of_one_starve_no_agent() -> None:
    history: list[Credit] = []
    for number in range(1, 61):
        (name,) = (n for n, count in shares(NAMES, history, 1).items() if count)
        history.append(Credit(name, number, 10.0 + number if name == "bayesian" else None))
    order = [c.agent for c in history]
    for name in NAMES:
        assert all(name in order[i : i + 10] for i in range(51))
    assert order.count("bayesian") > order.count("random")


def test_credit_counts_ranks_and_new_bests() -> None:
    history = [Credit("a", 1, 1.0), Credit("a", 1, None), Credit("a", 2, 3.0), Credit("a", 2, 2.0)]
    assert credits(history) == pytest.approx([1 / 3 + 1, 0.0, 1 + 1, 2 / 3])


def test_audits_are_not_credited() -> None:
    history = [Credit("bayesian", 1, 2.0), Credit("random", 1, 1.0)]
    lucky = [*history, Credit("random", 2, 9.0, "audit")]
    assert proportions(NAMES, lucky)["bayesian"] > proportions(NAMES, lucky)["random"]


@pytest.mark.parametrize("agents", [(), ("a", "a")])
def test_names_must_be_distinct(agents: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="expected at least one, all different"):
        shares(agents, [], 3)
