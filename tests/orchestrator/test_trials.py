"""Trials and their errors are listed on the command line, as JSON and CSV, and over HTTP."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from rich.console import Console

from agents.contract.protocol import Candidate
from oracle.contract.evaluation import Unstable
from oracle.materials.superlattice import Superlattice
from orchestrator.app.api import create_app
from orchestrator.app.cli import main
from orchestrator.campaign import events as ev
from orchestrator.campaign.campaign import Campaign
from orchestrator.config.loading import validate
from orchestrator.presentation.trials_table import COLUMNS, rejected_table, trials_table
from orchestrator.queries.trials import campaign_trials
from orchestrator.store.lease import Lease
from orchestrator.store.store import Store

Write = Callable[..., Path]


def run(*words: str | Path) -> Any:
    return CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)


@pytest.fixture
def home(tmp_path: Path, write_config: Write, lookups_fail: Any) -> Path:
    """A campaign over all 64 sequences: 20 unstable, 12 that fail, 32 measured."""
    rows: dict[str, dict[str, Any]] = {f"{i:06b}": {"stable": False} for i in range(20)}
    lookups_fail(lambda sequence: 20 <= int(sequence, 2) < 32)
    config = write_config(tmp_path / "in", rows, budget={"batch": 16, "oracle_calls": 64})
    done = run("launch", config, "--home", tmp_path / "home")
    assert done.exit_code == 0, done.output
    return tmp_path / "home"


def test_every_trial_with_what_came_of_it(home: Path) -> None:
    document = json.loads(run("trials", "layers", "--home", home, "--json").stdout)
    trials = document["trials"]
    assert set(trials[0]) == set(COLUMNS)
    counts = Counter(trial["outcome"] for trial in trials)
    assert counts == {"measured": 32, "unstable": 20, "failed": 12}
    for trial in trials:
        number = int(trial["label"], 2)
        assert trial["formula"] == trial["label"]
        assert trial["agent"] in ("random", "audit")
        assert 1 <= trial["round"] <= 4
        assert trial["attempts"] == 1
        assert not trial["reused"]
        if number < 20:
            assert (trial["status"], trial["outcome"], trial["value"]) == ("DONE", "unstable", None)
            assert trial["reason"]
        elif number < 32:
            assert (trial["status"], trial["stage"], trial["value"]) == ("FAILED", "lookup", None)
            assert trial["reason"].startswith("lookup: ")
        else:
            assert trial["reason"] is None
            text = trial["label"]
            assert trial["value"] == 1.0 + text.count("01") + text.count("10")
    assert document["rejected"] == {"count": 0, "by_reason": {}, "candidates": []}


def test_only_what_failed(home: Path) -> None:
    document = json.loads(run("trials", "layers", "--failed", "--home", home, "--json").stdout)
    assert sorted(int(t["label"], 2) for t in document["trials"]) == list(range(20, 32))
    text = run("trials", "layers", "--failed", "--home", home, "--csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["id"] for row in rows] == [t["id"] for t in document["trials"]]
    assert {row["status"] for row in rows} == {"FAILED"}
    shown = run("trials", "layers", "--failed", "--home", home).stdout
    assert "Failed trials of layers" in shown
    assert shown.count("lookup: ") == 12


def test_refusals_on_the_command_line(home: Path, tmp_path: Path) -> None:
    for words, line in (
        (["layers", "--json", "--csv"], "exclude each other"),
        (["none"], "no campaign 'none'"),
    ):
        done = run("trials", *words, "--home", home)
        assert (done.exit_code, done.stdout) == (2, "")
        assert line in done.stderr
    assert run("trials", "layers", "--home", tmp_path / "empty").exit_code == 2


def test_the_same_over_http(home: Path) -> None:
    client = TestClient(create_app(Store(home), "secret"))
    response = client.get("/campaigns/layers/trials", params={"failed": True})
    assert response.status_code == 200
    assert response.json() == campaign_trials(Store(home), "layers", failed=True)
    assert len(client.get("/campaigns/layers/trials").json()["trials"]) == 64
    assert client.get("/campaigns/none/trials").status_code == 404


def _planned(store: Store, path: Path) -> Lease:
    """A campaign of five trials in every state, and rejected candidates of two kinds."""
    import yaml

    config = validate(yaml.safe_load(path.read_text()), "config")
    Campaign.create(store, config, methods={"table": "m" * 64})
    lease = Lease.acquire(store, "layers")
    campaign = Campaign(store, "layers", token=lease.token)
    names = ["000000", "000001", "000010", "000011", "000100"]
    candidates = [Candidate(Superlattice(sequence=n), agent="random", label=n) for n in names]
    plans = tuple(
        ev.TrialPlan(
            id=f"t-{i:04d}",
            candidate=c.id,
            digest=c.material.digest,
            fidelity="table",
            method="m" * 64,
            purpose="promise",
            agent="random",
            label=f"[bold]{c.label}[/bold]",
        )
        for i, c in enumerate(candidates[:4], start=1)
    )
    rejected = {
        candidates[4].id: "formation_energy is 0.31, above the limit of 0.1 (eV/atom)",
        "c-unknown": "formation_energy is 1.7, above the limit of 0.1 (eV/atom)",
        "c-other": "relax: the cell [a, b, c] fell apart",
    }
    campaign.record(
        ev.RoundPlanned(
            round=1,
            trials=plans,
            rejected=rejected,
            screened={candidates[4].id: {"formation_energy": 0.31}},
        ),
        candidates=candidates,
    )
    campaign.record(ev.TrialStarted(trials=("t-0001", "t-0002")))
    unstable = Unstable(
        material=candidates[0].material,
        fidelity="table",
        method="m" * 64,
        cost_s=75.0,
        stage="stability",
        min_frequency=-2.345,
    )
    campaign.record(
        ev.TrialDone(trial="t-0001", status="unstable", cost_s=75.0), evaluations=[unstable]
    )
    message = "no convergence after [red]300[/red] steps"
    campaign.record(ev.TrialRequeued(trial="t-0002", stage="fc3", message=message))
    changed = {"agents": (None, None)}
    campaign.record(ev.Steered(changes=changed, config=campaign.state.config))
    return lease


def test_trials_without_an_answer_say_why(tmp_path: Path, write_config: Write) -> None:
    store = Store(tmp_path / "home")
    _planned(store, write_config(tmp_path / "in"))
    document = campaign_trials(store, "layers")
    first, second, third, _ = document["trials"]
    assert first["reason"] == "imaginary phonon modes, lowest frequency -2.35 THz"
    assert (first["min_frequency_thz"], first["cost_s"]) == (-2.345, 75.0)
    assert second["reason"] == "attempt 1: fc3: no convergence after [red]300[/red] steps"
    assert (second["status"], second["outcome"], second["attempts"]) == ("PROPOSED", None, 1)
    assert third["status"] == "CANCELLED"
    assert "settings were changed" in third["reason"]
    failed = campaign_trials(store, "layers", failed=True)["trials"]
    assert [trial["id"] for trial in failed] == ["t-0002"]


def test_rejected_candidates_by_reason(tmp_path: Path, write_config: Write) -> None:
    store = Store(tmp_path / "home")
    _planned(store, write_config(tmp_path / "in"))
    rejected = campaign_trials(store, "layers")["rejected"]
    assert rejected["count"] == 3
    assert rejected["by_reason"] == {
        "formation_energy above the limit of 0.1 (eV/atom)": 2,
        "relax: the cell [a, b, c] fell apart": 1,
    }
    first = rejected["candidates"][0]
    assert (first["formula"], first["screened"]) == ("000100", {"formation_energy": 0.31})
    assert rejected["candidates"][1]["formula"] is None
    text = run("trials", "layers", "--csv", "--home", tmp_path / "home").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["status"] for row in rows[-3:]] == ["REJECTED"] * 3
    assert len(rows) == 7


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_formula_result_and_reason_are_never_lost(
    tmp_path: Path, write_config: Write, width: int
) -> None:
    store = Store(tmp_path / "home")
    _planned(store, write_config(tmp_path / "in"))
    document = campaign_trials(store, "layers")
    # As a terminal, but without colours: only there anything is left out.
    out = Console(
        width=width, file=io.StringIO(), force_terminal=True, color_system=None, markup=False
    )
    out.print(trials_table(document["trials"], "Trials of [x]"))
    out.print(rejected_table(document["rejected"]))
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    words = " ".join(text.split())
    for piece in ("Trials of [x]", "t-0001", "000000", "unstable", "cancelled", "[a, b, c]"):
        assert piece in words
    for piece in ("imaginary", "-2.35", "[red]300[/red]", "settings"):
        assert piece in words
    assert ("agent" in words) == (width >= 120)
    assert ("[bold]000000[/bold]" in words) == (width >= 120)
