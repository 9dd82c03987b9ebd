"""Settings of the budget and of confirmations."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from oracle.runtime.local_inputs import PotentialName
from orchestrator.config.run_settings import Duration


class ClosedSettings(BaseModel):
    """Immutable settings that accept no other keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ConfirmationSettings(ClosedSettings):
    """Evaluation of the leaders at tighter settings before they are called best."""

    leaders: int = Field(default=5, ge=0)
    """How many of the best candidates must be confirmed before the campaign ends; 0 turns
    confirmation off."""
    max_calls: int = Field(default=15, ge=0)
    """Maximum number of calls at tighter settings, which do not count as `oracle_calls`. Each time
    the budget is raised on resume, the same number is allowed again."""
    each_round: bool = True
    """Whether a new first leader is confirmed in the next round already; if not, leaders are
    confirmed at the end of the campaign only."""
    sigmas: float = Field(default=2.0, gt=0)
    """A leader is confirmed if its value changes by at most this many combined standard errors."""
    max_error: float = Field(default=0.25, gt=0)
    """Largest relative standard error of the tighter evaluation; a less certain one cannot confirm
    a leader."""
    default_error: float = Field(default=0.1, gt=0)
    """Relative standard error assumed for an evaluation that states none."""
    transport: Literal["rta", "lbte"] = "lbte"
    """``lbte`` also solves the Boltzmann equation of confirmed leaders in full, beside the
    relaxation-time approximation, in which candidates are compared (oracle `phonon-bte` only)."""
    second_opinion: PotentialName | None = None
    """Another potential, named as in `oracle.calculator`, with which every confirmed leader is
    evaluated as well, at the settings of the campaign. It should have another architecture and
    other training data. Leaders on which the two disagree beyond their errors are ranked after the
    others. Its evaluations count neither as `oracle_calls` nor as `max_calls`, and the surrogate
    does not learn from them."""


class BudgetSettings(ClosedSettings):
    """Limits of a campaign, which ends when the first of them is reached."""

    rounds: int | None = Field(default=None, ge=1)
    batch: int = Field(default=4, ge=1)
    oracle_calls: int = Field(default=20, ge=1)
    """Trials at the objective's fidelity."""
    cost_h: float | None = Field(default=None, gt=0)
    """Limit of the recorded cost of all oracle calls, hours."""
    wall_time: Duration | None = None
    """Seconds, or a text such as ``30min``."""
    cheap_share: float = Field(default=0.1, ge=0, le=1)
    """Largest recorded cost of low-fidelity queries, as a share of the cost of evaluations at the
    objective's fidelity."""
    min_gain: float | None = Field(default=None, gt=0)
    """Stop when the surrogate expects a smaller improvement than this on the modelled scale (log10
    for quantities modelled in log)."""
