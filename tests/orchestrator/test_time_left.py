"""The time that a campaign will still take is estimated from the durations of its trials."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agents.contract.objective import Objective
from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.superlattice import Superlattice
from orchestrator.campaign import events as ev
from orchestrator.campaign.state import CampaignState, apply
from orchestrator.campaign.time_left import seconds_left
from orchestrator.config.budget_settings import BudgetSettings, ConfirmationSettings

OBJECTIVE = Objective(property="conductance", temperature=None, goal="minimize", log=False)


class History:
    """Applies events to a state one after another."""

    def __init__(self) -> None:
        self.state = CampaignState()
        self.outcomes: dict[tuple[str, str], Any] = {}
        self.add(ev.Created(config={}, inputs={}, methods={"table": "m"}))

    def add(self, event: Any) -> None:
        seq = self.state.seq + 1
        apply(self.state, event, seq=seq, time=float(seq), outcomes=self.outcomes)

    def measure(self, plan: ev.TrialPlan, seconds: float) -> None:
        """Add a trial that took a number of seconds on its worker."""
        self.outcomes[plan.digest, plan.method] = Measured(
            material=Superlattice(sequence=plan.candidate),
            fidelity=plan.fidelity,
            method=plan.method,
            cost_s=seconds,
            stage="lookup",
            properties={"conductance": Quantity(value=seconds, unit="", std=1.0)},
        )
        times = {"submitted": 40.0, "started": 50.0, "finished": 50.0 + seconds}
        self.add(ev.TrialStarted(trials=(plan.id,)))
        self.add(ev.TrialDone(trial=plan.id, status="measured", cost_s=seconds, **times))


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


def _config(**budget: Any) -> Any:
    return SimpleNamespace(
        budget=BudgetSettings(**{"batch": 2, "oracle_calls": 6} | budget),
        confirmation=ConfirmationSettings(leaders=2, max_calls=4),
    )


class TestTimeLeft:
    def _left(self, history: History, slots: int = 2, **budget: Any) -> float | None:
        return seconds_left(
            history.state,
            _config(**budget),
            OBJECTIVE,
            slots=slots,
            running={},
            elapsed=100.0,
        )

    def _measured(self, *seconds: float) -> History:
        history = History()
        plans = [_trial(k, f"{k:04b}") for k in range(1, len(seconds) + 1)]
        history.add(ev.RoundPlanned(round=1, trials=tuple(plans)))
        for plan, each in zip(plans, seconds, strict=True):
            history.measure(plan, each)
        return history

    def test_nothing_is_foreseen_before_anything_was_measured(self) -> None:
        assert self._left(History()) is None

    def test_calls_take_what_they_took_and_confirmations_longer(self) -> None:
        history = self._measured(20.0, 40.0)
        # Four calls of 30 s and two confirmations of 90 s, on two workers.
        assert self._left(history) == pytest.approx(4 * 30 / 2 + 2 * 90 / 2)
        assert self._left(history, slots=1) == pytest.approx(4 * 30 + 2 * 90)

    def test_the_ratio_of_confirmations_is_learned(self) -> None:
        history = self._measured(20.0, 40.0)
        again = _trial(3, "0001", level=1, method="m1", purpose="confirm")
        history.add(ev.RoundPlanned(round=1, trials=(again,)))
        history.measure(again, 100.0)  # five times its first evaluation
        assert self._left(history) == pytest.approx(4 * 30 / 2 + 2 * 150 / 2)

    def test_limits_of_rounds_and_time_count(self) -> None:
        history = self._measured(20.0, 40.0)
        assert self._left(history, rounds=2) == pytest.approx(2 * 30 / 2 + 2 * 90 / 2)
        assert self._left(history, wall_time=130.0) == pytest.approx(30.0)

    def test_an_answer_that_was_known_tells_nothing(self) -> None:
        history = self._measured(20.0)
        history.state.trials["t-0001"].reused = True
        assert self._left(history) is None
