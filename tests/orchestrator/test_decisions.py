"""What is planned, asked again, believed and advised follows from what was recorded."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.contract.objective import Objective
from agents.contract.protocol import Candidate
from agents.selection.batch import Selected
from oracle.contract.evaluation import Measured, Outcome, Quantity, Unstable
from oracle.materials.superlattice import Superlattice
from orchestrator.campaign import events as ev
from orchestrator.campaign.hints import extension, home_option, resume_command
from orchestrator.campaign.metrics import best_metrics, calibration_of, credits_of, predictions
from orchestrator.campaign.records import Label, Round, Trial
from orchestrator.campaign.state import CampaignState
from orchestrator.config.budget_settings import BudgetSettings, ConfirmationSettings
from orchestrator.rounds.low_fidelity import (
    CandidateQuery,
    accompanying_queries,
    precede_labels,
    query_trials,
)
from orchestrator.rounds.renewal import renewals
from orchestrator.rounds.trial_plans import confirmation_trials, label_trials
from surrogate.fidelities.trust import PRIOR, Trust

OBJECTIVE = Objective(property="conductance", temperature=None, goal="minimize", log=True)
NO_TRUST = Trust(0.0, 0.0, 0.0, 0.0, 1.0, 1.0)


def _outcome(name: str, value: float | None, std: float | None = None) -> Outcome:
    common: dict[str, Any] = {
        "material": Superlattice(sequence=name),
        "fidelity": "table",
        "method": "m",
        "cost_s": 1.0,
        "stage": "lookup",
    }
    if value is None:
        return Unstable(**common)
    return Measured(**common, properties={"conductance": Quantity(value=value, unit="", std=std)})


def _plan(number: int, name: str, **changes: Any) -> ev.TrialPlan:
    values: dict[str, Any] = {
        "id": f"t-{number:04d}",
        "candidate": f"c-{name}",
        "digest": Superlattice(sequence=name).digest,
        "fidelity": "table",
        "method": "m",
        "purpose": "promise",
        "agent": "random",
    }
    return ev.TrialPlan(**(values | changes))


def _state(*trials: Trial, fidelities: tuple[str, ...] = ("cheap", "table")) -> CampaignState:
    """A campaign with these trials, finished or not, and their labels."""
    state = CampaignState(methods={name: f"m-{name}" for name in fidelities})
    state.trials = {trial.plan.id: trial for trial in trials}
    for trial in trials:
        if trial.outcome is not None and trial.plan.fidelity == "table":
            name = trial.plan.candidate
            state.labels[name] = Label(
                name, trial.plan.id, trial.outcome, trial.round, 0, generation=trial.plan.generation
            )
    state.rounds = [
        Round(n, [t.plan.id for t in trials if t.round == n], {}, {})
        for n in sorted({t.round for t in trials})
    ]
    return state


def _done(number: int, name: str, value: float | None, cost: float = 1.0, **changes: Any) -> Trial:
    round_number, std = changes.pop("round", 1), changes.pop("std", None)
    outcome = _outcome(name, value, std)
    plan = _plan(number, name, **changes)
    return Trial(plan, round_number, status="DONE", outcome=outcome, cost_s=cost)


def _healed(generation: int) -> Any:
    return [SimpleNamespace(accepted=True, cost_s=0.0)] * generation


def _selected(name: str, **beliefs: float) -> Selected:
    candidate = Candidate(Superlattice(sequence=name), "evolution", ("c-1",), label=name)
    return Selected(candidate, "promise", **beliefs)


class TestPlans:
    def test_a_belief_is_recorded_whole_or_not_at_all(self) -> None:
        whole = {"mean": 1.0, "epistemic": 0.2, "aleatoric": 0.1, "p_stable": 0.9}
        chosen = [_selected("01", **whole, acquisition=-2.0), _selected("001", mean=1.0)]
        first, second = label_trials(chosen, "table", "digest")
        assert first.belief == ev.Belief(**whole)
        assert (first.acquisition, first.label, first.parents) == (-2.0, "01", ("c-1",))
        assert (first.fidelity, first.method, first.agent) == ("table", "digest", "evolution")
        assert second.belief is None

    def test_leaders_are_confirmed_at_the_next_tighter_settings(self) -> None:
        oracle: Any = SimpleNamespace(
            tightened=lambda level: SimpleNamespace(method_digest=f"tight-{level}")
        )
        belief = ev.Belief(mean=0, epistemic=1, aleatoric=1, p_stable=1)
        state = _state(*(_done(k, f"0{k:b}1", 1.0 + k, belief=belief) for k in range(1, 6)))
        settings_of = ConfirmationSettings(leaders=2)
        plans = confirmation_trials(state, OBJECTIVE, settings_of, oracle, final=True)
        assert [p.candidate for p in plans] == ["c-011", "c-0101"]
        assert {(p.level, p.method, p.purpose) for p in plans} == {(1, "tight-1", "confirm")}
        assert all(p.belief is None for p in plans)  # it was no choice of the surrogate
        none: Any = SimpleNamespace(tightened=lambda level: None)
        assert confirmation_trials(state, OBJECTIVE, settings_of, none, final=True) == []

    def test_after_healing_the_best_of_earlier_weights_are_asked_again(self) -> None:
        state = _state(*(_done(k, f"0{k:b}1", float(k)) for k in range(1, 6)))
        assert renewals(state, OBJECTIVE, "new", 3) == []  # nothing is stale
        state.healings = _healed(1)
        plans = renewals(state, OBJECTIVE, "new", 3)
        assert [p.candidate for p in plans] == ["c-011", "c-0101", "c-0111"]
        assert {(p.purpose, p.method, p.fidelity) for p in plans} == {("renew", "new", "table")}
        assert renewals(state, OBJECTIVE, "new", 0) == renewals(state, OBJECTIVE, "new", -1) == []

    def test_they_are_asked_once_for_each_generation(self) -> None:
        state = _state(_done(1, "01", 1.0), _done(2, "001", 2.0, purpose="renew", generation=1))
        state.healings = _healed(1)
        assert renewals(state, OBJECTIVE, "new", 3) == []
        state.healings = _healed(2)
        assert len(renewals(state, OBJECTIVE, "new", 3)) == 2


def _budget(**changes: Any) -> Any:
    return SimpleNamespace(budget=BudgetSettings(**({"batch": 2} | changes)))


def _look(name: str, fidelity: str = "cheap") -> CandidateQuery:
    return CandidateQuery(_selected(name).candidate, fidelity, 0.5)


class TestLooks:
    def test_they_come_first_where_they_cost_little_beside_a_batch(self) -> None:
        state = _state(_done(1, "01", 1.0, cost=100.0), _done(2, "01", 1.0, 4.0, fidelity="cheap"))
        looks = [_look(name) for name in ("001", "011", "0011", "0111", "00001")]
        # A tenth of two labels of 100 s is 20 s: five looks of 4 s.
        assert precede_labels(state, _budget(cheap_share=0.1), looks)
        assert not precede_labels(state, _budget(cheap_share=0.1), [*looks, _look("00011")])
        assert not precede_labels(state, _budget(cheap_share=0.1), [])

    def test_while_no_cost_is_known_those_next_in_line_are_looked_at(self) -> None:
        chosen = [_selected("01"), _selected("001")]
        reserves = [_selected(f"0{k:b}1") for k in range(4, 20)]
        found = accompanying_queries(_state(), _budget(), {}, chosen, reserves)
        assert [look.candidate.label for look in found[:2]] == ["01", "001"]
        assert len(found) == 4  # two batches of two
        assert {look.fidelity for look in found} == {"cheap"}

    @pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.05, 1), (0.1, 2), (1.0, 2)])
    def test_then_as_far_as_their_share_of_the_cost_allows(
        self, share: float, expected: int
    ) -> None:
        state = _state(
            _done(1, "01", 1.0, cost=100.0),
            _done(2, "01", 1.0, 2.5, fidelity="cheap", purpose="cheap"),
        )
        chosen = [_selected("011"), _selected("001")]
        reserves = [_selected("0001")]
        found = accompanying_queries(state, _budget(cheap_share=share), {}, chosen, reserves)
        assert len(found) == expected

    def test_nothing_is_asked_twice_or_of_a_fidelity_that_says_nothing(self) -> None:
        state = _state(_done(1, "01", 1.0, 0.0, fidelity="cheap", purpose="cheap"))
        chosen = [_selected("01"), _selected("001"), _selected("0001")]
        found = accompanying_queries(state, _budget(), {}, chosen, [], planned=[_look("001")])
        assert [look.candidate.label for look in found] == ["0001"]
        assert accompanying_queries(_state(), _budget(), {"cheap": NO_TRUST}, chosen, []) == []
        assert accompanying_queries(_state(), _budget(), {"cheap": PRIOR}, chosen, []) != []

    def test_their_trials_name_the_oracle_that_answers(self) -> None:
        oracles: Any = {"cheap": SimpleNamespace(method_digest="quick")}
        (plan,) = query_trials([_look("01")], oracles)
        assert (plan.purpose, plan.method, plan.fidelity) == ("cheap", "quick", "cheap")
        assert plan.digest == Superlattice(sequence="01").digest
        assert plan.acquisition == 0.5


def _audit(number: int, z: float, *, scale: float, round_number: int) -> Trial:
    """An audit whose truth lies z stated spreads from its mean."""
    spread = 0.1 * scale
    belief = ev.Belief(mean=0.5, epistemic=0.6 * spread, aleatoric=0.8 * spread, p_stable=1.0)
    return _done(
        number, f"0{number:b}1", 10 ** (0.5 + z * spread), purpose="audit", belief=belief,
        round=round_number,
    )  # fmt: skip


class TestMetrics:
    @given(st.floats(0.1, 100.0), st.floats(0.0, 0.2))
    @settings(max_examples=25, deadline=None)
    def test_the_error_of_the_oracle_adds_to_the_stated_spread(
        self, value: float, relative: float
    ) -> None:
        belief = ev.Belief(mean=0.3, epistemic=0.03, aleatoric=0.04, p_stable=1.0)
        trial = _done(1, "01", value, belief=belief, std=relative * value)
        means, spreads, truths = predictions([trial], OBJECTIVE)
        assert means == [0.3]
        assert truths == pytest.approx([math.log10(value)])
        assert spreads[0] == pytest.approx(math.hypot(0.05, relative / math.log(10)))

    def test_what_has_no_belief_or_no_value_cannot_be_compared(self) -> None:
        belief = ev.Belief(mean=0.3, epistemic=0.03, aleatoric=0.04, p_stable=1.0)
        trials = [_done(1, "01", 2.0), _done(2, "001", None, belief=belief)]
        assert predictions(trials, OBJECTIVE) == ([], [], [])
        assert calibration_of(_state(*trials), OBJECTIVE).trials == 0

    @pytest.mark.parametrize("scale", [0.7, 1.0, 1.5])
    def test_calibration_takes_out_that_of_each_round(self, scale: float) -> None:
        """Spreads that were already widened do not seem wider than they were."""
        z = np.random.default_rng(0).normal(size=60)
        state = _state(*(_audit(k, x, scale=scale, round_number=k) for k, x in enumerate(z, 1)))
        for one in state.rounds:
            one.planned_metrics["calibration_scale"] = scale
        found = calibration_of(state, OBJECTIVE)
        assert found.trials == 60
        assert found.scale == pytest.approx(scale * np.sqrt(np.mean(z**2)), rel=0.1)

    def test_trials_that_were_chosen_do_not_calibrate(self) -> None:
        belief = ev.Belief(mean=0.0, epistemic=1e-3, aleatoric=0.0, p_stable=1.0)
        state = _state(*(_done(k, f"0{k:b}1", 9.0, belief=belief) for k in range(1, 9)))
        assert calibration_of(state, OBJECTIVE).scale == 1.0

    def test_every_finished_call_is_credited_to_its_agent(self) -> None:
        planned = Trial(_plan(9, "0111"), 2)
        confirmed = _done(4, "01", 1.0, purpose="confirm")
        cheap = _done(5, "01", 1.0, fidelity="cheap")
        cancelled = Trial(_plan(6, "00011"), 1, status="CANCELLED")
        state = _state(
            _done(1, "01", 100.0, agent="a"), _done(2, "001", None, agent="b"), planned,
            confirmed, cheap, cancelled,
        )  # fmt: skip
        assert [(c.agent, c.score) for c in credits_of(state, OBJECTIVE)] == [
            ("a", -2.0),
            ("b", None),
        ]
        assert best_metrics(_state(), OBJECTIVE) == {}
        assert best_metrics(state, OBJECTIVE)["best_confirmed"] == 0.0


class TestHints:
    @pytest.fixture(autouse=True)
    def _here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("PHONOSCOUT_HOME", raising=False)

    def test_a_home_is_named_as_it_is_shortest_to_type(self, tmp_path: Path) -> None:
        assert home_option(tmp_path / "phonoscout-home") == ""
        assert home_option(tmp_path / "my home") == " --home 'my home'"
        assert home_option(Path("/elsewhere/home")) == " --home /elsewhere/home"

    def test_what_the_environment_names_need_not_be_typed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PHONOSCOUT_HOME", str(tmp_path / "other"))
        assert home_option(tmp_path / "other") == ""
        assert home_option(tmp_path / "phonoscout-home") == " --home phonoscout-home"

    def test_changes_survive_the_shell(self, tmp_path: Path) -> None:
        command = resume_command(tmp_path / "phonoscout-home", "a b", ["objective.x=[1, 2]"])
        assert command == "phonoscout resume 'a b' --set 'objective.x=[1, 2]'"

    def _extended(self, **budget: Any) -> dict[str, str]:
        state = _state(*(_done(k, f"0{k:b}1", 1.0, cost=900.0, round=k) for k in range(1, 5)))
        state.busy_s = 3600.0
        found = extension(state, _budget(**budget))
        return dict(change.removeprefix("budget.").split("=") for change in found)

    def test_used_up_calls_are_doubled_and_rounds_suffice_for_them(self) -> None:
        assert self._extended(oracle_calls=4) == {"oracle_calls": "8"}
        assert self._extended(oracle_calls=4, rounds=4) == {"oracle_calls": "8", "rounds": "6"}
        assert self._extended(oracle_calls=20) == {}

    def test_what_would_end_it_before_is_raised_too(self) -> None:
        # It used 1 h of cost and 1 h of time.
        found = self._extended(oracle_calls=4, cost_h=1.5, wall_time=3600)
        assert found == {"oracle_calls": "8", "cost_h": "3.0", "wall_time": "2h"}
        generous = self._extended(oracle_calls=4, cost_h=50, wall_time="3d")
        assert generous == {"oracle_calls": "8"}
