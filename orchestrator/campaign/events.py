"""What happened in a campaign. Events are appended and never changed; all state is a fold of them.

Every event is small: materials and evaluations stand in their own tables and are named by key.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from oracle.contract.evaluation import Failed


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


Purpose = Literal["promise", "hole", "audit", "cheap", "confirm", "renew"]


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
    generation: int = 0
    """How often the potential's weights had been replaced when it was planned."""
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


class FailuresForgotten(_Event):
    """Trials that had failed are to be tried again.

    The user asked for it, or resumed a campaign that had stopped because most calls failed. The
    calls count as oracle calls only once; what the earlier attempts cost stays counted.
    """

    kind: Literal["failures_forgotten"] = "failures_forgotten"
    trials: tuple[str, ...]


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


class LabelPlan(BaseModel):
    """One displaced supercell that is to get reference forces, and why."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Names the supercell: formula, beginning of the material's digest, number."""
    material: str
    """Digest of the crystal."""
    candidate: str
    number: int
    """Of the supercell among those of its crystal."""
    purpose: Literal["hole", "audit"] = "hole"
    """Audits are drawn at random and never trained on: they tell whether others got worse."""
    force_error: float
    """Expected of the potential there, eV/Å."""
    kappa_error: float
    """Expected error of the natural logarithm of kappa."""
    reason: str


class HoleHunt(_Event):
    """The potential was judged after a round; these supercells are to be labelled.

    Where there are none, the potential is trusted for now.
    """

    kind: Literal["hole_hunt"] = "hole_hunt"
    round: int
    potential: str
    """What was judged, and what relaxed the supercells."""
    labels: tuple[LabelPlan, ...]
    pool: int
    """Supercells that were looked at."""
    expected: float
    """Root mean square of the expected force errors of the pool, eV/Å."""
    remaining: float
    """What the labels are expected to leave of it."""
    cost_s: float = 0.0


class LabelDone(_Event):
    """A supercell has its reference forces, or cannot get any."""

    kind: Literal["label_done"] = "label_done"
    label: str
    digest: str | None
    """Of its row among the force labels; None where it failed."""
    settings: str | None = None
    cost_s: float
    error: str | None = None


class Healing(_Event):
    """Fine-tuning on all labels so far, and whether the new weights took over."""

    kind: Literal["healing"] = "healing"
    round: int
    accepted: bool
    reason: str
    family: str = ""
    weights: str | None = None
    """File relative to the home; None where the old weights stay."""
    digest: str | None = None
    """SHA-256 of the weights."""
    methods: dict[str, str] = Field(default_factory=dict)
    """Method digest by fidelity from now on, where accepted."""
    labels: int = 0
    errors: dict[str, float] = Field(default_factory=dict)
    """Before and after, on held-out labels (eV/Å) and elsewhere."""
    cost_s: float = 0.0


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


Event = (
    Created
    | Opened
    | Steered
    | RoundPlanned
    | TrialStarted
    | TrialRequeued
    | TrialDone
    | TrialFailed
    | FailuresForgotten
    | Confirmation
    | HoleHunt
    | LabelDone
    | Healing
    | RoundFinished
    | Stopped
)
"""All that can happen."""
EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
"""Reads an event from its payload (which includes its kind)."""
