"""What a campaign's state is made of: trials, rounds, and the answer for each candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from oracle.contract.evaluation import Outcome
from orchestrator.campaign import events as ev

Status = Literal["PROPOSED", "RUNNING", "DONE", "FAILED", "CANCELLED"]
"""PROPOSED → RUNNING → DONE | FAILED, RUNNING → PROPOSED after a crash or a transient failure,
PROPOSED → CANCELLED when its campaign was steered away from it, FAILED → PROPOSED where a failure
is forgotten on request. DONE never changes.
"""
_FINISHED = ("DONE", "FAILED", "CANCELLED")


@dataclass
class Trial:
    """One planned evaluation through its life."""

    plan: ev.TrialPlan
    round: int
    status: Status = "PROPOSED"
    attempts: int = 0
    """How often it was handed to the executor."""
    failures: int = 0
    """How many attempts ended without an outcome; a killed campaign is not an attempt's fault."""
    outcome: Outcome | None = None
    cost_s: float = 0.0
    forgotten_s: float = 0.0
    """What attempts cost whose failure was forgotten."""
    reused: bool = False
    submitted: float | None = None
    started: float | None = None
    finished: float | None = None
    last_error: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.status in _FINISHED


@dataclass
class Round:
    """One decision and what came of it."""

    number: int
    trials: list[str]
    planned_metrics: dict[str, float]
    metrics: dict[str, float] | None = None
    """None while the round is under way."""


@dataclass
class Label:
    """The current answer for a candidate at the objective's fidelity."""

    candidate: str
    trial: str
    evaluation: Outcome
    round: int
    level: int
    confirmed: bool = False
    demotions: int = 0
    generation: int = 0
    """Of the potential's weights that gave the answer."""
