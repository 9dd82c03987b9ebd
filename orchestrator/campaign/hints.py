"""Commands that are suggested to the user."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agents.contract.objective import Objective
from orchestrator.campaign.confirmation import unconfirmed
from orchestrator.campaign.state import CampaignState
from orchestrator.campaign.stopping import (
    SPACE_USED_UP,
    TARGET_MET,
    expected_gain_below,
    failure_reason,
    valueless_reason,
)
from orchestrator.config.config import CampaignConfig

_DEFAULT_HOME = "phonoscout-home"
_MINUTE, _HOUR = 60, 3600


def from_here(path: Path) -> str:
    """A path relative to the working folder where it lies within, else as it is."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def home_option(home: Path) -> str:
    """The option ``--home`` as a command in the working folder needs it; empty for the default."""
    default = Path(os.environ.get("PHONOSCOUT_HOME") or _DEFAULT_HOME).resolve()
    if home == default:
        return ""
    return f" --home {shlex.quote(from_here(home))}"


def resume_command(home: Path, name: str, changes: Sequence[str] = ()) -> str:
    """The command that resumes a campaign, with ``key.path=value`` changes."""
    words = [f"phonoscout resume {shlex.quote(name)}{home_option(home)}"]
    return " ".join([*words, *(f"--set {shlex.quote(change)}" for change in changes)])


def next_steps(
    home: Path, state: CampaignState, config: CampaignConfig, objective: Objective
) -> list[tuple[str, str]]:
    """What can be done with a campaign that has stopped, as (purpose, command) pairs.

    A campaign whose space is used up or whose target is met cannot be extended.
    """
    assert state.stopped is not None  # nothing is suggested while it runs
    outcome, reason = state.stopped.state, state.stopped.reason
    changes = extension(state, config)
    if outcome == "failed" and failure_reason(state, config) is not None:
        tolerant = ["executor.max_failure_share=1"]
        return [("go on", resume_command(home, config.name, tolerant))]
    if outcome == "failed" and valueless_reason(state, objective) is not None:
        return []  # only another objective helps, which needs a new campaign
    if outcome != "finished":
        return [("go on", resume_command(home, config.name))]
    steps: list[tuple[str, str]] = []
    if TARGET_MET not in reason and SPACE_USED_UP not in reason:
        steps.append(("extend it", resume_command(home, config.name, changes)))
    if unconfirmed(state, objective, config.confirmation):
        most = f"confirmation.max_calls={2 * config.confirmation.max_calls}"
        steps.append(("confirm more", resume_command(home, config.name, [most])))
    return steps


def extension(state: CampaignState, config: CampaignConfig) -> list[str]:
    """Changes that let a campaign that has ended do about as much again as it has done.

    They raise all limits that are used up, and those that would be reached on the way.
    """
    return [f"budget.{key}={value}" for key, value in _raised(state, config)]


def _raised(state: CampaignState, config: CampaignConfig) -> Iterator[tuple[str, Any]]:
    budget, used = config.budget, state.calls_used
    if state.open_round is None:  # else the open round is completed first, whatever the limits
        # More calls than the budget allows may be used, where the budget was lowered.
        calls = 2 * used if used >= budget.oracle_calls else budget.oracle_calls
        if calls > budget.oracle_calls:
            yield "oracle_calls", calls
        rounds = state.label_rounds + math.ceil((calls - used) / budget.batch)
        ended = calls > budget.oracle_calls or state.label_rounds >= (budget.rounds or math.inf)
        if budget.rounds is not None and ended and rounds > budget.rounds:
            yield "rounds", rounds
    hours = state.cost_s() / _HOUR
    if budget.cost_h is not None and 2 * hours >= budget.cost_h:
        yield "cost_h", float(f"{2 * max(budget.cost_h, hours):.3g}")
    if budget.wall_time is not None and 2 * state.busy_s >= budget.wall_time:
        yield "wall_time", _duration(2 * max(budget.wall_time, state.busy_s))
    if expected_gain_below(state, config) is not None:
        yield "min_gain", "null"


def _duration(seconds: float) -> str:
    """A duration as it is written in configs, rounded up."""
    for unit, length in (("h", _HOUR), ("min", _MINUTE)):
        if seconds >= 2 * length:
            return f"{math.ceil(seconds / length)}{unit}"
    return f"{math.ceil(seconds)}s"
