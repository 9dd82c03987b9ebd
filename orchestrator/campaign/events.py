"""Events of a campaign. They are appended and never changed; all state is computed from them.

Events are small: materials and evaluations are stored in tables of their own, and events refer to
them by key.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from oracle.contract.evaluation import Failed


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # later versions may have more fields
    schema_version: ClassVar[int] = 1


class Belief(BaseModel):
    """The prediction for a candidate when it was chosen, on the modelled scale."""

    model_config = ConfigDict(frozen=True)

    mean: float
    epistemic: float
    aleatoric: float
    p_stable: float


Purpose = Literal["promise", "hole", "audit", "cheap", "confirm", "renew", "opinion"]


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
    """Method digest of the oracle that evaluates it."""
    full_solution: bool = False
    """Whether the Boltzmann equation is solved in full as well."""
    level: int = 0
    """0 for the campaign's own settings, 1 and 2 for the tighter settings of confirmations."""
    generation: int = 0
    """How often the potential's weights had been replaced when the trial was planned."""
    purpose: Purpose
    potential: str | None = None
    """The second potential that evaluates it, for a second opinion; None: the campaign's own."""
    agent: str
    parents: tuple[str, ...] = ()
    label: str | None = None
    belief: Belief | None = None
    acquisition: float | None = None


class Created(_Event):
    """The campaign was launched, with these settings and inputs."""

    kind: Literal["created"] = "created"
    config: dict[str, Any]
    inputs: dict[str, str]
    """SHA-256 of every input file by its config key."""
    methods: dict[str, str]
    """Method digest by fidelity."""
    notes: tuple[str, ...] = ()
    """Remarks for the user, for instance the known accuracy of the potential."""


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
    """(before, after) by full key."""
    config: dict[str, Any]


class RoundPlanned(_Event):
    """The plan of one round; it is recorded before any of its trials runs."""

    kind: Literal["round_planned"] = "round_planned"
    round: int
    trials: tuple[TrialPlan, ...]
    metrics: dict[str, float] = Field(default_factory=dict)
    rejected: dict[str, str] = Field(default_factory=dict)
    """The constraint that each rejected candidate violates, by candidate id."""
    screened: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Energies that the constraint gate computed (eV/atom), by candidate id."""
    notes: tuple[str, ...] = ()
    """Why an agent had nothing to propose, for instance a generator that wrote no files."""


class TrialStarted(_Event):
    """Trials were submitted to the executor."""

    kind: Literal["trial_started"] = "trial_started"
    trials: tuple[str, ...]


class TrialRequeued(_Event):
    """An attempt ended without an outcome (crash, time limit, lost worker); another will follow."""

    kind: Literal["trial_requeued"] = "trial_requeued"
    trial: str
    stage: str
    message: str


class TrialDone(_Event):
    """The oracle answered; the evaluation is stored in its table under (digest, method)."""

    kind: Literal["trial_done"] = "trial_done"
    trial: str
    status: Literal["measured", "unstable"]
    cost_s: float
    reused: bool = False
    """Whether the answer was already stored, by another campaign or an earlier trial."""
    submitted: float | None = None
    started: float | None = None
    finished: float | None = None


class TrialFailed(_Event):
    """The trial failed permanently, or in all of its attempts."""

    kind: Literal["trial_failed"] = "trial_failed"
    trial: str
    failure: Failed
    reused: bool = False
    submitted: float | None = None
    started: float | None = None
    finished: float | None = None


class FailuresForgotten(_Event):
    """Trials that had failed are to be tried again.

    The user asked for it, or resumed a campaign that had stopped because too many calls failed.
    Each trial still counts as one oracle call, and the cost of earlier attempts is still counted.
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
    """Largest change that counts as agreement, from the stated errors of both evaluations."""
    verdict: Literal["confirmed", "demoted"]


class SecondOpinion(_Event):
    """A confirmed leader was evaluated with a second potential as well."""

    kind: Literal["second_opinion"] = "second_opinion"
    trial: str
    candidate: str
    potential: str
    value: float | None
    """By the second potential, in the property's unit; None where it gave none."""
    std: float | None = None
    ratio: float | None = None
    """Value of the second potential over that of the campaign's own."""
    allowed: float | None = None
    """Largest factor between the two values that counts as agreement, from their errors."""
    agrees: bool | None
    """Whether the two agree within their errors; None where the second has no opinion."""
    reason: str


class LabelPlan(BaseModel):
    """One displaced supercell that is to get a force label, and why."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Name of the supercell: formula, beginning of the material's digest, number."""
    material: str
    """Digest of the crystal."""
    candidate: str
    number: int
    """Number of the supercell among those of its crystal, from 0."""
    purpose: Literal["hole", "audit"] = "hole"
    """Audits belong to randomly drawn crystals and are never trained on; they tell whether new
    weights got worse elsewhere.
    """
    force_error: float
    """Expected error of the potential's forces in this supercell, eV/Å."""
    kappa_error: float
    """Expected error of the natural logarithm of kappa."""
    reason: str


class HoleHunt(_Event):
    """The potential was assessed after a round; these supercells are to get force labels.

    Where there are none, the potential is trusted for now.
    """

    kind: Literal["hole_hunt"] = "hole_hunt"
    round: int
    potential: str
    """The potential that was assessed, and that relaxed the crystals."""
    labels: tuple[LabelPlan, ...]
    pool: int
    """Number of supercells that were assessed."""
    expected: float
    """Root mean square of the expected force errors of the pool, eV/Å."""
    remaining: float
    """The same as it is expected to be with the labels, eV/Å."""
    cost_s: float = 0.0


class LabelDone(_Event):
    """The force label of a supercell was computed, or could not be."""

    kind: Literal["label_done"] = "label_done"
    label: str
    digest: str | None
    """Digest of the stored force label; None where the calculation failed."""
    settings: str | None = None
    cost_s: float
    error: str | None = None
    refused: bool = False
    """Whether the engine refused the material; such labels do not count towards the budget."""


class Healing(_Event):
    """The potential was fine-tuned on all force labels; says whether the new weights take over."""

    kind: Literal["healing"] = "healing"
    round: int
    accepted: bool
    reason: str
    family: str = ""
    weights: str | None = None
    """File relative to the home; None where the old weights remain in use."""
    digest: str | None = None
    """SHA-256 of the weights."""
    methods: dict[str, str] = Field(default_factory=dict)
    """Method digest by fidelity from now on, where the weights are accepted."""
    labels: int = 0
    errors: dict[str, float] = Field(default_factory=dict)
    """Errors of the old and the new weights, on held-out force labels (eV/Å) and on audits."""
    cost_s: float = 0.0


class RoundFinished(_Event):
    """All trials of the round have an outcome."""

    kind: Literal["round_finished"] = "round_finished"
    round: int
    metrics: dict[str, float]


class Stopped(_Event):
    """The campaign came to rest; all can be resumed, and those that `finished` can be extended."""

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
    | SecondOpinion
    | HoleHunt
    | LabelDone
    | Healing
    | RoundFinished
    | Stopped
)
"""Any event."""
EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
"""Reads an event from its payload, which must include the kind."""
