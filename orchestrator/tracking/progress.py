"""The progress display of a running campaign, on stderr, so that stdout stays a document."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType

from rich.console import Console
from rich.live import Live

from oracle.contract.evaluation import unit_of
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.ranking import best_of
from orchestrator.campaign.state import AGAIN, CampaignState, Trial
from orchestrator.campaign.time_left import seconds_left
from orchestrator.executors.protocol import Stages
from orchestrator.executors.watched import Share
from orchestrator.presentation.numbers import with_error
from orchestrator.presentation.progress_frame import Count, Frame, Running, Snapshot
from orchestrator.presentation.rendering import say

_RENEWED_S = 2.0  # how often a complete snapshot is taken while nothing is recorded
_LONG_S = 10.0  # without a display, a phase that lasts longer than this is printed as a line,
_HEARTBEAT_S = 60.0  # and again after every such time
_TICK_S = 0.5
PHASES = {
    "fit": "fitting the surrogate",
    "prior": "estimating the objective from physics",
    "propose": "asking the agents",
    "select": "choosing candidates",
    "screen": "screening",
    "shortlist": "screening the space",
}
"""Names of the planner's stages for people."""
_ITEMS = {"features": "features", "screen": "shards"}
"""What is counted, by the function that workers run, if the phase does not name it."""
_PHASES_OF_ROUNDS = (
    (("promise", "hole", "audit"), "measuring"),
    (("renew",), "measuring again with the new weights"),
    (("cheap",), "low-fidelity queries"),
    (("confirm",), "confirming"),
    (("opinion",), "asking a second potential"),
)
"""What a round with open trials of these purposes is doing; the first line that applies counts."""


@dataclass
class Heartbeat:
    """Decides when a line is printed, if no display can be drawn."""

    phase: tuple[int, str] = (0, "")
    due: float = 0.0

    def line(self, shot: Snapshot, now: float) -> str | None:
        """The line to be printed now, or None."""
        if (shot.round, shot.phase) != self.phase:
            self.phase, self.due = (shot.round, shot.phase), now + _LONG_S
        if now < self.due:
            return None
        self.due = now + _HEARTBEAT_S
        return shot.sentence(now)


class ProgressView:
    """Shows the phase, the running calls with their stages, the best so far, and the time left.

    A terminal shows a display that a thread redraws four times a second from the last snapshot.
    Any other output gets one line per round; a phase that takes long gets a line of its own, and
    another one every minute.

    Args:
        console: console of the display.
        campaign: the campaign that is running.
        slots: returns how many calls run at the same time.
        clock: monotonic clock, seconds.
    """

    def __init__(
        self,
        console: Console,
        campaign: Campaign,
        slots: Callable[[], int] = lambda: 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._campaign = console, campaign
        self._slots, self._clock = slots, clock
        self.snapshot = Snapshot(clock())
        """The snapshot that is shown."""
        self._seen = -1
        self._share: Share | None = None
        self._began: dict[str, float] = {}
        self._names: dict[str, str] = {}
        self._live = Live(
            console=console,
            get_renderable=lambda: Frame(self.snapshot, self._clock()),
            refresh_per_second=4,
            transient=True,
        )
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._end = threading.Event()

    def __enter__(self) -> ProgressView:
        self.snapshot = self._taken("starting", None, {})
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live.start(refresh=True)
        else:
            self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        if self._live.is_started:
            self._live.stop()
        if self._heart.is_alive():
            self._heart.join()

    def say(self, stage: str) -> None:
        """Show what the loop itself is doing (planning, screening, recording)."""
        self.snapshot = self._taken(PHASES.get(stage, stage), None, {})

    def on_share(self, share: Share | None) -> None:
        """Show the progress of work that is not an oracle call; None when it ends."""
        self._share = share
        phase = self.snapshot.phase.partition(":")[0]
        count = None
        if share is not None and share.total > 1:
            item = _ITEMS.get(share.function)
            phase = f"{phase}: {item}" if item else phase
            count = Count(share.done, share.total)
        self.snapshot = replace(self.snapshot, phase=phase, count=count, share=None)

    def on_stages(self, stages: Stages) -> None:
        """Show the stages of the running calls, while the loop waits for them."""
        if self._share is None:
            self.on_change(self._campaign, stages)
        elif self._share.total == 1 and stages:
            self.snapshot = replace(self.snapshot, share=next(iter(stages.values()))[1] or None)

    def on_change(self, campaign: Campaign, in_flight: Stages) -> None:
        """Update the display from the trials of the round."""
        state, now = campaign.state, self._clock()
        phase_and_count = _phase_of_round(state)
        if phase_and_count is None:
            return
        fresh = state.seq == self._seen and now - self.snapshot.taken < _RENEWED_S
        if fresh and self.snapshot.phase == phase_and_count[0]:
            self.snapshot = replace(self.snapshot, running=self._running(in_flight))
        else:
            self.snapshot = self._taken(*phase_and_count, in_flight)

    def on_round(self, campaign: Campaign) -> None:
        """Print one permanent line per round."""
        state = campaign.state
        number = state.rounds[-1].number
        trials = [t for t in state.trials.values() if t.round == number]
        self._print(f"round {number}: {_summary(state, trials)}; best {_best(campaign)}")

    def _print(self, line: str) -> None:
        say(self._console, line)

    def _beat(self) -> None:
        heartbeat = Heartbeat()
        while not self._end.wait(_TICK_S):
            line = heartbeat.line(self.snapshot, self._clock())
            if line is not None:
                self._print(line)

    def _taken(self, phase: str, count: Count | None, in_flight: Stages) -> Snapshot:
        """A new snapshot of the campaign; only the thread that runs the campaign may take one."""
        state, config, now = self._campaign.state, self._campaign.config, self._clock()
        self._seen = state.seq
        running = self._running(in_flight)
        elapsed = state.busy_until(time.time())
        left = seconds_left(
            state,
            config,
            self._campaign.objective,
            slots=self._slots(),
            running={name: now - began for name, began in self._began.items()},
            elapsed=elapsed,
        )
        calls = [t for t in state.objective_trials() if t.status != "CANCELLED"]
        confirming = [t for t in state.of_purpose("confirm") if t.status != "CANCELLED"]
        return Snapshot(
            taken=now,
            round=len(state.rounds) + (state.open_round is None) if state.stopped is None else 0,
            phase=phase,
            count=count,
            calls=Count(_finished(calls), config.budget.oracle_calls),
            confirmations=Count(_finished(confirming), len(confirming)) if confirming else None,
            running=running,
            best=_best(self._campaign),
            elapsed=elapsed,
            left=left if state.stopped is None else None,
        )

    def _running(self, in_flight: Stages) -> tuple[Running, ...]:
        trials = [t for t in self._campaign.state.trials.values() if t.status == "RUNNING"]
        now = self._clock()
        self._began = {t.plan.id: self._began.get(t.plan.id, now) for t in trials}
        unnamed = [t.plan.candidate for t in trials if t.plan.candidate not in self._names]
        if unnamed:
            self._names |= self._campaign.store.formulas(unnamed)
        return tuple(
            Running(
                self._name(trial),
                *in_flight.get(trial.plan.id, ("waiting", 0.0)),
                self._began[trial.plan.id],
            )
            for trial in trials
        )

    def _name(self, trial: Trial) -> str:
        formula, label = self._names.get(trial.plan.candidate, ""), trial.plan.label or ""
        parts = [formula] if formula and formula in label else [formula, label]
        name = " ".join(part for part in parts if part) or trial.plan.candidate
        if trial.plan.potential is not None:
            return f"{name} with {trial.plan.potential}"
        return f"{name}, again" if trial.plan.purpose == "confirm" else name


def _phase_of_round(state: CampaignState) -> tuple[str, Count] | None:
    """The phase of the open round, and how many of its trials are finished; None if it has none."""
    if state.open_round is None:
        return None
    trials = [state.trials[name] for name in state.open_round.trials]
    for purposes, phase in _PHASES_OF_ROUNDS:
        own = [t for t in trials if t.plan.purpose in purposes and t.status != "CANCELLED"]
        if any(not t.is_finished for t in own):
            return phase, Count(_finished(own), len(own))
    return None


def _finished(trials: list[Trial]) -> int:
    return len([t for t in trials if t.is_finished])


def _summary(state: CampaignState, trials: list[Trial]) -> str:
    """``3 measured, 1 unstable, 2 of 3 leaders confirmed``."""
    first = [t for t in trials if t.plan.purpose not in (*AGAIN, "cheap") and t.outcome]
    low_fidelity = [t for t in trials if t.plan.purpose == "cheap" and t.outcome]
    words = [
        f"{count} {word}"
        for word in ("measured", "unstable", "failed")
        if (count := len([t for t in first if t.outcome and t.outcome.status == word]))
    ]
    words += [f"{len(low_fidelity)} low-fidelity queries"] if low_fidelity else []
    leading = {t.plan.candidate for t in trials if t.plan.purpose == "confirm" and t.outcome}
    if leading:
        confirmed = [name for name in leading if state.labels[name].confirmed]
        words.append(f"{len(confirmed)} of {len(leading)} leaders confirmed")
    asked = {t.plan.candidate for t in trials if t.plan.purpose == "opinion" and t.outcome}
    opinions = [o for name in asked if (o := state.labels[name].opinion) is not None]
    if opinions:
        agree = len([o for o in opinions if o.agrees])
        words.append(f"{opinions[0].potential} agrees on {agree} of {len(opinions)}")
    return ", ".join(words) or "nothing new"


def _best(campaign: Campaign) -> str:
    row = best_of(campaign.state, campaign.objective)
    if row is None:
        return "none yet"
    evaluation = row.label.evaluation
    unit = unit_of(evaluation, campaign.objective.property)
    words = []
    if row.label.confirmed:
        words.append("confirmed")
    elif campaign.config.confirmation.leaders:
        words.append("not confirmed yet")
    opinion = row.label.opinion
    if opinion is not None and opinion.agrees is not None:
        verb = "agrees" if opinion.agrees else "disagrees"
        words.append(f"{opinion.potential} {verb}")
    text = f"{evaluation.material.formula} {with_error(row.value, row.std)} {unit}".rstrip()
    return f"{text} ({', '.join(words)})" if words else text
