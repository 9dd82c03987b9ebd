"""The state of a campaign follows from its events."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from agents.contract.objective import Objective
from oracle.contract.evaluation import Failed, Measured, Quantity, Unstable
from oracle.materials.superlattice import Superlattice
from orchestrator.campaign import events as ev
from orchestrator.campaign.confirmation import judge, level_for, to_confirm
from orchestrator.campaign.ranking import leaders, ranking
from orchestrator.campaign.state import CampaignState, apply
from orchestrator.campaign.stopping import failure_reason
from orchestrator.config.budget_settings import BudgetSettings, ConfirmationSettings
from orchestrator.presentation.rendering import console
from orchestrator.running.runner import _warn_of_trials_left

OBJECTIVE = Objective(property="conductance", temperature=None, goal="minimize", log=False)


class History:
    """Creates events one after another and applies them to a state."""

    def __init__(self) -> None:
        self.state = CampaignState()
        self.outcomes: dict[tuple[str, str], Any] = {}
        self.clock = 0.0
        self.add(ev.Created(config={}, inputs={}, methods={"cheap": "mc", "table": "m"}))
        self.add(ev.Opened(host="h", pid=1))

    def add(self, event: Any, after: float = 1.0) -> None:
        self.clock += after
        apply(self.state, event, seq=self.state.seq + 1, time=self.clock, outcomes=self.outcomes)

    def plan(self, number: int, *trials: ev.TrialPlan) -> None:
        self.add(ev.RoundPlanned(round=number, trials=trials))

    def measure(self, plan: ev.TrialPlan, value: float | None, std: float | None = None) -> None:
        outcome = _outcome(plan, value, std)
        self.outcomes[plan.digest, plan.method] = outcome
        self.add(ev.TrialStarted(trials=(plan.id,)))
        self.add(ev.TrialDone(trial=plan.id, status=outcome.status, cost_s=2.0))


def _outcome(plan: ev.TrialPlan, value: float | None, std: float | None) -> Measured | Unstable:
    common: dict[str, Any] = {
        "material": Superlattice(sequence=plan.candidate),
        "fidelity": plan.fidelity,
        "method": plan.method,
        "cost_s": 2.0,
        "stage": "lookup",
    }
    if value is None:
        return Unstable(**common)
    return Measured(**common, properties={"conductance": Quantity(value=value, unit="", std=std)})


def _trial(number: int, candidate: str, **changes: Any) -> ev.TrialPlan:
    values: dict[str, Any] = {
        "id": f"t-{number:04d}",
        "candidate": candidate,
        "digest": candidate,
        "fidelity": "table",
        "method": "m",
        "purpose": "promise",
        "agent": "random",
    }
    return ev.TrialPlan(**(values | changes))


def _confirm(number: int, candidate: str, level: int) -> ev.TrialPlan:
    return _trial(number, candidate, level=level, method=f"m{level}", purpose="confirm")


def test_a_trial_left_running_by_a_crash_goes_back_in_line() -> None:
    history = History()
    history.plan(1, _trial(1, "01"), _trial(2, "10"))
    history.add(ev.TrialStarted(trials=("t-0001", "t-0002")))
    history.add(ev.Opened(host="h", pid=2))
    assert [t.status for t in history.state.trials.values()] == ["PROPOSED", "PROPOSED"]
    assert [t.failures for t in history.state.trials.values()] == [0, 0]


def test_evaluations_come_in_planning_order_whatever_ends_first() -> None:
    history = History()
    plans = [_trial(i, f"{i:03b}") for i in range(1, 5)]
    history.plan(1, *plans)
    for plan in reversed(plans):
        history.measure(plan, float(plan.id[-1]))
    formulas = [e.material.formula for e in history.state.evaluations()]
    assert formulas == [plan.candidate for plan in plans]


def test_cheaper_fidelities_do_not_count_as_oracle_calls() -> None:
    history = History()
    cheap = _trial(2, "10", fidelity="cheap", method="mc", purpose="cheap")
    history.plan(1, _trial(1, "01"), cheap)
    history.measure(cheap, 0.1)
    assert len(history.state.objective_trials()) == 1
    assert ranking(history.state, OBJECTIVE) == []
    assert len(history.state.low_fidelity_evaluations()) == 1


def test_ranking_puts_confirmed_candidates_first_and_leaves_unstable_ones_out() -> None:
    history = History()
    history.plan(1, *[_trial(i, c) for i, c in enumerate(("00", "01", "10"), start=1)])
    for number, (candidate, value) in enumerate([("00", 1.0), ("01", 2.0), ("10", None)], start=1):
        history.measure(_trial(number, candidate), value, 0.5)
    history.plan(1, _confirm(4, "01", 1))
    history.measure(_confirm(4, "01", 1), 2.1, 0.1)
    history.add(
        ev.Confirmation(
            trial="t-0004", candidate="01", before=2.0, after=2.1, allowed=1.0, verdict="confirmed"
        )
    )
    rows = ranking(history.state, OBJECTIVE)
    assert [(r.rank, r.label.candidate, r.value) for r in rows] == [(1, "01", 2.1), (2, "00", 1.0)]
    assert [r.label.candidate for r in leaders(history.state, OBJECTIVE, 2)] == ["00", "01"]


def test_what_breaks_a_limit_is_listed_last_and_never_leads() -> None:
    history = History()
    history.plan(1, _trial(1, "00"), _trial(2, "01"))
    history.measure(_trial(1, "00"), 1.0, 0.1)
    history.measure(_trial(2, "01"), 2.0, 0.1)
    strict = replace(OBJECTIVE, goal="maximize", limits=(("conductance", 1.5),))
    rows = ranking(history.state, strict)
    assert [(r.rank, r.value, r.refusal is None) for r in rows] == [(1, 1.0, True), (2, 2.0, False)]
    assert "conductance is 2, above the limit of 1.5" in str(rows[1].refusal)
    assert [r.value for r in leaders(history.state, strict, 5)] == [1.0]


@pytest.mark.parametrize(
    ("again", "verdict"),
    [(1.0, "confirmed"), (1.21, "confirmed"), (1.3, "demoted"), (None, "demoted")],
)
def test_a_leader_that_moves_beyond_its_error_is_demoted(again: float | None, verdict: str) -> None:
    history = History()
    history.plan(1, _trial(1, "01"))
    history.measure(_trial(1, "01"), 1.0, 0.1)
    (label,) = to_confirm(history.state, OBJECTIVE, ConfirmationSettings(), final=True)
    plan = _confirm(2, "01", level_for(history.state, label))
    settings = ConfirmationSettings(sigmas=2.0)
    confirmation = judge(label, _outcome(plan, again, 0.05), OBJECTIVE, settings, plan.id)
    assert confirmation is not None
    assert confirmation.verdict == verdict
    history.plan(1, plan)
    history.measure(plan, again, 0.05)
    history.add(confirmation)
    left = to_confirm(history.state, OBJECTIVE, settings, final=True)
    # A demoted leader is evaluated once more at the next level; an unstable one is no leader.
    assert [level_for(history.state, x) for x in left] == ([2] if again == 1.3 else [])
    values = [row.value for row in ranking(history.state, OBJECTIVE)]
    assert values == ([] if again is None else [again])


def test_a_vague_evaluation_confirms_nothing() -> None:
    history = History()
    history.plan(1, _trial(1, "01"))
    history.measure(_trial(1, "01"), 1.0, 0.5)
    (label,) = to_confirm(history.state, OBJECTIVE, ConfirmationSettings(), final=True)
    plan = _confirm(2, "01", 1)
    confirmation = judge(
        label, _outcome(plan, 1.1, 0.5), OBJECTIVE, ConfirmationSettings(), plan.id
    )
    assert confirmation is not None
    assert confirmation.verdict == "demoted"


def test_a_failed_confirmation_says_nothing() -> None:
    history = History()
    history.plan(1, _trial(1, "01"))
    history.measure(_trial(1, "01"), 1.0)
    (label,) = to_confirm(history.state, OBJECTIVE, ConfirmationSettings(), final=True)
    failed = Failed(
        material=Superlattice(sequence="01"),
        fidelity="table",
        method="m1",
        cost_s=0,
        stage="bte",
        message="no memory",
        permanent=False,
    )
    assert judge(label, failed, OBJECTIVE, ConfirmationSettings(), "t-0002") is None


def test_confirmations_respect_their_budget() -> None:
    history = History()
    history.plan(1, *[_trial(i, f"{i:03b}") for i in range(1, 6)])
    for i in range(1, 6):
        history.measure(_trial(i, f"{i:03b}"), float(i))
    few = ConfirmationSettings(leaders=4, max_calls=3)
    assert len(to_confirm(history.state, OBJECTIVE, few, final=True)) == 3
    assert len(to_confirm(history.state, OBJECTIVE, few, final=False)) == 1
    none = ConfirmationSettings(leaders=0)
    assert to_confirm(history.state, OBJECTIVE, none, final=True) == []


def test_a_leader_that_moved_gives_its_place_to_the_next() -> None:
    history = History()
    history.plan(1, *[_trial(i, f"{i:03b}") for i in range(1, 4)])
    for i in range(1, 4):
        history.measure(_trial(i, f"{i:03b}"), float(i), 0.01)
    settings = ConfirmationSettings(leaders=1)
    for level, expected in ((1, ["001"]), (2, ["001", "010"])):
        labels = to_confirm(history.state, OBJECTIVE, settings, final=True)
        assert [x.candidate for x in labels] == expected
        plan = _confirm(10 + level, "001", level_for(history.state, labels[0]))
        verdict = judge(labels[0], _outcome(plan, 1.0, 0.9), OBJECTIVE, settings, plan.id)
        assert verdict is not None
        history.plan(1, plan)
        history.measure(plan, 1.0, 0.9)
        history.add(verdict)
    assert [x.candidate for x in to_confirm(history.state, OBJECTIVE, settings, final=True)] == [
        "010"
    ]


def test_steering_cancels_what_was_decided_but_not_begun() -> None:
    history = History()
    history.plan(1, _trial(1, "01"), _trial(2, "10"))
    history.add(ev.TrialStarted(trials=("t-0001",)))
    history.add(ev.Opened(host="h", pid=2))
    history.add(ev.Steered(changes={"budget.batch": (1, 2)}, config={}))
    assert [t.status for t in history.state.trials.values()] == ["PROPOSED", "PROPOSED"]
    history.add(ev.Steered(changes={"agents.0.kind": ("random", "bayesian")}, config={}))
    # The first trial had been started before.
    assert [t.status for t in history.state.trials.values()] == ["PROPOSED", "CANCELLED"]


def test_time_at_rest_does_not_count() -> None:
    history = History()
    history.plan(1, _trial(1, "01"))
    history.add(ev.Stopped(state="stopped", reason="by request"), after=5.0)
    busy = history.state.busy_s
    history.add(ev.Opened(host="h", pid=2), after=1000.0)
    history.plan(2, _trial(2, "10"))
    assert history.state.busy_s == busy + 1.0


def test_a_campaign_that_only_fails_stops() -> None:
    history = History()
    config: Any = type("Config", (), {})()
    config.executor = type("Executor", (), {"max_failure_share": 0.5})()
    config.budget = BudgetSettings()
    history.plan(1, *[_trial(i, f"{i:03b}") for i in range(1, 5)])
    for i in range(1, 5):
        assert failure_reason(history.state, config) is None
        failure = Failed(
            material=Superlattice(sequence="1"),
            fidelity="table",
            method="m",
            cost_s=0,
            stage="relax",
            message="it broke",
            permanent=True,
        )
        history.add(ev.TrialFailed(trial=f"t-{i:04d}", failure=failure))
    assert failure_reason(history.state, config) == (
        "4 of 4 oracle calls failed; the last: relax: it broke"
    )


def test_events_survive_their_storage_form() -> None:
    for event in (
        ev.Steered(changes={"budget.batch": (1, 2)}, config={"a": [1, None]}),
        ev.RoundPlanned(round=1, trials=(_trial(1, "01"),), metrics={"best": 1.0}),
    ):
        stored = event.model_dump(mode="json", exclude={"kind"})
        assert ev.EVENT.validate_python({**stored, "kind": event.kind}) == event
    newer = {"kind": "round_finished", "round": 1, "metrics": {}, "added_later": True}
    assert ev.EVENT.validate_python(newer) == ev.RoundFinished(round=1, metrics={})


def test_what_is_known_within_a_factor_of_several_comes_last_even_if_confirmed() -> None:
    positive = replace(OBJECTIVE, log=True)
    history = History()
    history.plan(1, *[_trial(i, c) for i, c in enumerate(("00", "01", "10"), start=1)])
    errors = [("00", 1.0, 0.95), ("01", 2.0, 0.9), ("10", 3.0, None)]
    for number, (candidate, value, std) in enumerate(errors, start=1):
        history.measure(_trial(number, candidate), value, std)
    history.add(
        ev.Confirmation(
            trial="t-0001", candidate="00", before=1.0, after=1.1, allowed=1.0, verdict="confirmed"
        )
    )
    assert [r.label.candidate for r in ranking(history.state, positive)] == ["01", "10", "00"]
    # A number that may be zero has no relative error.
    assert [r.label.candidate for r in ranking(history.state, OBJECTIVE)] == ["00", "01", "10"]


def test_a_trial_that_ran_at_every_sudden_end_is_known() -> None:
    """The process may have been ended by the trial's calculator; an interrupt is no sudden end."""
    history = History()
    history.plan(1, _trial(1, "01"), _trial(2, "10"))
    for _ in range(2):
        history.add(ev.TrialStarted(trials=("t-0001",)))
        history.add(ev.Opened(host="h", pid=2))
    history.add(ev.TrialStarted(trials=("t-0001", "t-0002")))
    history.add(ev.Stopped(state="interrupted", reason="interrupted"))
    history.add(ev.Opened(host="h", pid=3))
    assert [t.left for t in history.state.trials.values()] == [2, 0]
    assert [t.failures for t in history.state.trials.values()] == [0, 0]


@pytest.mark.parametrize(("kind", "warned"), [("serial", True), ("ray", False)])
def test_such_a_trial_is_named_on_resume(
    kind: str, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    history = History()
    history.plan(1, _trial(1, "01"), _trial(2, "10"))
    for _ in range(2):
        history.add(ev.TrialStarted(trials=("t-0001",)))
        history.add(ev.Opened(host="h", pid=2))
    store = SimpleNamespace(formulas=lambda names: dict.fromkeys(names, "NaCl"))
    executor = SimpleNamespace(kind=kind)
    campaign: Any = SimpleNamespace(
        config=SimpleNamespace(executor=executor), state=history.state, store=store
    )
    _warn_of_trials_left(campaign, console(stderr=True))
    said = capsys.readouterr().err
    assert ("t-0001 (NaCl) was running each of the 2 times" in said) == warned
    assert "t-0002" not in said
