"""The parts of a campaign's state: trials, rounds, and the current label of each candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from oracle.contract.evaluation import Outcome
from orchestrator.campaign import events as ev

Status = Literal["PROPOSED", "RUNNING", "DONE", "FAILED", "CANCELLED"]
"""PROPOSED → RUNNING → DONE | FAILED, RUNNING → PROPOSED after a crash or a transient failure,
PROPOSED → CANCELLED when steering made the plan obsolete, FAILED → PROPOSED when the user asks for
another attempt. DONE never changes.
"""
_FINISHED = ("DONE", "FAILED", "CANCELLED")


@dataclass
class Trial:
    """One planned evaluation, and what has become of it."""

    plan: ev.TrialPlan
    round: int
    status: Status = "PROPOSED"
    attempts: int = 0
    """How often it was submitted to the executor."""
    failures: int = 0
    """Attempts that ended without an outcome; those that ended with the campaign do not count."""
    left: int = 0
    """How often the process of the campaign ended while it ran, without recording why."""
    outcome: Outcome | None = None
    cost_s: float = 0.0
    forgotten_s: float = 0.0
    """Cost of attempts whose failures were forgotten."""
    reused: bool = False
    submitted: float | None = None
    started: float | None = None
    finished: float | None = None
    last_error: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether it is done, failed or cancelled."""
        return self.status in _FINISHED


@dataclass
class Round:
    """One plan, its trials, and its metrics."""

    number: int
    trials: list[str]
    planned_metrics: dict[str, float]
    metrics: dict[str, float] | None = None
    """None until the round is complete."""


@dataclass
class Label:
    """The current outcome of a candidate at the objective's fidelity."""

    candidate: str
    trial: str
    evaluation: Outcome
    round: int
    level: int
    confirmed: bool = False
    demotions: int = 0
    generation: int = 0
    """Generation of the potential's weights with which it was computed."""
    opinion: ev.SecondOpinion | None = None
    """What a second potential says of the candidate, once that was asked."""

    @property
    def is_disputed(self) -> bool:
        """Whether a second potential disagrees."""
        return self.opinion is not None and self.opinion.agrees is False
