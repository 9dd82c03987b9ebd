"""When a low-fidelity query is worth its cost, and which materials it rules out."""

from __future__ import annotations

import numpy as np
import pytest

from agents.acquisition.functions import Belief, log_expected_improvement
from agents.acquisition.multi_fidelity import (
    FidelityCost,
    knowledge_gradient,
    ruled_out,
    worthwhile_queries,
)
from agents.contract.objective import Objective
from surrogate.contract.protocol import Posterior

MINIMIZE = Objective()
MEAN, SPREAD = np.array([1.0, 1.1, 1.4, 4.0]), np.array([0.3, 0.3, 0.3, 0.3])
BEST = -0.9  # score of a value of 0.9 on the modelled scale
FREE = np.ones(4, dtype=bool)


def belief(mean: np.ndarray = MEAN, spread: np.ndarray = SPREAD) -> Belief:
    n = len(mean)
    return Belief(mean, np.diag(spread), spread, np.full(n, 0.05), np.ones(n))


def price(correlation: float, cost_s: float = 30.0, n: int = 4) -> FidelityCost:
    return FidelityCost(correlation, cost_s, np.ones(n, dtype=bool))


def queried(correlation: float, *, cost_s: float = 30.0, label_s: float = 36000.0) -> list[int]:
    chosen = worthwhile_queries(
        belief(),
        MINIMIZE,
        best=BEST,
        free=FREE,
        lower={"bte": price(correlation, cost_s)},
        label_s=label_s,
    )
    return [query.at for query in chosen]


def test_a_query_without_correlation_is_worth_nothing() -> None:
    assert np.all(
        knowledge_gradient(belief(), MINIMIZE, best=BEST, correlation=0.0, free=FREE) == 0.0
    )
    assert queried(0.0) == []


def test_informative_and_cheap_queries_are_preferred() -> None:
    assert set(queried(0.9)) == {0, 1, 2}
    assert queried(0.9, cost_s=36000.0) == []  # as expensive as the label itself


def test_queries_become_worthwhile_as_they_become_cheaper() -> None:
    numbers = [len(queried(0.8, cost_s=cost)) for cost in (36000.0, 6000.0, 600.0, 30.0, 1.0)]
    assert numbers == sorted(numbers)
    assert numbers[-1] >= 3


def test_value_grows_with_correlation_and_agrees_with_simulation() -> None:
    values = [
        knowledge_gradient(belief(), MINIMIZE, best=BEST, correlation=r, free=FREE)
        for r in (0.3, 0.6, 0.9)
    ]
    assert np.all(values[0] <= values[1] + 1e-12)
    assert np.all(values[1] <= values[2] + 1e-12)
    rng = np.random.default_rng(0)

    def improvement(mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
        return np.exp(log_expected_improvement(mean, spread, MINIMIZE, BEST))

    now = improvement(MEAN, SPREAD)
    for at in (0, 1):
        mean = MEAN[at] + 0.6 * SPREAD[at] * rng.standard_normal(40_000)
        gain = improvement(mean, np.full(len(mean), 0.8 * SPREAD[at]))
        expected = np.maximum(gain, np.delete(now, at).max()).mean() - now.max()
        assert values[1][at] == pytest.approx(expected, rel=0.1)


def test_each_material_at_the_fidelity_worth_most_per_second() -> None:
    chosen = worthwhile_queries(
        belief(),
        MINIMIZE,
        best=BEST,
        free=FREE,
        lower={"rough": price(0.3, 10.0), "fine": price(0.95, 20.0), "slow": price(0.96, 2e4)},
        label_s=36000.0,
    )
    assert {query.fidelity for query in chosen} == {"fine"}
    assert len({query.at for query in chosen}) == len(chosen)
    values = [query.value for query in chosen]
    assert values == sorted(values, reverse=True)


def test_evaluated_materials_are_not_queried_again() -> None:
    closed = FidelityCost(0.9, 30.0, np.array([False, True, True, True]))
    free = np.array([True, False, True, True])
    chosen = worthwhile_queries(
        belief(), MINIMIZE, best=BEST, free=free, lower={"bte": closed}, label_s=36000.0
    )
    assert {query.at for query in chosen} == {2}


def posterior(mean: np.ndarray, spread: np.ndarray) -> Posterior:
    n = len(mean)
    return Posterior(mean[:, None], np.diag(spread)[None], np.full((n, 1), 0.01), np.ones(n))


@pytest.mark.parametrize("objective", [MINIMIZE, Objective(goal="target", target=1.0)])
def test_only_observed_and_improbable_materials_are_ruled_out(objective: Objective) -> None:
    mean = np.array([0.0, 0.1, 2.0, 2.0, 2.0, 2.1, 2.2, 2.3, 2.4, 2.5])
    spread = np.full(10, 0.1)
    spread[3] = 3.0  # highly uncertain
    observed = np.ones(10, dtype=bool)
    observed[4] = False  # unstable at the lower fidelity, or not evaluated
    out = ruled_out(posterior(mean, spread), objective, observed)
    assert out.tolist() == [False, False, True, False, False, True, True, True, True, True]
