"""What the terminal shows while a campaign runs: on stderr, so that stdout stays a document."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from orchestrator.campaign import Campaign
from orchestrator.state import leaders

_REFRESH_S = 0.25


class ProgressView:
    """Rounds, trials in flight with their stage, best so far, time left.

    A terminal gets a live view; anything else one line per round.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._task = self._bar.add_task("oracle calls", total=None, left="")
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._last = 0.0
        self._stage = ""

    def __enter__(self) -> ProgressView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live.is_started:
            self._live.stop()

    def say(self, stage: str) -> None:
        """Name what the loop itself is doing (planning, screening, recording)."""
        self._stage = stage
        if self._live.is_started:
            self._live.update(Group(self._bar, Text(f"  {stage}", style="dim")))

    def on_change(self, campaign: Campaign, in_flight: dict[str, tuple[str, float]]) -> None:
        """Redraw, at most a few times per second."""
        if not self._live.is_started or time.monotonic() - self._last < _REFRESH_S:
            return
        self._last = time.monotonic()
        self._live.update(self._view(campaign, in_flight))

    def on_round(self, campaign: Campaign) -> None:
        """One lasting line per round."""
        state = campaign.state
        number = state.rounds[-1].number
        trials = [t for t in state.trials.values() if t.round == number]
        counts = {word: 0 for word in ("measured", "unstable", "failed")}
        for trial in trials:
            if trial.outcome is not None:
                counts[trial.outcome.status] += 1
        summary = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
        self._console.print(
            f"round {number}: {summary or 'nothing new'}; best {_best(campaign)}",
            highlight=False,
            soft_wrap=True,
        )

    def _view(self, campaign: Campaign, in_flight: dict[str, tuple[str, float]]) -> Group:
        state, budget = campaign.state, campaign.config.budget
        done = len([t for t in state.objective_trials() if t.is_finished])
        left = ""
        if 0 < done < budget.oracle_calls:
            seconds = state.busy_s / done * (budget.oracle_calls - done)
            left = f"about {seconds / 60:.1f} min left"
        self._bar.update(
            self._task,
            description=f"round {len(state.rounds)}  oracle calls",
            completed=done,
            total=budget.oracle_calls,
            left=left,
        )
        table = Table.grid(padding=(0, 2))
        for name, trial in state.trials.items():
            if trial.status == "RUNNING":
                stage, share = in_flight.get(name, ("waiting", 0.0))
                table.add_row(
                    "  " + name, trial.plan.label or trial.plan.candidate, stage, f"{share:.0%}"
                )
        return Group(self._bar, table, Text(f"  best {_best(campaign)}", style="bold"))


def _best(campaign: Campaign) -> str:
    found = leaders(campaign.state, campaign.objective, 1)
    if not found:
        return "none yet"
    row = found[0]
    evaluation = row.label.evaluation
    unit = evaluation.properties[campaign.objective.property].unit
    word = "confirmed" if row.label.confirmed else "not confirmed yet"
    return f"{evaluation.material.formula} {row.value:.4g} {unit} ({word})"
