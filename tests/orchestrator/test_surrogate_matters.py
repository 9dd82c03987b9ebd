"""The surrogate earns its place: the same campaign with its means shuffled finds less."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from orchestrator.assembly.build import build_surrogate
from orchestrator.assembly.prepared import prepare
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.ranking import ranking
from orchestrator.config.loading import validate
from orchestrator.rounds import planning
from orchestrator.running.runner import create, run_campaign
from orchestrator.store.store import Store
from surrogate.contract.protocol import Calibration, Posterior

SEEDS = (0, 1, 2)


class Shuffled:
    """A surrogate that tells everybody somebody else's mean."""

    def __init__(self, inner: Any, seed: int) -> None:
        self._inner = inner
        self._seed = seed

    def fit(self, evaluations: Any, *, calibration: Calibration) -> None:
        self._inner.fit(evaluations, calibration=calibration)

    def posterior(self, materials: Sequence[Any], *, outputs: Any, fidelity: str) -> Posterior:
        found: Posterior = self._inner.posterior(materials, outputs=outputs, fidelity=fidelity)
        order = np.random.default_rng(self._seed).permutation(len(materials))
        return dataclasses.replace(found, mean=found.mean[order])


def _landscape(folder: Path, seed: int) -> tuple[dict[str, Any], dict[str, float]]:
    """512 sequences with couplings between neighbours and next neighbours, drawn at random."""
    rng = np.random.default_rng(seed)
    near, far, field = rng.normal(size=8), 0.5 * rng.normal(size=7), 0.3 * rng.normal(size=9)
    designs = [f"{i:09b}" for i in range(512)]
    values = {}
    for design in designs:
        spins = np.array([1.0 if bit == "1" else -1.0 for bit in design])
        values[design] = float(
            near @ (spins[1:] * spins[:-1]) + far @ (spins[2:] * spins[:-2]) + field @ spins
        )
    folder.mkdir()
    pool = [{"id": d, "sequence": d} for d in designs]
    table = [{"id": d, "energy": v} for d, v in values.items()]
    for name, rows in (("pool", pool), ("table", table)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    config = {
        "name": "landscape",
        "seed": seed,
        "space": {"kind": "pool", "path": str(folder / "pool.jsonl")},
        "objective": {"property": "energy", "goal": "minimize"},
        "agents": [{"kind": "bayesian"}],
        "oracle": {"kind": "replay", "table": str(folder / "table.jsonl"), "column": "energy"},
        "budget": {"batch": 5, "oracle_calls": 40},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
    }
    return config, values


def _regret(folder: Path, config: dict[str, Any], values: dict[str, float]) -> float:
    """How far the best found lies above the optimum, in standard deviations of the landscape."""
    store = Store(folder)
    create(store, prepare(validate(config, "test")))
    run_campaign(store, "landscape", console=Console(file=io.StringIO()))
    campaign = Campaign(store, "landscape")
    rows = ranking(campaign.state, campaign.objective)
    assert len(rows) == 40
    everything = np.array(list(values.values()))
    return float((rows[0].value - everything.min()) / everything.std())


@pytest.mark.slow  # eight campaigns of forty evaluations
def test_shuffled_means_find_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = build_surrogate
    honest, shuffled = [], []
    for seed in SEEDS:
        config, values = _landscape(tmp_path / f"data-{seed}", seed)
        honest.append(_regret(tmp_path / f"honest-{seed}", config, values))
        with monkeypatch.context() as patch:
            patch.setattr(
                planning,
                "build_surrogate",
                lambda *a, seed=seed: Shuffled(plain(*a), seed),
            )
            shuffled.append(_regret(tmp_path / f"shuffled-{seed}", config, values))
    assert np.mean(honest) < 0.5 * np.mean(shuffled), (honest, shuffled)
    assert sum(h <= s for h, s in zip(honest, shuffled, strict=True)) >= 2
