"""A campaign in the open space of crystals, which nobody has listed."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError
from rich.console import Console

from agents.selection.settings import SelectionSettings
from agents.spaces.crystal_space import CrystalSpace
from agents.spaces.settings import CrystalSpaceSettings
from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.crystal import Crystal
from orchestrator.assembly import prepared
from orchestrator.assembly.build import build_proposers, build_space
from orchestrator.assembly.oracles import build_oracle
from orchestrator.calls import oracle_calls
from orchestrator.calls.oracle_calls import EvaluationRequest
from orchestrator.campaign.campaign import Campaign
from orchestrator.config.config import CampaignConfig
from orchestrator.config.loading import load_config
from orchestrator.executors.protocol import CallContext
from orchestrator.plots.figures import round_figures
from orchestrator.presentation.rendering import funnel_line
from orchestrator.queries.queries import best, status
from orchestrator.rounds.pool_scan import narrowed
from orchestrator.running import runner
from orchestrator.store.store import Store

CONFIG = {
    "name": "alloys",
    "seed": 3,
    "space": {
        "kind": "crystals",
        "elements": ["Cu", "Ag", "Au", "Pd"],
        "components": [1, 2],
        "max_atoms": 2,
        "space_groups": [123, 139, 194, 221, 225, 229],
        "oxidation_states": "none",
    },
    "objective": {"property": "kappa", "temperature": 300, "goal": "minimize"},
    "agents": [{"kind": "random"}, {"kind": "substitution"}, {"kind": "bayesian"}],
    "surrogate": {"kind": "random-forest"},
    "oracle": {
        "kind": "phonon-bte",
        "calculator": "ase.calculators.emt:EMT",
    },
    "confirmation": {"leaders": 0},
    "budget": {"batch": 4, "oracle_calls": 8},
    "executor": {"kind": "serial"},
    "tracking": {"enabled": False},
}


def _evaluated(request: EvaluationRequest, context: CallContext) -> Measured:
    """The lighter the atoms, the higher kappa."""
    crystal = request.material
    assert isinstance(crystal, Crystal)
    value = 100.0 / crystal.structure().composition.weight * len(crystal.species)
    return Measured(
        material=crystal,
        fidelity="bte",
        method=build_oracle(request.oracle, request.fidelity).method_digest,
        cost_s=1.0,
        stage="bte",
        temperature=(300.0,),
        properties={"kappa": Quantity(value=[value], unit="W/m/K", per_temperature=True)},
    )


def test_all_stages_of_a_round_predict_the_same_draws() -> None:
    space = CrystalSpace(CrystalSpaceSettings.model_validate(CONFIG["space"]))
    asked: list[int] = []

    class Drawing:
        size, materials = None, None

        def listed(self, limit: int, rng: np.random.Generator) -> Any:
            asked.append(limit)
            return space.listed(4, rng)

    arguments: dict[str, Any] = {"settings": SelectionSettings(), "cache": Path()}
    draws = {"rng": np.random.default_rng(1), "fixed_rng": np.random.default_rng(2)}
    one = narrowed(Drawing(), None, None, None, **draws, **arguments)  # type: ignore[arg-type]
    assert one.listed(100, np.random.default_rng(2)) is one.listed(9, np.random.default_rng(3))
    assert len(asked) == 1


def test_agents_find_crystals_that_nobody_listed(
    tmp_path: Path, stand_in: Callable[[Any, Any], None]
) -> None:
    stand_in(oracle_calls.evaluate, _evaluated)
    path = tmp_path / "alloys.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    config = load_config(path)
    store = Store(tmp_path / "home")
    runner.create(store, prepared.prepare(config))
    runner.run_campaign(store, "alloys", console=Console(file=io.StringIO()))
    campaign = Campaign(store, "alloys")
    trials = campaign.state.objective_trials()
    assert len(trials) == 8
    space = build_space(config.space)
    for trial in trials:
        material = store.candidate(trial.plan.candidate).material
        assert isinstance(material, Crystal)
        assert material in space
    assert len({trial.plan.digest for trial in trials}) == 8
    rows = best(store, "alloys", 50)
    assert len(rows) == 8
    groups = {"P4/mmm", "I4/mmm", "P6_3/mmc", "Pm-3m", "Fm-3m", "Im-3m"}
    assert {row["label"] for row in rows} <= groups
    assert "Au" in rows[0]["formula"]  # the heaviest
    # What would gain more than 0.1 eV/atom by decomposing is not measured.
    assert all(row["energy_above_hull"] <= 0.1 for row in rows)
    assert status(store, "alloys")["funnel"]["relaxed"] >= len(rows)
    plots = {path.name for path in round_figures(campaign, store.home, tmp_path / "plots")}
    assert "agents.png" in plots  # of three agents


def test_a_generative_model_proposes_and_its_ideas_are_counted(
    tmp_path: Path, stand_in: Callable[[Any, Any], None]
) -> None:
    stand_in(oracle_calls.evaluate, _evaluated)
    path = tmp_path / "alloys.yaml"
    space = CONFIG["space"] | {"max_atoms": 6}  # type: ignore[operator]
    agents = [{"kind": "wyckoff", "number": 16}]
    path.write_text(yaml.safe_dump(CONFIG | {"space": space, "agents": agents}))
    store = Store(tmp_path / "home")
    runner.create(store, prepared.prepare(load_config(path)))
    runner.run_campaign(store, "alloys", console=Console(file=io.StringIO()))
    state = Campaign(store, "alloys").state
    trials = state.objective_trials()
    assert len(trials) == 8
    assert "wyckoff" in {trial.plan.agent for trial in trials}
    counts = status(store, "alloys")["funnel"]
    assert counts["proposed"] >= counts["valid"] >= counts["new"] >= 8
    assert counts["evaluated"] == counts["stable"] == 8
    assert counts["confirmed"] == counts["agreed"] == 0
    planned = state.rounds[0].planned_metrics
    assert planned["proposed_wyckoff"] >= planned["new_wyckoff"] > 0
    line = funnel_line(counts)
    assert line.startswith(f"Candidates: {counts['proposed']} proposed → ")
    assert line.endswith("8 evaluated → 8 stable")
    assert funnel_line(dict.fromkeys(counts, 0)) == "Candidates: none yet"


def test_without_agents_a_generative_model_is_among_them() -> None:
    for space, expected in (
        (CONFIG["space"], ["bayesian", "wyckoff", "evolution"]),
        ({"kind": "prototypes", "elements": ["Na", "Cl"]}, ["bayesian"]),
    ):
        given = {key: value for key, value in CONFIG.items() if key != "agents"}
        config = CampaignConfig.model_validate(given | {"space": space})
        assert list(build_proposers(config, "bte", "crystal")) == expected


def test_a_generative_model_needs_a_space_that_nobody_has_listed() -> None:
    prototypes = {"kind": "prototypes", "prototypes": ["rocksalt"], "elements": ["Na", "Cl"]}
    given = CONFIG | {"space": prototypes, "agents": [{"kind": "wyckoff"}]}
    with pytest.raises(ValidationError, match=r"'wyckoff' with space\.kind 'prototypes'.*crystals"):
        CampaignConfig.model_validate(given)


def _generating(tmp_path: Path, text: str, agents: list[dict[str, Any]]) -> Campaign:
    """A finished campaign, one agent of which is a program with this text."""
    program = tmp_path / "generator.py"
    program.write_text(f"import sys\nfrom pathlib import Path\nfolder = Path(sys.argv[-1])\n{text}")
    command = shlex.join([sys.executable, str(program)])
    external = {"kind": "external", "command": command, "time_limit": 60}
    path = tmp_path / "alloys.yaml"
    path.write_text(yaml.safe_dump(CONFIG | {"agents": [*agents, external]}))
    store = Store(tmp_path / "home")
    runner.create(store, prepared.prepare(load_config(path)))
    runner.run_campaign(store, "alloys", console=Console(file=io.StringIO()))
    return Campaign(store, "alloys")


def test_a_generator_that_fails_leaves_its_share_to_others(
    tmp_path: Path, stand_in: Callable[[Any, Any], None]
) -> None:
    stand_in(oracle_calls.evaluate, _evaluated)
    campaign = _generating(tmp_path, "sys.exit('out of memory')", [{"kind": "random"}])
    assert len(campaign.state.objective_trials()) == 8
    (note,) = [note for note in campaign.state.notes if note.startswith("round 1: external: ")]
    assert "ended with status 1 (out of memory)" in note
    assert note in status(campaign.store, "alloys")["notes"]


def test_what_a_generator_writes_is_measured(
    tmp_path: Path, stand_in: Callable[[Any, Any], None]
) -> None:
    stand_in(oracle_calls.evaluate, _evaluated)
    text = (
        "from ase.build import bulk\nfrom ase.io import write\n"
        "for metal in ('Cu', 'Ag', 'Au', 'Pd'):\n"
        "    write(folder / f'{metal}.cif', bulk(metal, 'fcc', a=4.0))\n"
    )
    campaign = _generating(tmp_path, text, [{"kind": "random"}])
    by = [trial.plan.agent for trial in campaign.state.objective_trials()]
    assert "external" in by


def test_without_another_agent_the_reason_ends_the_campaign(
    tmp_path: Path, stand_in: Callable[[Any, Any], None]
) -> None:
    stand_in(oracle_calls.evaluate, _evaluated)
    stopped = _generating(tmp_path, "", []).state.stopped
    assert stopped is not None
    assert stopped.state == "failed"
    assert "planning a round: external: it wrote no files" in stopped.reason
