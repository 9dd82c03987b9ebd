"""What happened in a campaign. Events are appended and never changed; all state is a fold of them.

Every event is small: materials and evaluations stand in their own tables and are named by key.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from oracle.evaluation import Failed


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # later versions may have more fields
    schema_version: ClassVar[int] = 1


class Belief(BaseModel):
    """What the surrogate held of a candidate when it was chosen, on the modelled scale."""

    model_config = ConfigDict(frozen=True)

    mean: float
    epistemic: float
    aleatoric: float
    p_stable: float


Purpose = Literal["promise", "hole", "audit", "cheap", "confirm"]


class TrialPlan(BaseModel):
    """One candidate to be evaluated at one fidelity, and why it was chosen."""

    model_config = ConfigDict(frozen=True)

    id: str
    """``t-0001`` and so on, in the order of planning."""
    candidate: str
    digest: str
    """Of the material."""
    fidelity: str
    method: str
    """Method digest of the oracle that will answer."""
    level: int = 0
    """0 for the campaign's own settings, 1 and 2 for the tighter ones that confirm."""
    purpose: Purpose
    agent: str
    parents: tuple[str, ...] = ()
    label: str | None = None
    belief: Belief | None = None
    acquisition: float | None = None


class Created(_Event):
    """The campaign exists, with these settings and these inputs."""

    kind: Literal["created"] = "created"
    config: dict[str, Any]
    inputs: dict[str, str]
    """SHA-256 of every input file by its config key."""
    methods: dict[str, str]
    """Method digest by fidelity."""
    notes: tuple[str, ...] = ()
    """What the user was told, for instance the known accuracy of the potential."""


class Opened(_Event):
    """A process began to work on the campaign."""

    kind: Literal["opened"] = "opened"
    host: str
    pid: int
    environment: dict[str, str] = Field(default_factory=dict)


class Steered(_Event):
    """The user changed settings on resume."""

    kind: Literal["steered"] = "steered"
    changes: dict[str, tuple[Any, Any]]
    """Full key to (before, after)."""
    config: dict[str, Any]


class RoundPlanned(_Event):
    """The decision of one round: recorded before anything of it is run."""

    kind: Literal["round_planned"] = "round_planned"
    round: int
    trials: tuple[TrialPlan, ...]
    metrics: dict[str, float] = Field(default_factory=dict)
    rejected: dict[str, str] = Field(default_factory=dict)
    """Candidate id to the constraint it violates."""
    screened: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Candidate id to what screening computed (energies in eV/atom)."""


class TrialStarted(_Event):
    """Trials were handed to the executor."""

    kind: Literal["trial_started"] = "trial_started"
    trials: tuple[str, ...]


class TrialRequeued(_Event):
    """An attempt ended without an outcome (crash, time-out, lost worker); there is another."""

    kind: Literal["trial_requeued"] = "trial_requeued"
    trial: str
    stage: str
    message: str


class TrialDone(_Event):
    """The oracle answered; the evaluation stands in its table under (digest, method)."""

    kind: Literal["trial_done"] = "trial_done"
    trial: str
    status: Literal["measured", "unstable"]
    cost_s: float
    reused: bool = False
    """Whether the answer was already known from another campaign or an earlier call."""
    submitted: float | None = None
    started: float | None = None
    finished: float | None = None


class TrialFailed(_Event):
    """All attempts are used up, or the failure is permanent."""

    kind: Literal["trial_failed"] = "trial_failed"
    trial: str
    failure: Failed
    reused: bool = False
    submitted: float | None = None
    started: float | None = None
    finished: float | None = None


class Confirmation(_Event):
    """A leader was evaluated again at tighter settings."""

    kind: Literal["confirmation"] = "confirmation"
    trial: str
    candidate: str
    before: float | None
    after: float | None
    """Value in the property's unit; None where the tighter evaluation found it unstable."""
    allowed: float
    """How far it may move: the stated errors of both, combined."""
    verdict: Literal["confirmed", "demoted"]


class RoundFinished(_Event):
    """All trials of the round have an outcome."""

    kind: Literal["round_finished"] = "round_finished"
    round: int
    metrics: dict[str, float]


class Stopped(_Event):
    """The campaign rests; `finished` ones can be extended, all can be resumed."""

    kind: Literal["stopped"] = "stopped"
    state: Literal["finished", "stopped", "failed", "interrupted"]
    reason: str


Event = Annotated[
    Created
    | Opened
    | Steered
    | RoundPlanned
    | TrialStarted
    | TrialRequeued
    | TrialDone
    | TrialFailed
    | Confirmation
    | RoundFinished
    | Stopped,
    Field(discriminator="kind"),
]
EVENT: TypeAdapter[Any] = TypeAdapter(Event)
"""Reads an event from its payload (which includes its kind)."""
