"""Follows a campaign into MLflow: after the record, from a persisted cursor, never in its way."""

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
    """Writes tables and plots of each round, and mirrors rounds to MLflow in a thread of its own.

    Args:
        store: the home's database.
        campaign: being run.
        settings: where MLflow is.
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
        """Writes the surrogate's current weights; set by the runner."""

    def start(self) -> None:
        """Begin to follow; rounds that were recorded but not mirrored come first.

        The last of those mirrored is looked at again, since confirmations may have opened it.
        """
        self._thread.start()
        state = Campaign(self._store, self._name).state
        mirrored = self._store.campaign(self._name).mirrored
        for done in state.rounds:
            shown = done.number < mirrored or (not self._settings.enabled and self._is_drawn(done))
            if not shown and done.metrics is not None:
                self._jobs.put(done.number)

    def _is_drawn(self, done: Round) -> bool:
        return (self._round_folder(done.number) / PAGE).exists()

    def on_change(self, campaign: Campaign, in_flight: dict[str, tuple[str, float]]) -> None:
        """Nothing is mirrored between rounds."""

    def on_round(self, campaign: Campaign) -> None:
        """Queue the round that has just been recorded."""
        folder = self._round_folder(campaign.state.rounds[-1].number)
        folder.mkdir(parents=True, exist_ok=True)
        self.weights_of(folder / "surrogate.safetensors")
        self._jobs.put(campaign.state.rounds[-1].number)

    def finish(self) -> list[str]:
        """Wait until all rounds are mirrored; returns what went wrong, once each."""
        self._jobs.put(None)
        self._thread.join()
        return list(dict.fromkeys(self._problems))

    def _follow(self) -> None:
        """Body of the thread: its own database connections, its own view of the campaign."""
        campaign = Campaign(self._store, self._name)
        tracker = self._tracker(campaign) if self._settings.enabled else None
        while (number := self._jobs.get()) is not None:
            campaign.refresh()
            found = next(r for r in campaign.state.rounds if r.number == number)
            if found.metrics is None:
                continue  # confirmations have opened it again; it comes once more
            try:
                artefacts = self._write_round(campaign, found)
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
        """The runs of the campaign; where MLflow lost them, all rounds are shown once more."""
        known = self._store.campaign(self._name).parent_run
        tracker = Tracker(self._settings.uri, self._store.home, self._name, known)
        if known is None or tracker.parent_run in (known, None):
            return tracker
        done = [r.number for r in campaign.state.rounds if r.metrics is not None]
        self._problems.append(
            f"MLflow has lost the run of {self._name}; its {len(done)} rounds are written anew"
        )
        self._backlog |= {number: _files(self._round_folder(number)) for number in done}
        self._mirror(tracker, campaign)
        return tracker

    def _mirror(self, tracker: Tracker, campaign: Campaign) -> None:
        """Mirror what is waiting, in order; the cursor never passes a round that failed."""
        for number in sorted(self._backlog):
            found = next(r for r in campaign.state.rounds if r.number == number)
            if found.metrics is None:
                return  # it was opened again, and comes once more
            problem = tracker.log_round(
                number,
                params=_round_params(campaign, found),
                metrics=found.metrics,
                artefacts=self._backlog[number],
                config=campaign.state.config,
                revision=len(found.trials),
            )
            if problem is not None or tracker.parent_run is None:
                self._problems.append(problem or "MLflow gave no run")
                return
            del self._backlog[number]
            self._store.set_mirror(self._name, tracker.parent_run, number)

    def _register(self, tracker: Tracker, campaign: Campaign) -> None:
        """Register accepted weights that have not been; what is registered stays as it is."""
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

    def _write_round(self, campaign: Campaign, found: Round) -> list[Path]:
        """The table of the best and the plots, as files; returns all that is to be logged."""
        folder = self._round_folder(found.number)
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
    """What is to be logged of a round; nothing where its folder is gone."""
    return sorted(path for path in folder.glob("*") if path.is_file())


def _best_tags(campaign: Campaign) -> dict[str, str]:
    """The best as `best` and `status` have it, for a reader of MLflow."""
    row = best_of(campaign.state, campaign.objective)
    if row is None:
        return {}
    evaluation, label = row.label.evaluation, row.label
    unit = unit_of(evaluation, campaign.objective.property)
    word = "confirmed" if label.confirmed else "not confirmed"
    value = with_error(row.value, row.std)
    return {
        "phonoscout.best": f"{evaluation.material.formula} {value} {unit} ({word})",
        "phonoscout.best_candidate": label.candidate,
    }


def _round_params(campaign: Campaign, found: Round) -> dict[str, Any]:
    trials = [campaign.state.trials[name] for name in found.trials]
    formulas = {
        t.plan.candidate: t.outcome.material.formula for t in trials if t.outcome is not None
    }
    return {
        "round": found.number,
        "trials": len(trials),
        "agents": ",".join(sorted({t.plan.agent for t in trials})),
        "candidates": ",".join(formulas.values())[:500],
        "measured": len([t for t in trials if isinstance(t.outcome, Measured)]),
    }
