"""What the loop costs beside the oracle: prints the table of benchmarks/README.md.

    python benchmarks/loop.py [quickstart] [replay] [commit] [propose]

Everything runs in temporary homes, in this order, one after another.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from agents.contract.objective import Objective
from agents.contract.protocol import Candidate
from agents.proposers.bayesian import BayesianProposer
from agents.spaces.finite import FiniteSpace
from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.superlattice import Superlattice
from orchestrator.campaign.campaign import Campaign
from orchestrator.store.lease import Lease
from orchestrator.store.store import NewEvent, Store
from surrogate.contract.settings import GaussianProcessSettings
from surrogate.features.feature_store import FeatureStore
from surrogate.models.gaussian_process import GaussianProcess

SETTINGS = GaussianProcessSettings()
CONFIGS = Path(__file__).resolve().parent.parent / "configs"
Row = tuple[str, str, str]


def _launch(config: Path, home: Path) -> float:
    """Run a campaign in a process of its own; seconds of the whole command."""
    began = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "orchestrator.app.cli",
        "launch",
        str(config),
        "--home",
        str(home),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def quickstart() -> list[Row]:
    """Wall time, overhead, utilisation and time to the first call of the quickstart."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        launched = time.time()
        wall = _launch(CONFIGS / "quickstart.yaml", home)
        state = Campaign(Store(home), "quickstart").state
    trials = [t for t in state.trials.values() if t.started is not None and t.finished is not None]
    spans = sorted((t.started or 0.0, t.finished or 0.0) for t in trials)
    busy = sum(end - start for start, end in spans)
    covered = _union(spans)
    slots = os.cpu_count() or 1
    rounds = {t.round for t in trials}
    phases = [
        _span([(t.started or 0.0, t.finished or 0.0) for t in trials if t.round == number])
        for number in rounds
    ]
    after_start = launched + wall - spans[0][0]
    return [
        ("quickstart: wall time", f"{wall:.0f} s", "under 600"),
        ("quickstart: command to first oracle call", f"{spans[0][0] - launched:.1f} s", "under 30"),
        (
            "quickstart: time with no oracle call running, from the first call on",
            f"{100 * (1 - covered / after_start):.0f} %",
            "under 15 %",
        ),
        (
            "quickstart: core utilisation in the evaluation phases",
            f"{100 * busy / (slots * sum(phases)):.0f} %",
            "over 75 %",
        ),
    ]


def _union(spans: list[tuple[float, float]]) -> float:
    """Total length of the union of intervals that are sorted by their start."""
    total, end = 0.0, -np.inf
    for start, stop in spans:
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def _span(spans: list[tuple[float, float]]) -> float:
    return max(stop for _, stop in spans) - min(start for start, _ in spans)


def replay() -> list[Row]:
    """Milliseconds per trial of a replay of 1,000 evaluations."""
    rng = np.random.default_rng(0)
    designs = sorted({"".join(rng.choice(list("01"), 16)) for _ in range(6000)})[:4000]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _write_lines(home / "pool.jsonl", [{"id": d, "sequence": d} for d in designs])
        values = [{"id": d, "conductance": 100.0 + _interfaces(d)} for d in designs]
        _write_lines(home / "table.jsonl", values)
        config = home / "replay.yaml"
        config.write_text(
            "name: replay\nspace: {kind: pool, path: pool.jsonl}\n"
            "objective: {property: conductance, goal: minimize}\n"
            "agents: [{kind: bayesian}, {kind: evolution}, {kind: random}]\n"
            "oracle: {kind: replay, table: table.jsonl, column: conductance}\n"
            "budget: {batch: 50, oracle_calls: 1000}\nexecutor: {kind: serial}\n"
        )
        wall = _launch(config, home / "home")
        state = Campaign(Store(home / "home"), "replay").state
        fit = sum(r.planned_metrics.get("seconds_fit", 0.0) for r in state.rounds)
        busy = state.busy_s
    return [
        ("replay of 1,000 in batches of 50: whole command", f"{wall:.1f} s", ""),
        ("replay: per trial, all included", f"{busy:.2f} ms", "under 20"),
        ("replay: of that, fitting the surrogate", f"{fit:.2f} ms", ""),
    ]


def _interfaces(design: str) -> float:
    return float(sum(a != b for a, b in itertools.pairwise(design)))


def _write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def commit() -> list[Row]:
    """Milliseconds of one durable commit of an evaluation with its event."""
    times = []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        store = Store(Path(folder))
        store.create_campaign("c", {}, [NewEvent("created", {})])
        with Lease.acquire(store, "c") as lease:
            for i in range(300):
                evaluation = _measurement(f"{i:012b}", float(i))
                began = time.perf_counter()
                store.append(
                    "c",
                    [NewEvent("trial_done", {"trial": f"t-{i}"})],
                    evaluations=[evaluation],
                    candidates=[Candidate(evaluation.material, "random")],
                    token=lease.token,
                )
                times.append(1e3 * (time.perf_counter() - began))
        version = sqlite3.sqlite_version
    low, high = np.percentile(times, [5, 95])
    text = f"{statistics.median(times):.2f} ms (5-95 %: {low:.2f}-{high:.2f}; SQLite {version})"
    return [("durable commit of one evaluation", text, "under 10")]


def _measurement(sequence: str, value: float) -> Measured:
    return Measured(
        material=Superlattice(sequence=sequence),
        fidelity="table",
        method="m",
        cost_s=0.0,
        stage="lookup",
        properties={"conductance": Quantity(value=value, unit="")},
    )


def propose() -> list[Row]:
    """Seconds to propose from a pool of 100,000 with 500 evaluations known."""
    rng = np.random.default_rng(0)
    space = FiniteSpace(
        [Superlattice(sequence=f"{i:017b}") for i in range(100_000)], [None] * 100_000
    )
    objective = Objective("conductance", None, "minimize", log=False)
    evaluations = [
        _measurement(space.materials[i].formula, _interfaces(space.materials[i].formula))
        for i in rng.choice(100_000, 500, replace=False)
    ]
    surrogate = GaussianProcess(
        (objective.output,), "table", seed=0, store=FeatureStore("7net-0"), settings=SETTINGS
    )
    began = time.perf_counter()
    surrogate.fit(evaluations)
    fitted = time.perf_counter() - began
    surrogate.posterior(space.materials, outputs=[objective.output], fidelity="table")
    proposer = BayesianProposer(fidelity="table")
    began = time.perf_counter()
    result = proposer.propose(
        16,
        space=space,
        objective=objective,
        evaluations=evaluations,
        pending=(),
        surrogate=surrogate,
        rng=rng,
    )
    seconds = time.perf_counter() - began
    assert len(result) == 16
    return [
        ("propose 16 of 100,000 with 500 known, features cached", f"{seconds:.2f} s", "under 2"),
        ("the fit before it", f"{fitted:.2f} s", ""),
    ]


PARTS: dict[str, Callable[[], list[Row]]] = {
    "quickstart": quickstart,
    "replay": replay,
    "commit": commit,
    "propose": propose,
}


def main(names: list[str]) -> None:
    """Run the parts named, or all, and print one table."""
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}")
    print("\n| what | measured | aim |\n|---|---|---|")
    for name in names or list(PARTS):
        for what, measured, aim in PARTS[name]():
            print(f"| {what} | {measured} | {aim} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
