"""Several objectives: fronts, volumes, and the candidates that enlarge them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from botorch.utils.multi_objective.hypervolume import Hypervolume
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.acquisition.hypervolume import (
    log_expected_improvement,
    ranked_by_front,
    reference_point,
)
from agents.contract.objective import Objective
from agents.contract.pareto import (
    crowding_distances,
    front_numbers,
    overall_scores,
    score_vectors,
)
from agents.spaces.prototype_table import prototype
from oracle.contract.evaluation import Measured, Outcome, Quantity, Unstable
from surrogate.contract.protocol import Posterior

MODULUS = Objective("bulk_modulus", None, "maximize", log=False)
BOTH = Objective("kappa", 300.0, "minimize", further=(MODULUS,))
SALT = prototype("rocksalt").decorate(("Na", "Cl"))
TABLES = arrays(
    float, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.integers(-9, 9).map(float)
)


def outcome(kappa: float | None, modulus: float | None) -> Outcome:
    properties = {}
    if kappa is not None:
        properties["kappa"] = Quantity(value=[kappa], unit="W/m/K", per_temperature=True)
    if modulus is not None:
        properties["bulk_modulus"] = Quantity(value=modulus, unit="GPa")
    return Measured(
        material=SALT, fidelity="bte", method="m", cost_s=1.0, stage="bte",
        temperature=(300.0,), properties=properties,
    )  # fmt: skip


def hypervolume(scores: np.ndarray, reference: np.ndarray) -> float:
    front = torch.as_tensor(scores[front_numbers(scores) == 1])
    return float(Hypervolume(torch.as_tensor(reference)).compute(front))


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a >= b).all() and (a > b).any())


@given(TABLES)
def test_fronts_are_what_their_definition_says(scores: np.ndarray) -> None:
    numbers = front_numbers(scores)
    assert numbers.min() == 1
    for i, one in enumerate(scores):
        above = [numbers[j] for j, other in enumerate(scores) if dominates(other, one)]
        assert numbers[i] == max(above, default=0) + 1


@settings(deadline=None)
@given(TABLES)
def test_only_the_first_front_makes_the_volume(scores: np.ndarray) -> None:
    reference = reference_point(scores)
    corner = torch.as_tensor(reference)
    whole = float(Hypervolume(corner).compute(torch.as_tensor(np.unique(scores, axis=0))))
    assert whole == pytest.approx(hypervolume(scores, reference))
    assert whole >= 0


def test_a_volume_that_is_known() -> None:
    scores = np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 1.0]])
    assert hypervolume(scores, np.zeros(2)) == pytest.approx(1 * 3 + 1 * 2)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_expected_improvement_is_the_mean_over_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    front, mean = rng.normal(size=(4, 2)), rng.normal(size=(1, 2))
    spread = rng.uniform(0.3, 1.0, size=(1, 2))
    reference = reference_point(front)
    before = hypervolume(front, reference)
    draws = mean + spread * rng.standard_normal((4000, 2))
    gains = [hypervolume(np.vstack([front, d]), reference) - before for d in draws]
    expected = float(np.exp(log_expected_improvement(mean, spread, front, reference))[0])
    error = np.std(gains) / np.sqrt(len(gains))
    assert expected == pytest.approx(np.mean(gains), abs=5 * error + 1e-4)


def test_scores_of_outcomes() -> None:
    outcomes = [outcome(10.0, 50.0), outcome(1.0, 20.0), outcome(20.0, 40.0), outcome(2.0, None)]
    outcomes.append(
        Unstable(material=SALT, fidelity="bte", method="m", cost_s=1.0, stage="stability")
    )
    vectors = score_vectors(BOTH, outcomes)
    assert vectors[0] is not None
    assert vectors[0].tolist() == pytest.approx([-1.0, 50.0])
    assert vectors[3] is None
    assert vectors[4] is None
    overall = overall_scores(BOTH, outcomes)
    assert overall[3] is None
    # Neither of the first two dominates the other; the third is dominated.
    assert overall[0] is not None
    assert overall[1] is not None
    assert int(np.floor(overall[0])) == int(np.floor(overall[1])) == -1
    assert overall[2] == -2
    plain = Objective("kappa", 300.0)
    assert overall_scores(plain, outcomes) == [plain.score_of(one) for one in outcomes]


def _posterior(mean: np.ndarray, spread: float, p_stable: np.ndarray) -> Posterior:
    n, m = mean.shape
    return Posterior(mean, np.tile(spread * np.eye(n), (m, 1, 1)), np.zeros((n, m)), p_stable)


def test_what_enlarges_the_front_comes_first_and_unstable_crystals_last() -> None:
    known = score_vectors(BOTH, [outcome(10.0, 50.0), outcome(1.0, 20.0)])
    table = np.array(known)
    # log10 of kappa and the modulus of four candidates: between both, dominated, far better but
    # unstable, and beyond one end.
    mean = np.array([[0.5, 45.0], [1.5, 10.0], [-2.0, 90.0], [1.0, 80.0]])
    stable = np.array([1.0, 1.0, 1e-6, 1.0])
    order = list(ranked_by_front(_posterior(mean, 0.05, stable), BOTH, table, 4, ()))
    assert set(order[:2]) == {0, 3}
    assert sorted(order) == [0, 1, 2, 3]
    rest = ranked_by_front(_posterior(mean, 0.05, stable), BOTH, table, 9, (0,))
    assert next(rest) == 3


def test_a_batch_spreads_over_the_front() -> None:
    table = np.array([[0.0, 0.0]])
    both = Objective("kappa", 300.0, "maximize", log=False, further=(MODULUS,))
    mean = np.array([[2.0, 0.5], [2.01, 0.5], [0.5, 2.0], [0.5, 2.01]])
    first = list(ranked_by_front(_posterior(mean, 1e-3, np.ones(4)), both, table, 2, ()))
    assert len({0, 1} & set(first)) == len({2, 3} & set(first)) == 1


def test_both_ends_of_a_front_come_first() -> None:
    line = [outcome(10.0 ** (0.1 * k), 10.0 + k) for k in range(11)]
    overall = overall_scores(BOTH, line)
    best = sorted(range(11), key=lambda i: -overall[i])[:2]  # type: ignore[operator]
    assert set(best) == {0, 10}
    distances = crowding_distances(np.array(score_vectors(BOTH, line)))
    assert np.isinf(distances[[0, 10]]).all()
    np.testing.assert_allclose(distances[1:10], 0.4)


def test_hopeless_candidates_are_put_in_order_by_how_far_they_are_from_the_front() -> None:
    front = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    mean = np.array([[-0.9, -0.9], [-0.3, -0.3], [-0.6, -0.5]])
    value = log_expected_improvement(mean, np.full((3, 2), 0.01), front, np.array([-2.0, -2.0]))
    assert np.argsort(-value).tolist() == [1, 2, 0]
