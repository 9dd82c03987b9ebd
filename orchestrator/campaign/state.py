"""The state of a campaign, computed from its events: pure data, without database or clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from oracle.contract.evaluation import Failed, Outcome
from orchestrator.campaign import events as ev
from orchestrator.campaign.records import Label, Round, Status, Trial

__all__ = ["CampaignState", "Label", "Outcome", "Round", "Status", "Trial", "apply"]

_REPLANNED = ("agents", "surrogate", "constraints", "selection")
"""Settings whose change makes trials obsolete that are planned but were never started."""
_LIMITS = ("budget.oracle_calls", "budget.rounds", "budget.cost_h", "budget.wall_time")
"""Settings that extend a campaign when they are raised."""
AGAIN = ("confirm", "opinion")
"""Purposes of trials that evaluate a leader again, which no change of settings makes obsolete."""
EARLIER = "-earlier"
"""Suffix of the fidelity as which the surrogate learns from evaluations with earlier weights."""


@dataclass
class CampaignState:
    """All that the decisions of the loop depend on; changed only by `apply`."""

    config: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    rounds: list[Round] = field(default_factory=list)
    trials: dict[str, Trial] = field(default_factory=dict)
    """By id, in the order of planning."""
    labels: dict[str, Label] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    screened: dict[str, dict[str, float]] = field(default_factory=dict)
    steered: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """(number of rounds that were planned by then, changes)."""
    hunts: list[ev.HoleHunt] = field(default_factory=list)
    force_labels: dict[str, ev.LabelDone] = field(default_factory=dict)
    """By id, in the order in which they were completed."""
    healings: list[ev.Healing] = field(default_factory=list)
    confirmations_before: int = 0
    """Number of confirmations that were planned before the budget was last raised."""
    stopped: ev.Stopped | None = None
    environment: dict[str, str] = field(default_factory=dict)
    """Library versions of the process that last opened the campaign."""
    seq: int = 0
    created: float = 0.0
    busy_s: float = 0.0
    """Wall time of all processes that worked on it, up to the last event, by the events' times."""
    working_since: float | None = None
    """When the last event was recorded, seconds since the epoch; None while nothing runs."""

    @property
    def objective_fidelity(self) -> str:
        """The fidelity of the objective: the most expensive and last one of the oracle."""
        return list(self.methods)[-1]

    @property
    def open_round(self) -> Round | None:
        """The round that is not complete, if any."""
        return self.rounds[-1] if self.rounds and self.rounds[-1].metrics is None else None

    @property
    def label_rounds(self) -> int:
        """Number of rounds with more than low-fidelity queries; the budget counts these."""
        return sum(
            any(self.trials[name].plan.purpose != "cheap" for name in r.trials) or not r.trials
            for r in self.rounds
        )

    @property
    def generation(self) -> int:
        """How often the potential's weights were replaced."""
        return sum(healing.accepted for healing in self.healings)

    @property
    def weights(self) -> ev.Healing | None:
        """The healing that gave the weights in use; None while they are those of the config."""
        return next((h for h in reversed(self.healings) if h.accepted), None)

    @property
    def open_hunt(self) -> ev.HoleHunt | None:
        """The last hole hunt, while its force labels are incomplete or have not been trained on."""
        if not self.hunts or not self.hunts[-1].labels:
            return None
        healed = self.healings and self.healings[-1].round >= self.hunts[-1].round
        return None if healed else self.hunts[-1]

    def failed(self, *, transient: bool = False) -> list[Trial]:
        """Trials that failed with the weights in use, in the order of planning.

        Args:
            transient: only those that failed for a reason that may be gone in another attempt.
        """
        current = (t for t in self.trials.values() if t.plan.generation == self.generation)
        return [
            t
            for t in current
            if isinstance(t.outcome, Failed) and not (transient and t.outcome.permanent)
        ]

    def busy_until(self, now: float) -> float:
        """Seconds that processes have worked on it, including the time since the last event.

        Args:
            now: seconds since the epoch.
        """
        if self.working_since is None:
            return self.busy_s
        return self.busy_s + max(0.0, now - self.working_since)

    def of_purpose(self, *purposes: str) -> list[Trial]:
        """Trials with one of these purposes, in the order of planning."""
        return [t for t in self.trials.values() if t.plan.purpose in purposes]

    def objective_trials(self) -> list[Trial]:
        """Trials that count as oracle calls: at the objective's fidelity, of no leader again."""
        return [
            t
            for t in self.trials.values()
            if t.plan.fidelity == self.objective_fidelity and t.plan.purpose not in AGAIN
        ]

    @property
    def calls_used(self) -> int:
        """Oracle calls that were made or are planned."""
        return len([t for t in self.objective_trials() if t.status != "CANCELLED"])

    @property
    def confirmations_planned(self) -> int:
        """Confirmations that were made or are planned."""
        return len([t for t in self.of_purpose("confirm") if t.status != "CANCELLED"])

    def evaluations(self) -> list[Outcome]:
        """Current outcome of each candidate at the objective's fidelity, in planning order.

        Evaluations that a tighter one has replaced, and those with earlier weights of the
        potential, are left out. The order in which parallel trials ended has no influence.
        """
        return [e for e, generation in self._answers() if generation == self.generation]

    def low_fidelity_evaluations(self) -> list[Outcome]:
        """Outcomes at low fidelities, in planning order.

        Evaluations at the objective's fidelity with earlier weights count as a low fidelity.
        """
        trials = self.of_purpose("cheap")
        outcomes = [t.outcome for t in trials if t.outcome is not None]
        name = f"{self.objective_fidelity}{EARLIER}"
        return outcomes + [
            evaluation.model_copy(update={"fidelity": name})
            for evaluation, generation in self._answers()
            if generation < self.generation
        ]

    def _answers(self) -> list[tuple[Outcome, int]]:
        names = dict.fromkeys(t.plan.candidate for t in self.objective_trials())
        labels = [self.labels[name] for name in names if name in self.labels]
        return [(label.evaluation, label.generation) for label in labels]

    def cost_s(self) -> float:
        """Recorded cost of all trials, hole hunts, force labels and fine-tuning, in seconds."""
        others: list[ev.HoleHunt | ev.LabelDone | ev.Healing]
        others = [*self.hunts, *self.force_labels.values(), *self.healings]
        spent = sum(t.cost_s + t.forgotten_s for t in self.trials.values())
        return spent + sum(e.cost_s for e in others)


def apply(
    state: CampaignState,
    event: ev.Event,
    *,
    seq: int,
    time: float,
    outcomes: Mapping[tuple[str, str], Outcome],
) -> None:
    """Advance the state by one event, in place.

    Args:
        state: the state after all earlier events.
        event: the next event.
        seq: number of the event within the campaign.
        time: when the event was recorded, seconds since the epoch.
        outcomes: stored evaluations by (material digest, method).
    """
    state.seq = seq
    _count_time(state, event, time)
    match event:
        case ev.Created():
            state.config, state.inputs = event.config, dict(event.inputs)
            state.methods, state.notes, state.created = dict(event.methods), event.notes, time
        case ev.Opened():
            _open(state, event)
        case ev.Steered():
            _steer(state, event)
        case ev.RoundPlanned():
            _plan(state, event)
        case ev.TrialStarted():
            for name in event.trials:
                state.trials[name].status = "RUNNING"
                state.trials[name].attempts += 1
        case ev.TrialRequeued():
            _requeue(state, event)
        case ev.TrialDone() | ev.TrialFailed():
            _finish(state, event, outcomes)
        case ev.FailuresForgotten():
            _forget(state, event)
        case ev.Confirmation():
            label = state.labels[event.candidate]
            label.confirmed = event.verdict == "confirmed"
            label.demotions += event.verdict == "demoted"
        case ev.SecondOpinion():
            state.labels[event.candidate].opinion = event
        case ev.HoleHunt():
            state.hunts.append(event)
        case ev.LabelDone():
            state.force_labels[event.label] = event
        case ev.Healing():
            state.healings.append(event)
            if event.accepted:
                state.methods = dict(event.methods)
        case ev.RoundFinished():
            state.rounds[-1].metrics = event.metrics
        case ev.Stopped():
            state.stopped = event
        case _:
            assert_never(event)


def _open(state: CampaignState, event: ev.Opened) -> None:
    """Begin to work again: trials that ran when the last process ended are planned again."""
    died = state.stopped is None
    state.stopped, state.environment = None, event.environment
    for trial in state.trials.values():
        if trial.status == "RUNNING":
            trial.status = "PROPOSED"
            trial.left += died


def _steer(state: CampaignState, event: ev.Steered) -> None:
    """Apply changed settings."""
    state.config = event.config
    state.steered.append((len(state.rounds), dict(event.changes)))
    if any(key.partition(".")[0] in _REPLANNED for key in event.changes):
        _cancel_untouched(state)
    if _extends(event):
        state.confirmations_before = state.confirmations_planned


def _requeue(state: CampaignState, event: ev.TrialRequeued) -> None:
    """Plan a trial again after an attempt without an outcome."""
    trial = state.trials[event.trial]
    trial.status, trial.failures = "PROPOSED", trial.failures + 1
    trial.last_error = f"{event.stage}: {event.message}"


def _plan(state: CampaignState, event: ev.RoundPlanned) -> None:
    """Begin a round, or reopen the last one for the confirmations that end a campaign."""
    names = [trial.id for trial in event.trials]
    if state.rounds and state.rounds[-1].number == event.round:
        last = state.rounds[-1]
        last.trials, last.metrics = [*last.trials, *names], None
    else:
        state.rounds.append(Round(event.round, names, event.metrics))
    state.trials |= {t.id: Trial(t, event.round) for t in event.trials}
    state.rejected |= event.rejected
    state.screened |= event.screened
    new = (note for note in event.notes if not any(old.endswith(note) for old in state.notes))
    state.notes += tuple(f"round {event.round}: {note}" for note in new)


def _extends(event: ev.Steered) -> bool:
    """Whether a limit of the budget was raised or removed."""
    for key in _LIMITS:
        before, after = event.changes.get(key, (None, None))
        if before is not None and (after is None or after > before):
            return True
    return False


def _cancel_untouched(state: CampaignState) -> None:
    """Cancel planned trials that were never started; the next round follows the new settings."""
    for trial in state.trials.values():
        again = trial.plan.purpose in AGAIN
        if trial.status == "PROPOSED" and trial.attempts == 0 and not again:
            trial.status = "CANCELLED"


def _count_time(state: CampaignState, event: ev.Event, time: float) -> None:
    """Add the time since the last event, unless no process worked on the campaign in between."""
    if not isinstance(event, ev.Opened):
        state.busy_s = state.busy_until(time)
    state.working_since = None if isinstance(event, ev.Stopped) else time


def _finish(
    state: CampaignState,
    event: ev.TrialDone | ev.TrialFailed,
    outcomes: Mapping[tuple[str, str], Outcome],
) -> None:
    trial = state.trials[event.trial]
    if isinstance(event, ev.TrialDone):
        trial.status = "DONE"
        trial.outcome = outcomes[trial.plan.digest, trial.plan.method]
        trial.cost_s = event.cost_s
    else:
        trial.status = "FAILED"
        trial.outcome = event.failure
        trial.cost_s = event.failure.cost_s
        trial.last_error = f"{event.failure.stage}: {event.failure.message}"
    trial.reused = event.reused
    trial.submitted, trial.started, trial.finished = event.submitted, event.started, event.finished
    _label(state, trial)


def _forget(state: CampaignState, event: ev.FailuresForgotten) -> None:
    """Plan failed trials again; the last round is open again until they are done."""
    for name in event.trials:
        trial = state.trials[name]
        label = state.labels.get(trial.plan.candidate)
        if label is not None and label.trial == name:
            del state.labels[trial.plan.candidate]
        if label is not None and label.opinion is not None and label.opinion.trial == name:
            label.opinion = None
        trial.status, trial.failures, trial.outcome = "PROPOSED", 0, None
        trial.forgotten_s, trial.cost_s = trial.forgotten_s + trial.cost_s, 0.0
    if event.trials:
        state.rounds[-1].metrics = None


def _label(state: CampaignState, trial: Trial) -> None:
    """Make the trial's outcome the label of its candidate, where it supersedes the present one."""
    plan, outcome = trial.plan, trial.outcome
    if plan.fidelity != state.objective_fidelity or outcome is None:
        return
    if plan.purpose == "opinion":  # another potential's value is never the candidate's
        return
    label = state.labels.get(plan.candidate)
    if label is None or plan.generation > label.generation:
        state.labels[plan.candidate] = Label(
            plan.candidate,
            trial.plan.id,
            outcome,
            trial.round,
            plan.level,
            generation=plan.generation,
        )
    elif plan.generation < label.generation:
        return
    elif plan.level > label.level and not isinstance(outcome, Failed):
        # A failed confirmation is no evidence against the value; any other outcome replaces it.
        label.evaluation, label.trial = outcome, plan.id
        label.level, label.round = plan.level, trial.round
