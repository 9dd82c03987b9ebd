"""The closed loop: plan a round, run it, record every outcome, and begin again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agents.contract.objective import Objective
from agents.contract.protocol import ProposerFailed
from oracle.contract.evaluation import EVALUATION, Failed, Measured, Outcome, Unstable
from oracle.runtime.own_classes import OwnCodeFailed, blamed_within
from orchestrator.calls.oracle_calls import EvaluationRequest
from orchestrator.campaign import events as ev
from orchestrator.campaign import second_opinion
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.confirmation import judge, unconfirmed
from orchestrator.campaign.metrics import round_metrics
from orchestrator.campaign.state import Trial
from orchestrator.campaign.stopping import (
    SPACE_USED_UP,
    failure_reason,
    is_used_up,
    stop_reason,
    valueless_reason,
)
from orchestrator.executors.protocol import Call, CallFailed, Executor, Reply
from orchestrator.healing.healer import Healer
from orchestrator.rounds.planning import Planner

_POLL_S = 0.5
"""Interval at which stop requests are checked while oracle calls run."""


class Observer(Protocol):
    """Is notified of what happens, after it was recorded: progress display, tracking, plots."""

    def on_change(self, campaign: Campaign, in_flight: dict[str, tuple[str, float]]) -> None:
        """Something was recorded, or time passed."""
        ...

    def on_round(self, campaign: Campaign) -> None:
        """A round is complete and recorded."""
        ...


@dataclass
class Loop:
    """Runs one campaign to its end; all of its decisions can be reproduced from the events.

    Args:
        campaign: open for writing.
        planner: plans rounds.
        executor: runs oracle calls.
        call_for: creates the executor's call for a trial.
        healer: heals the potential between rounds, or None.
        observers: are notified of progress.
        clock: measures the seconds spent planning and running.
        interrupted: whether to raise KeyboardInterrupt as soon as possible.
    """

    campaign: Campaign
    planner: Planner
    executor: Executor
    call_for: Callable[[Trial], Call[EvaluationRequest, Outcome]]
    healer: Healer | None = None
    observers: Sequence[Observer] = ()
    clock: Callable[[], float] = time.perf_counter
    interrupted: Callable[[], bool] = lambda: False

    def run(self) -> ev.Stopped:
        """Work until the campaign is complete, a stop is requested, or too many calls fail."""
        while True:
            state, config = self.campaign.state, self.campaign.config
            if state.open_round is None:
                useless = valueless_reason(state, self.campaign.objective)
                if useless is not None:
                    return self._end("failed", useless)
                if stop_reason(state, config, self.campaign.objective) is None:
                    stopped = self._heal()
                    if stopped is not None:
                        return stopped
                reason = stop_reason(state, config, self.campaign.objective)
                began = self.clock()
                try:
                    with blamed_within(config.space.kind):
                        plan = self.planner.plan(self.campaign, final=reason is not None)
                except (CallFailed, OwnCodeFailed, ProposerFailed) as error:
                    return self._end("failed", f"planning a round: {error}")
                if plan is None:
                    return self._finish(self._completion_reason(reason))
                seconds = {"seconds_planning": self.clock() - began}
                event = plan.event.model_copy(
                    update={"metrics": plan.event.metrics | plan.seconds | seconds}
                )
                self.campaign.record(event, candidates=plan.candidates)
            stopped = self._run_round()
            if stopped is not None:
                return stopped

    def _run_round(self) -> ev.Stopped | None:
        """Run all trials of the open round; after a stop, those that are left run on resume."""
        began = self.clock()
        self._reuse_stored()
        in_flight: set[str] = set()
        while True:
            waiting = [t for t in self._open_trials() if t.status == "PROPOSED"]
            if not waiting and not in_flight:
                break
            self._submit(waiting[: max(0, self.executor.slots - len(in_flight))], in_flight)
            self._notify()  # a serial executor runs a whole call before it returns the reply
            reply = self.executor.next_reply(timeout=_POLL_S)
            if reply is not None:
                in_flight.discard(reply.id)
                self._settle(self.campaign.state.trials[reply.id], reply)
                reason = failure_reason(self.campaign.state, self.campaign.config)
                if reason is not None:
                    return self._end("failed", reason)
            self._notify()
            if self.interrupted():
                raise KeyboardInterrupt
            if self._stop_requested():
                return self._end("stopped", "stopped by request")
            if self._out_of_time():
                return self._end("finished", self._time_is_up())
        metrics = round_metrics(self.campaign, self.clock() - began)
        number = self.campaign.state.rounds[-1].number
        self.campaign.record(ev.RoundFinished(round=number, metrics=metrics))
        for observer in self.observers:
            observer.on_round(self.campaign)
        return None

    def _notify(self) -> None:
        for observer in self.observers:
            observer.on_change(self.campaign, self.executor.progress())

    def _heal(self) -> ev.Stopped | None:
        """Heal the potential if that is due; returns the end of the campaign if a call fails.

        No trial is open at that time, so that all trials of a round have the same weights.
        """
        if self.healer is None:
            return None
        try:
            oracles = self.healer.run()
        except CallFailed as error:
            return self._end("failed", f"healing the potential: {error}")
        if oracles is not None:
            self.planner.use(oracles)
        return None

    def _open_trials(self) -> list[Trial]:
        """Trials of the open round, and trials of any round whose failures were forgotten."""
        return [t for t in self.campaign.state.trials.values() if not t.is_finished]

    def _submit(self, trials: Sequence[Trial], in_flight: set[str]) -> None:
        if not trials:
            return
        self.campaign.record(ev.TrialStarted(trials=tuple(t.plan.id for t in trials)))
        for trial in trials:
            in_flight.add(trial.plan.id)
            self.executor.submit(self.call_for(trial))

    def _reuse_stored(self) -> None:
        """Complete trials whose outcome is stored, so that nothing is evaluated twice."""
        for trial in self._open_trials():
            if trial.status != "PROPOSED":
                continue
            outcome = self.campaign.stored_outcome(trial.plan.digest, trial.plan.method)
            if outcome is not None:
                self._record_outcome(trial, outcome, {"reused": True}, stored=True)

    def _settle(self, trial: Trial, reply: Reply) -> None:
        """Record the result of an attempt: an outcome, or that another attempt will follow."""
        outcome = _outcome_of(reply, trial, self.campaign)
        times = {
            "submitted": reply.submitted,
            "started": reply.started,
            "finished": reply.finished,
        }
        retry = trial.failures + 1 < self.campaign.config.executor.attempts
        if isinstance(outcome, Failed) and not outcome.permanent and retry:
            self.campaign.record(
                ev.TrialRequeued(trial=trial.plan.id, stage=outcome.stage, message=outcome.message)
            )
            return
        outcome = _settled(outcome, trial)
        stored = isinstance(outcome, Failed) and not outcome.permanent
        self._record_outcome(trial, outcome, times, stored=stored)

    def _record_outcome(
        self,
        trial: Trial,
        outcome: Measured | Unstable | Failed,
        extra: dict[str, Any],
        *,
        stored: bool,
    ) -> None:
        """Record in one transaction the event, the verdict on a leader, and the evaluation.

        The evaluation itself is left out with `stored`: it is stored already, or is not to be.
        """
        events: list[ev.Event] = []
        answer = usable(outcome, self.campaign.objective)
        if isinstance(answer, Failed):
            events.append(ev.TrialFailed(trial=trial.plan.id, failure=answer, **extra))
        else:
            events.append(
                ev.TrialDone(
                    trial=trial.plan.id, status=answer.status, cost_s=answer.cost_s, **extra
                )
            )
        if trial.plan.purpose == "confirm":
            label = self.campaign.state.labels[trial.plan.candidate]
            settings = self.campaign.config.confirmation
            verdict = judge(label, answer, self.campaign.objective, settings, trial.plan.id)
            events += [] if verdict is None else [verdict]
        if trial.plan.purpose == "opinion":
            events.append(self._opinion(trial, answer))
        self.campaign.record(*events, evaluations=[] if stored else [outcome])

    def _opinion(self, trial: Trial, answer: Outcome) -> ev.SecondOpinion:
        """What a second potential says of a confirmed leader."""
        config = self.campaign.config
        # Only the labels of a space of prototypes are families; those of a pool are the user's.
        family = trial.plan.label if config.space.kind == "prototypes" else None
        return second_opinion.judge(
            self.campaign.state.labels[trial.plan.candidate],
            answer,
            self.campaign.objective,
            config.confirmation,
            trial.plan,
            family,
        )

    def _stop_requested(self) -> bool:
        return self.campaign.store.stop_requested(self.campaign.name)

    def _out_of_time(self) -> bool:
        limit = self.campaign.config.budget.wall_time
        return limit is not None and self.campaign.state.busy_until(time.time()) >= limit

    def _finish(self, reason: str) -> ev.Stopped:
        """End as complete, unless too many calls have failed, however few calls there were."""
        failure = failure_reason(self.campaign.state, self.campaign.config, enough=1)
        return self._end("finished", reason) if failure is None else self._end("failed", failure)

    def _time_is_up(self) -> str:
        """The reason why planned trials are not run."""
        limit = self.campaign.config.budget.wall_time
        waiting = len([t for t in self._open_trials() if not t.is_finished])
        return f"budget.wall_time: all {limit:g} s are used, {waiting} planned trials are left"

    def _completion_reason(self, reason: str | None) -> str:
        """All reasons why the campaign does not go on."""
        state, settings = self.campaign.state, self.campaign.config.confirmation
        reasons = [] if reason is None else [reason]
        if reason is None or is_used_up(self.planner.space, state):
            reasons.append(SPACE_USED_UP)
        count = len(unconfirmed(state, self.campaign.objective, settings))
        if count:
            reasons.append(
                f"confirmation.max_calls: all {settings.max_calls} are used, {count} of the best "
                f"{settings.leaders} are not confirmed"
            )
        return "; ".join(reasons)

    def _end(self, state: Any, reason: str) -> ev.Stopped:
        stopped = ev.Stopped(state=state, reason=reason)
        self.campaign.record(stopped)
        return stopped


def _settled(outcome: Measured | Unstable | Failed, trial: Trial) -> Measured | Unstable | Failed:
    """The outcome; an unexpected failure becomes permanent if the previous attempt ended alike."""
    if isinstance(outcome, Failed) and outcome.unexpected and trial.failures > 0:
        repeated = trial.last_error == f"{outcome.stage}: {outcome.message}"
        return outcome.model_copy(update={"permanent": repeated})
    return outcome


def usable(
    outcome: Measured | Unstable | Failed, objective: Objective
) -> Measured | Unstable | Failed:
    """The outcome, or a failure where its value of an objective cannot be learned from.

    The evaluation itself is stored unchanged, since it may be useful for another objective.
    """
    if not isinstance(outcome, Measured):
        return outcome
    problem = next((p for one in objective.all if (p := one.problem(outcome)) is not None), None)
    if problem is None:
        return outcome
    common = outcome.model_dump(
        include={"fidelity", "method", "cost_s", "stage", "provenance", "environment", "artefacts"}
    )
    return Failed(material=outcome.material, message=problem, permanent=True, **common)


def _outcome_of(reply: Reply, trial: Trial, campaign: Campaign) -> Measured | Unstable | Failed:
    """The outcome in a reply; an attempt without an answer becomes a transient `Failed`."""
    error = reply.error or f"the call ended as {reply.kind!r} without an answer"
    if reply.kind == "ok" and reply.value is not None:
        outcome = EVALUATION.validate_python(reply.value)
        if outcome.method == trial.plan.method:
            return outcome
        error = (
            "the worker's method is not the campaign's (another version of the potential or of its "
            "source); stop the campaign and restore it"
        )
    seconds = 0.0
    if reply.finished is not None and reply.started is not None:
        seconds = reply.finished - reply.started
    return Failed(
        material=campaign.store.candidate(trial.plan.candidate).material,
        fidelity=trial.plan.fidelity,
        method=trial.plan.method,
        cost_s=seconds,
        stage="worker",
        message=error,
        permanent=False,
    )
