"""Copies recorded rounds to MLflow, from a stored cursor, without delaying the campaign."""

from __future__ import annotations

import csv
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oracle.contract.evaluation import Measured, unit_of
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.metrics import best_metrics
from orchestrator.campaign.ranking import best_of
from orchestrator.campaign.state import Round
from orchestrator.config.run_settings import TrackingSettings
from orchestrator.plots.figures import PAGE, round_figures, rounds_folder
from orchestrator.presentation.numbers import with_error
from orchestrator.queries import queries
from orchestrator.store.store import Store
from orchestrator.tracking.mlflow_runs import Tracker

_TABLE_ROWS = 100


class Mirror:
    """Writes tables and plots of each round, and copies rounds to MLflow, in a thread of its own.

    Args:
        store: database of the home.
        campaign: the campaign that is running.
        settings: whether and where MLflow is used.
    """

    def __init__(self, store: Store, campaign: Campaign, settings: TrackingSettings) -> None:
        self._store = store
        self._name = campaign.name
        self._settings = settings
        self._folder = rounds_folder(store.home, campaign.name)
        self._jobs: queue.Queue[int | None] = queue.Queue()
        self._backlog: dict[int, list[Path]] = {}
        self._problems: list[str] = []
        self._registered: set[str] = set()
        self._thread = threading.Thread(target=self._follow, name="mirror", daemon=True)
        self.weights_of: Callable[[Path], Path | None] = lambda path: None
        """Writes the surrogate's current weights to a file; set by the runner."""

    def start(self) -> None:
        """Start the thread; rounds that were recorded but not mirrored come first.

        The last round mirrored is checked again, since confirmations may have reopened it.
        """
        self._thread.start()
        state = Campaign(self._store, self._name).state
        mirrored = self._store.campaign(self._name).mirrored
        for each in state.rounds:
            shown = each.number < mirrored or (not self._settings.enabled and self._is_drawn(each))
            if not shown and each.metrics is not None:
                self._jobs.put(each.number)

    def _is_drawn(self, each: Round) -> bool:
        return (self._round_folder(each.number) / PAGE).exists()

    def on_change(self, campaign: Campaign, in_flight: dict[str, tuple[str, float]]) -> None:
        """Do nothing: nothing is mirrored between rounds."""

    def on_round(self, campaign: Campaign) -> None:
        """Queue the round that has just been recorded."""
        folder = self._round_folder(campaign.state.rounds[-1].number)
        folder.mkdir(parents=True, exist_ok=True)
        self.weights_of(folder / "surrogate.safetensors")
        self._jobs.put(campaign.state.rounds[-1].number)

    def finish(self) -> list[str]:
        """Wait until all rounds are mirrored; returns the problems, each once."""
        self._jobs.put(None)
        self._thread.join()
        return list(dict.fromkeys(self._problems))

    def _follow(self) -> None:
        """Body of the thread, with its own database connections and state of the campaign."""
        campaign = Campaign(self._store, self._name)
        tracker = self._tracker(campaign) if self._settings.enabled else None
        while (number := self._jobs.get()) is not None:
            campaign.refresh()
            recorded = next(r for r in campaign.state.rounds if r.number == number)
            if recorded.metrics is None:
                continue  # confirmations have reopened it; it will be queued again
            try:
                artefacts = self._write_round(campaign, recorded)
            except (OSError, ValueError, KeyError) as error:
                self._problems.append(f"round {number}: plots: {error}")
                artefacts = []
            if tracker is not None:
                self._backlog[number] = artefacts
                self._mirror(tracker, campaign)
                self._register(tracker, campaign)
        campaign.refresh()
        stopped = campaign.state.stopped
        if tracker is not None and stopped is not None:
            self._register(tracker, campaign)
            tracker.close(
                stopped.reason,
                stopped.state,
                metrics=best_metrics(campaign.state, campaign.objective),
                tags=_best_tags(campaign),
                step=len(campaign.state.rounds),
            )

    def _tracker(self, campaign: Campaign) -> Tracker:
        """The runs of the campaign; if MLflow has lost them, all rounds are written again."""
        earlier_run = self._store.campaign(self._name).parent_run
        tracker = Tracker(self._settings.uri, self._store.home, self._name, earlier_run)
        if earlier_run is None or tracker.parent_run in (earlier_run, None):
            return tracker
        numbers = [r.number for r in campaign.state.rounds if r.metrics is not None]
        self._problems.append(
            f"MLflow has lost the run of {self._name}; its {len(numbers)} rounds are written again"
        )
        self._backlog |= {number: _files(self._round_folder(number)) for number in numbers}
        self._mirror(tracker, campaign)
        return tracker

    def _mirror(self, tracker: Tracker, campaign: Campaign) -> None:
        """Mirror the waiting rounds in order; the cursor never passes a round that failed."""
        for number in sorted(self._backlog):
            recorded = next(r for r in campaign.state.rounds if r.number == number)
            if recorded.metrics is None:
                return  # it was reopened, and will be queued again
            problem = tracker.log_round(
                number,
                params=_round_params(campaign, recorded),
                metrics=recorded.metrics,
                artefacts=self._backlog[number],
                config=campaign.state.config,
                revision=len(recorded.trials),
            )
            if problem is not None or tracker.parent_run is None:
                self._problems.append(problem or "MLflow gave no run")
                return
            del self._backlog[number]
            self._store.set_mirror(self._name, tracker.parent_run, number)

    def _register(self, tracker: Tracker, campaign: Campaign) -> None:
        """Register accepted weights that are not registered yet."""
        for healing in campaign.state.healings:
            if healing.weights is None or healing.weights in self._registered:
                continue
            tags = {"round": str(healing.round), "labels": str(healing.labels)}
            tags |= {name: f"{value:.6g}" for name, value in healing.errors.items()}
            path = self._store.home / healing.weights
            problem = tracker.register(path, str(healing.digest), tags)
            if problem is None:
                self._registered.add(healing.weights)
            else:
                self._problems.append(problem)

    def _write_round(self, campaign: Campaign, recorded: Round) -> list[Path]:
        """Write the table of the best and the plots; returns all files to be logged."""
        folder = self._round_folder(recorded.number)
        folder.mkdir(parents=True, exist_ok=True)
        table = folder / "best.csv"
        rows = queries.best(self._store, self._name, _TABLE_ROWS)
        with table.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(rows[0]) if rows else ["rank"])
            writer.writeheader()
            writer.writerows(rows)
        round_figures(campaign, self._store.home / "artefacts", folder)
        return _files(folder)

    def _round_folder(self, number: int) -> Path:
        return self._folder / f"round-{number:04d}"


def _files(folder: Path) -> list[Path]:
    """The files of a round to be logged; empty if its folder is gone."""
    return sorted(path for path in folder.glob("*") if path.is_file())


def _best_tags(campaign: Campaign) -> dict[str, str]:
    """Tags with the best candidate, the same as in `phonoscout best` and `status`."""
    row = best_of(campaign.state, campaign.objective)
    if row is None:
        return {}
    evaluation, label = row.label.evaluation, row.label
    unit = unit_of(evaluation, campaign.objective.property)
    word = "confirmed" if label.confirmed else "not confirmed"
    word += ", disputed" if label.is_disputed else ""
    value = with_error(row.value, row.std)
    return {
        "phonoscout.best": f"{evaluation.material.formula} {value} {unit} ({word})",
        "phonoscout.best_candidate": label.candidate,
    }


def _round_params(campaign: Campaign, recorded: Round) -> dict[str, Any]:
    trials = [campaign.state.trials[name] for name in recorded.trials]
    formulas = {
        t.plan.candidate: t.outcome.material.formula for t in trials if t.outcome is not None
    }
    return {
        "round": recorded.number,
        "trials": len(trials),
        "agents": ",".join(sorted({t.plan.agent for t in trials})),
        "candidates": ",".join(formulas.values())[:500],
        "measured": len([t for t in trials if isinstance(t.outcome, Measured)]),
    }
