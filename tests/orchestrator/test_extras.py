"""What is not installed is said before anything is recorded, with the command that installs it."""

from __future__ import annotations

from typing import Any

import pytest

from oracle.potentials import table as potentials
from oracle.potentials.potential_spec import PotentialSpec
from orchestrator.assembly import extras
from orchestrator.assembly.prepared import prepare
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import validate

_ABSENT = PotentialSpec(
    "no_such_package", "weights.pt", lambda: None, "pip install 'phonoscout[absent]'"
)


def _config(**changes: Any) -> CampaignConfig:
    return validate(
        {
            "name": "x",
            "space": {"kind": "prototypes", "elements": ["Na", "Cl"], "prototypes": ["rocksalt"]},
            "objective": {"property": "kappa"},
            "oracle": {"kind": "phonon-bte", "calculator": "emt-like"},
            **changes,
        },
        "config",
    )


@pytest.fixture(autouse=True)
def _absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(potentials.POTENTIALS, "absent", _ABSENT)
    monkeypatch.setitem(potentials.POTENTIALS, "emt-like", _ABSENT)


@pytest.mark.parametrize("kind", ["graph-ensemble", "gaussian-process", "multi-fidelity"])
def test_features_of_a_potential_that_is_not_installed(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"surrogate\.features: .*phonoscout\[absent\]"):
        prepare(_config(surrogate={"kind": kind, "features": "absent"}))


def test_descriptors_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "is_installed", lambda package: package != "matminer")
    with pytest.raises(ConfigError, match=r"'random-forest' needs matminer; pip install"):
        prepare(_config(surrogate={"kind": "random-forest"}))


def test_a_calculator_that_is_not_installed() -> None:
    with pytest.raises(ConfigError, match=r"oracle: .*phonoscout\[absent\]"):
        prepare(_config(surrogate={"kind": "random-forest"}))
