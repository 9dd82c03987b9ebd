"""Constraints that a config does not name."""

from __future__ import annotations

from typing import Any

import pytest

from agents.contract.settings import ConstraintSettings
from orchestrator.assembly.prepared import prepare
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError

OPEN: dict[str, Any] = {
    "name": "salts",
    "space": {"kind": "crystals", "elements": ["Na", "Cl"]},
    "objective": {"property": "kappa"},
    "oracle": {"kind": "phonon-bte"},
}
LISTED: dict[str, Any] = OPEN | {
    "space": {"kind": "prototypes", "elements": ["Na", "Mg", "O", "Cl"]}
}


def _written(config: CampaignConfig) -> Any:
    return config.model_dump(mode="json")["constraints"]


def test_they_are_written_into_the_config_and_stay() -> None:
    new = CampaignConfig.model_validate(OPEN)
    assert _written(new) == ["dynamically_stable", {"energy_above_hull": 0.1}]
    recorded = new.model_dump(mode="json")
    again = CampaignConfig.model_validate(recorded, context={"recorded": True})
    assert again.constraints == new.constraints


def test_a_campaign_of_an_earlier_version_keeps_what_it_began_with() -> None:
    old = CampaignConfig.model_validate(OPEN | {"constraints": None}, context={"recorded": True})
    assert _written(old) == ["dynamically_stable"]
    listed = CampaignConfig.model_validate(LISTED, context={"recorded": True})
    assert listed.constraints == CampaignConfig.model_validate(LISTED).constraints
    assert ConstraintSettings(name="formation_energy", limit=0.0) in (listed.constraints or ())


@pytest.mark.parametrize("given", [[], ["non_metal"]])
def test_what_is_given_stays(given: list[str]) -> None:
    assert _written(CampaignConfig.model_validate(OPEN | {"constraints": given})) == given


def test_constraints_that_leave_nothing_are_refused_before_anything_is_recorded() -> None:
    config = CampaignConfig.model_validate(LISTED | {"constraints": [{"with_elements": ["Pb"]}]})
    with pytest.raises(ConfigError, match=r"constraints: none of the .* has no Pb; relax them"):
        prepare(config)
