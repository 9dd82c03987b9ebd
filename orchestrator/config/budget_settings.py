"""Settings of the budget and of confirmations."""

from __future__ import annotations

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from orchestrator.config.run_settings import Duration


class ClosedSettings(BaseModel):
    """Settings that cannot be changed, and that know no other keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ConfirmationSettings(ClosedSettings):
    """Evaluation of the leaders at tighter settings before they are called best."""

    leaders: int = Field(default=5, ge=0)
    """How many of the best must be confirmed when the campaign ends; 0 turns it off."""
    max_calls: int = Field(default=15, ge=0)
    """Calls at tighter settings, which do not count as `oracle_calls`; each time the budget is
    raised on resume, there are as many again."""
    each_round: bool = True
    """Whether a new leader is confirmed in the round after it was found."""
    sigmas: float = Field(default=2.0, gt=0)
    """How many combined standard errors a leader may move and still be confirmed."""
    max_error: float = Field(default=0.25, gt=0)
    """Largest relative standard error of the tighter evaluation; a vaguer one confirms nothing."""
    default_error: float = Field(default=0.1, gt=0)
    """Relative standard error taken for an evaluation that states none."""


class BudgetSettings(ClosedSettings):
    """When the campaign ends; whatever is reached first."""

    rounds: int | None = Field(default=None, ge=1)
    batch: int = Field(default=4, ge=1)
    oracle_calls: int = Field(default=20, ge=1)
    """Trials at the objective's fidelity."""
    cost_h: float | None = Field(default=None, gt=0)
    """Recorded cost of all oracle calls, hours."""
    wall_time: Duration | None = None
    """Seconds, or a text such as ``30min``."""
    cheap_share: float = Field(default=0.1, ge=0, le=1)
    """Recorded cost that cheaper fidelities may add, as a share of the objective's."""
    min_gain: float | None = Field(default=None, gt=0)
    """Stop when the posterior expects less than this gain on the modelled scale (log10)."""
