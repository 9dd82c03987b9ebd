"""A batch holds promising, exploration and audit candidates in the requested shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.acquisition.pool_posterior import SharedSurrogate
from agents.contract.objective import Objective
from agents.contract.protocol import Candidate
from agents.selection.batch import Selection, select, slots
from agents.selection.settings import SelectionSettings
from agents.spaces.finite import FiniteSpace
from oracle.contract.evaluation import Measured, Outcome
from oracle.materials.material import Material
from surrogate.contract.protocol import Surrogate

Measure = Callable[..., Measured]
OBJECTIVE = Objective()


def plan(
    batch: int,
    space: FiniteSpace,
    evaluations: Sequence[Outcome],
    surrogate: Surrogate | None,
    *,
    settings: SelectionSettings = SelectionSettings(hole_share=0.25, audit_share=0.125),  # noqa: B008
    round_number: int = 1,
    admit: Callable[[Material], bool] = lambda material: True,
    seed: int = 0,
    offered: int = 12,
) -> Selection:
    known = {e.material.digest for e in evaluations}
    new = [m for m in space.materials if m.digest not in known]
    proposals = {
        "bayesian": [Candidate(m, "bayesian") for m in new[:offered]],
        "random": [Candidate(m, "random") for m in new[::-1][:offered]],
    }
    return select(
        batch,
        round_number=round_number,
        settings=settings,
        space=space,
        objective=OBJECTIVE,
        evaluations=evaluations,
        pending=[],
        surrogate=surrogate,
        fidelity="bte",
        proposals=proposals,
        shares={"bayesian": 3, "random": 2},
        rng=np.random.default_rng(seed),
        admit=admit,
    )


@given(
    st.integers(1, 9),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
)
def test_fractional_shares_add_up_over_the_rounds(batch: int, hole: float, audit: float) -> None:
    settings = SelectionSettings(hole_share=hole, audit_share=audit)
    rounds = [slots(settings, batch, r) for r in range(1, 41)]
    assert all(sum(r.values()) == batch for r in rounds)
    assert all(min(r.values()) >= 0 for r in rounds)
    assert sum(r["audit"] for r in rounds) == pytest.approx(40 * batch * audit, abs=1.0)
    # Where both are due at once, exploration waits for the next round.
    assert sum(r["hole"] for r in rounds) == pytest.approx(40 * batch * hole, abs=2.0)


def test_the_batch_is_shared(
    crystals: FiniteSpace, measured: Measure, surrogate: Surrogate
) -> None:
    evaluations: list[Outcome] = [measured(m) for m in crystals.materials[:5]]
    surrogate.fit(evaluations)
    selection = plan(8, crystals, evaluations, surrogate)
    purposes = [s.purpose for s in selection.chosen]
    assert purposes == ["promise"] * 5 + ["hole"] * 2 + ["audit"]
    agents = [s.candidate.agent for s in selection.chosen]
    assert sorted(agents[:5]) == ["bayesian"] * 3 + ["random"] * 2
    assert agents[5:] == ["hole", "hole", "audit"]
    ids = [s.candidate.id for s in selection.ranked]
    assert len(ids) == len(set(ids))
    assert len(selection.reserves) == 16
    for chosen in selection.ranked:
        assert chosen.epistemic is not None
        assert chosen.p_stable is not None
        assert chosen.acquisition is not None
        assert np.isfinite(chosen.acquisition)


def test_exploration_is_where_the_surrogate_is_most_uncertain(
    space: FiniteSpace, measured: Measure, surrogate: Surrogate
) -> None:
    evaluations: list[Outcome] = [measured(m) for m in space.materials[:8]]
    surrogate.fit(evaluations)
    selection = plan(8, space, evaluations, surrogate)
    assert selection.exploration_spread is not None
    assert selection.pool_spread is not None
    assert selection.exploration_spread > selection.pool_spread


def test_audits_are_uniform(sequences: FiniteSpace) -> None:
    settings = SelectionSettings(hole_share=0, audit_share=1)
    counts = dict.fromkeys((m.digest for m in sequences), 0)
    for seed in range(500):
        for chosen in plan(4, sequences, [], None, settings=settings, seed=seed).chosen:
            assert chosen.purpose == "audit"
            counts[chosen.candidate.material.digest] += 1
    expected = 500 * 4 / sequences.size
    chi2 = sum((c - expected) ** 2 / expected for c in counts.values())
    assert chi2 < sequences.size + 5 * np.sqrt(2 * sequences.size)


def test_without_a_surrogate_there_is_no_exploration(crystals: FiniteSpace) -> None:
    selection = plan(8, crystals, [], None)
    assert [s.purpose for s in selection.chosen] == ["promise"] * 7 + ["audit"]
    assert selection.pool_spread is None
    assert selection.chosen[0].mean is None


def test_rejected_materials_are_replaced(
    crystals: FiniteSpace, measured: Measure, surrogate: Surrogate
) -> None:
    evaluations: list[Outcome] = [measured(m) for m in crystals.materials[:5]]
    surrogate.fit(evaluations)
    selection = plan(8, crystals, evaluations, surrogate, admit=lambda m: "Na" not in m.formula)
    assert selection.batch == 8
    assert all("Na" not in s.candidate.material.formula for s in selection.ranked)


def test_an_exhausted_space_gives_its_last_members(
    crystals: FiniteSpace, measured: Measure, surrogate: Surrogate
) -> None:
    evaluations: list[Outcome] = [measured(m) for m in crystals.materials[3:]]
    surrogate.fit(evaluations)
    selection = plan(8, crystals, evaluations, surrogate)
    assert selection.batch == 3
    assert {s.candidate.material.digest for s in selection.ranked} == {
        m.digest for m in crystals.materials[:3]
    }
    everything: list[Outcome] = [measured(m) for m in crystals.materials]
    assert plan(8, crystals, everything, surrogate).ranked == ()


def test_selection_is_a_function_of_the_generator(
    space: FiniteSpace, measured: Measure, surrogate: Surrogate
) -> None:
    evaluations: list[Outcome] = [measured(m) for m in space.materials[:5]]
    surrogate.fit(evaluations)
    first, second = (plan(6, space, evaluations, surrogate, seed=4) for _ in range(2))
    assert first == second


def test_the_space_is_predicted_once_for_all_agents(
    crystals: FiniteSpace, measured: Measure, surrogate: Surrogate
) -> None:
    shared = SharedSurrogate(surrogate)
    shared.fit([measured(m) for m in crystals.materials[:5]])
    first, second = (
        shared.posterior(crystals.materials, outputs=[OBJECTIVE.output], fidelity="bte")
        for _ in range(2)
    )
    assert first is second
    shared.fit([measured(m) for m in crystals.materials[:9]])
    third = shared.posterior(crystals.materials, outputs=[OBJECTIVE.output], fidelity="bte")
    assert not np.array_equal(third.mean, first.mean)


def test_a_space_too_large_to_list_is_sampled(crystals: FiniteSpace) -> None:
    rng = np.random.default_rng(0)
    assert crystals.listed(10_000, rng) is crystals.materials
    part = crystals.listed(10, rng)
    assert len({m.digest for m in part}) == 10
