"""A campaign with two objectives finds and shows a Pareto front."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from pydantic import ValidationError
from rich.console import Console

from agents.contract.pareto import front_numbers
from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.crystal import Crystal
from orchestrator.app.cli import main
from orchestrator.assembly import prepared
from orchestrator.assembly.build import build_space
from orchestrator.assembly.oracles import build_oracle
from orchestrator.calls import oracle_calls
from orchestrator.calls.oracle_calls import EvaluationRequest
from orchestrator.campaign.campaign import Campaign
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import load_config
from orchestrator.executors.protocol import CallContext
from orchestrator.plots.figures import round_figures
from orchestrator.queries.queries import best
from orchestrator.running import runner
from orchestrator.store.store import Store

CONFIG: dict[str, Any] = {
    "name": "both",
    "seed": 2,
    "space": {
        "kind": "prototypes",
        "prototypes": ["rocksalt", "cscl", "zincblende"],
        "elements": ["Li", "Na", "K", "Rb", "Cs", "F", "Cl", "Br", "I"],
    },
    "objective": {"property": "kappa", "temperature": 300, "goal": "minimize"},
    "further_objectives": [{"property": "bulk_modulus", "goal": "maximize"}],
    "constraints": ["dynamically_stable"],
    "agents": [{"kind": "bayesian"}],
    "surrogate": {"kind": "gaussian-process", "features": "ase.calculators.lj:LennardJones"},
    "oracle": {"kind": "phonon-bte", "calculator": "ase.calculators.lj:LennardJones"},
    "confirmation": {"leaders": 0},
    "budget": {"batch": 4, "oracle_calls": 32},
    "executor": {"kind": "serial"},
    "tracking": {"enabled": False},
}


def _values(crystal: Crystal) -> tuple[float, float]:
    """Kappa and bulk modulus that no crystal has both as it should: light ones are stiff."""
    structure = crystal.structure()
    volume = structure.volume / len(structure)
    mass = structure.composition.weight / len(structure)
    return 2000.0 / mass / volume**0.5, 3000.0 / volume**1.3 * (
        1.3 if "Li" in crystal.species else 1
    )


def _evaluated(request: EvaluationRequest, context: CallContext) -> Measured:
    crystal = request.material
    assert isinstance(crystal, Crystal)
    kappa, modulus = _values(crystal)
    return Measured(
        material=crystal,
        fidelity="bte",
        method=build_oracle(request.oracle, request.fidelity).method_digest,
        cost_s=1.0,
        stage="bte",
        temperature=(300.0,),
        properties={
            "kappa": Quantity(value=[kappa], unit="W/m/K", per_temperature=True),
            "bulk_modulus": Quantity(value=modulus, std=0.02 * modulus, unit="GPa"),
        },
    )


def _run(tmp_path: Path, **changes: Any) -> Store:
    path = tmp_path / "both.yaml"
    path.write_text(yaml.safe_dump(CONFIG | changes))
    store = Store(tmp_path / "home")
    runner.create(store, prepared.prepare(load_config(path)))
    runner.run_campaign(store, "both", console=Console(file=io.StringIO()))
    return store


def _true_front(store: Store) -> set[str]:
    crystals = [
        c for c in build_space(Campaign(store, "both").config.space) if isinstance(c, Crystal)
    ]
    values = np.array([_values(crystal) for crystal in crystals])
    numbers = front_numbers(np.column_stack([-np.log10(values[:, 0]), values[:, 1]]))
    return {crystal.digest for crystal, n in zip(crystals, numbers, strict=True) if n == 1}


def _found(store: Store) -> set[str]:
    return {
        label.evaluation.material.digest for label in Campaign(store, "both").state.labels.values()
    }


def test_more_of_the_front_is_found_than_by_chance(
    tmp_path: Path, stand_in: Callable[[Any, Any], None]
) -> None:
    stand_in(oracle_calls.evaluate, _evaluated)
    shares = {}
    changes: dict[str, Any] = {"budget": {"batch": 6, "oracle_calls": 24}}
    for name, agent in (("both", "bayesian"), ("chance", "random")):
        (tmp_path / name).mkdir()
        store = _run(tmp_path / name, **changes, agents=[{"kind": agent}])
        front = _true_front(store)
        assert len(front) >= 6
        shares[name] = len(front & _found(store)) / len(front)
    assert shares["both"] > shares["chance"] + 0.2, shares


def test_the_front_is_shown(tmp_path: Path, stand_in: Callable[[Any, Any], None]) -> None:
    stand_in(oracle_calls.evaluate, _evaluated)
    store = _run(tmp_path, budget={"batch": 8, "oracle_calls": 16})
    rows = best(store, "both", 50)
    assert len(rows) == 16
    scores = np.array([(-np.log10(r["value"]), r["further"][0]["value"]) for r in rows])
    assert [row["front"] for row in rows] == front_numbers(scores).tolist()
    fronts = [row["front"] for row in rows]
    assert fronts == sorted(fronts)
    for front in set(fronts):  # by kappa within each front
        values = [row["value"] for row in rows if row["front"] == front]
        assert values == sorted(values)
    first = rows[0]["further"][0]
    assert (first["property"], first["unit"], first["goal"]) == ("bulk_modulus", "GPa", "maximize")
    assert first["std"] == pytest.approx(0.02 * first["value"])
    plots = {
        path.name for path in round_figures(Campaign(store, "both"), store.home, tmp_path / "p")
    }
    assert "front.png" in plots
    shown = CliRunner().invoke(main, ["best", "both", "--home", str(store.home), "--json"])
    assert json.loads(shown.stdout)[0]["front"] == 1
    table = CliRunner().invoke(main, ["best", "both", "--home", str(store.home)]).stdout
    assert "front" in table
    assert "(GPa)" in table


def test_steering_keeps_to_the_rules(tmp_path: Path, stand_in: Callable[[Any, Any], None]) -> None:
    stand_in(oracle_calls.evaluate, _evaluated)
    store = _run(tmp_path, budget={"batch": 4, "oracle_calls": 4})
    campaign = Campaign(store, "both")
    with pytest.raises(ConfigError, match="expected log-ei"):
        campaign.steered(["agents=[{kind: bayesian, acquisition: ucb}]"])
    with pytest.raises(ConfigError, match="further_objectives"):
        campaign.steered(["further_objectives=[]"])


def test_a_campaign_with_one_objective_has_no_front(
    tmp_path: Path, stand_in: Callable[[Any, Any], None]
) -> None:
    stand_in(oracle_calls.evaluate, _evaluated)
    store = _run(tmp_path, budget={"batch": 4, "oracle_calls": 4}, further_objectives=[])
    rows = best(store, "both", 50)
    assert all(row["front"] is None and row["further"] == [] for row in rows)
    values = [row["value"] for row in rows]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"further_objectives": [{"property": "kappa"}]}, "kappa twice"),
        ({"further_objectives": [{"property": "conductance"}]}, "further_objectives.0.property"),
        (
            {"further_objectives": [{"property": "bulk_modulus", "goal": "target", "target": 9}]},
            "expected minimize or maximize",
        ),
        ({"oracle": {"kind": "phonon-bte", "fidelities": ["harmonic", "bte"]}}, "a single one"),
        ({"agents": [{"kind": "bayesian", "acquisition": "ucb"}]}, "expected log-ei"),
    ],
)
def test_what_cannot_be_sought_together_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CampaignConfig.model_validate(CONFIG | changes)
