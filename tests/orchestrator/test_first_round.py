"""The first round, before there are labels, follows physics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.materials.crystal import Crystal
from orchestrator.app.cli import main
from orchestrator.campaign.campaign import Campaign
from orchestrator.store.store import Store
from surrogate.contract.protocol import Output
from surrogate.features.feature_store import FeatureStore
from surrogate.features.material_inputs import MaterialInputs
from surrogate.training_data.prior import prior_mean

METALS = ("Al", "Cu", "Ag", "Au", "Ni", "Pd", "Pt")
EMT = "ase.calculators.emt:EMT"


def _planned(folder: Path, **changes: Any) -> Campaign:
    """A campaign of two evaluations on face-centred cubic metals, whose table says nothing."""
    folder.mkdir(parents=True)
    with (folder / "pool.jsonl").open("w") as pool, (folder / "table.jsonl").open("w") as table:
        for metal in METALS:
            structure = AseAtomsAdaptor.get_structure(bulk(metal))
            row = json.loads(structure.to_json())
            pool.write(json.dumps({"id": metal, "structure": row}) + "\n")
            table.write(json.dumps({"id": metal, "kappa": 5.0}) + "\n")
    config = {
        "name": "metals",
        "seed": 5,
        "space": {"kind": "pool", "path": str(folder / "pool.jsonl")},
        "objective": {"property": "kappa", "goal": "minimize"},
        "agents": [{"kind": "bayesian"}],
        "surrogate": {"kind": "gaussian-process", "features": EMT},
        "oracle": {"kind": "replay", "table": str(folder / "table.jsonl"), "column": "kappa"},
        "confirmation": {"leaders": 0},
        "constraints": [],
        "budget": {"batch": 2, "oracle_calls": 2},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
        **changes,
    }
    (folder / "metals.yaml").write_text(json.dumps(config))
    home = folder / "home"
    with pytest.raises(SystemExit) as ended:
        main(["launch", str(folder / "metals.yaml"), "--home", str(home)])
    assert ended.value.code == 0
    return Campaign(Store(home), "metals")


def _chosen(campaign: Campaign) -> set[str]:
    return {str(trial.plan.label) for trial in campaign.state.trials.values()}


@pytest.fixture(scope="module")
def by_slack(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The metals by Slack's formula, lowest conductivity first."""
    crystals = [Crystal.from_structure(AseAtomsAdaptor.get_structure(bulk(m))) for m in METALS]
    store = FeatureStore(EMT, tmp_path_factory.mktemp("features"))
    mean = prior_mean(Output("kappa", 300.0), MaterialInputs(store)(crystals).descriptors)
    assert mean is not None
    assert np.isfinite(mean).all()
    return [METALS[k] for k in np.argsort(mean)]


def test_the_lowest_and_the_highest_by_slack_come_first(
    by_slack: list[str], tmp_path: Path
) -> None:
    lowest = _planned(tmp_path / "low")
    assert by_slack[0] in _chosen(lowest)
    assert by_slack[-1] not in _chosen(lowest)
    highest = _planned(tmp_path / "high", objective={"property": "kappa", "goal": "maximize"})
    assert by_slack[-1] in _chosen(highest)


def test_its_trials_carry_no_prediction(tmp_path: Path) -> None:
    for trial in _planned(tmp_path / "low").state.trials.values():
        assert trial.plan.belief is None


@pytest.mark.parametrize(
    "changes",
    [
        {"selection": {"first_round": "random"}},
        {"selection": {"pool_limit": 3}},
    ],
)
def test_otherwise_it_is_drawn_at_random(
    changes: dict[str, Any], by_slack: list[str], tmp_path: Path
) -> None:
    seen = set()
    for seed in range(4):
        seen |= _chosen(_planned(tmp_path / str(seed), seed=seed, **changes))
    assert len(seen) > 3
