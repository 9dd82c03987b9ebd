"""Commands, terminal, plots and MLflow agree on which candidate is the best."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from orchestrator.plots.figures import round_figures
from orchestrator.plots.trial_plots import TrialPoint, best_so_far
from orchestrator.presentation.numbers import with_error

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
CONFIRMED = {"kind": "replay", "table": "table.jsonl", "column": "conductance",
             "std_column": "std", "confirm_column": "better"}  # fmt: skip


def _runs(home: Path, name: str = "layers") -> tuple[Run, dict[str, Run]]:
    """The campaign's run, and those of its rounds by name."""
    client = MlflowClient(f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    (parent,) = (r for r in runs if r.data.tags.get("phonoscout.campaign") == name)
    children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    return parent, {r.info.run_name: r for r in children}


def _retracted(desk: Any, **changes: Any) -> Path:
    """A campaign whose best values are not confirmed."""
    lies = {d: {"conductance": 50.0 + i} for i, d in enumerate(desk.designs) if i % 3 == 0}
    confirmation = {"leaders": 2, "max_calls": 20, "each_round": False}
    tracking = {"enabled": True}
    more = {"oracle": CONFIRMED, "confirmation": confirmation, "tracking": tracking} | changes
    return Path(desk.config(lies, **more))


def test_after_confirmations_all_name_one_best(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plotted: list[list[TrialPoint]] = []

    def watched(trials: Any, **options: Any) -> Any:
        plotted.append(list(trials))
        return best_so_far(trials, **options)

    monkeypatch.setattr("orchestrator.plots.figures.best_so_far", watched)
    ended = desk("launch", _retracted(desk))
    best = desk.document("best", "layers")[0]
    assert best["confirmed"]
    assert best["value"] < 50
    status = desk.document("status", "layers")
    assert status["best"]["candidate"] == best["candidate"]
    lines = [line for line in ended.stderr.splitlines() if line.startswith("round")]
    assert any(re.search(r"best \d+ \d{2,}.*not confirmed", line) for line in lines)  # before
    assert f"best {best['formula']} {with_error(best['value'], best['std'])}" in lines[-1]
    assert "(confirmed)" in lines[-1]
    parent, rounds = _runs(desk.home)
    last = rounds["round-0002"]
    for run in (parent, last):
        assert run.data.metrics["best"] == best["value"]
        assert run.data.metrics["best_confirmed"] == 1.0
    assert parent.data.tags["phonoscout.best_candidate"] == best["candidate"]
    assert with_error(best["value"], best["std"]) in parent.data.tags["phonoscout.best"]
    assert int(last.data.tags["phonoscout.trials"]) == 4 + status["confirmations"]
    client = MlflowClient(f"sqlite:///{desk.home / 'mlflow' / 'mlflow.db'}")
    copy = Path(client.download_artifacts(last.info.run_id, "best.csv", str(desk.folder)))
    with copy.open() as stream:
        assert next(csv.DictReader(stream))["candidate"] == best["candidate"]
    first = min((p for p in plotted[-1] if p.rank is not None), key=lambda p: p.rank or 0)
    assert (first.rank, first.value) == (1, best["value"])
    (line,) = (t for t in best_so_far(plotted[-1], quantity="q").data if t.name == "best so far")
    assert line.y[-1] == best["value"]


def test_the_leader_that_is_drawn_is_the_first_of_the_table(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.campaign.campaign import Campaign
    from orchestrator.store.store import Store

    desk("launch", _retracted(desk, tracking={"enabled": False}))
    shown: list[Any] = []
    monkeypatch.setattr(
        "orchestrator.plots.figures.drawn_layers", lambda designs, **options: shown.extend(designs)
    )
    monkeypatch.setattr("orchestrator.plots.figures.write_figures", lambda *given: [])
    campaign = Campaign(Store(desk.home), "layers")
    round_figures(campaign, desk.home / "artefacts", desk.folder)
    rows = desk.document("best", "layers", "-k", "5")
    assert [text for _, text in shown] == [row["formula"] for row in rows]


def test_a_process_that_died_before_the_confirmations_were_shown_shows_them_later(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = {"leaders": 0, "max_calls": 20, "each_round": False}
    desk("launch", _retracted(desk, confirmation=none))
    believed = desk.document("best", "layers")[0]["value"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.tracking.mirror.Tracker.log_round", lambda *given, **more: None)
        patch.setattr("orchestrator.tracking.mirror.Tracker.close", lambda *given, **more: None)
        desk("resume", "layers", "--set", "confirmation.leaders=2")
    best = desk.document("best", "layers")[0]["value"]
    assert best < 50 < believed
    assert _runs(desk.home)[1]["round-0002"].data.metrics["best"] == believed
    desk("resume", "layers")
    parent, rounds = _runs(desk.home)
    assert rounds["round-0002"].data.metrics["best"] == best
    assert parent.data.metrics["best"] == best
