"""A hunt for holes by real potentials, as a worker runs it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agents.holes.supercell_pool import SupercellPoolSettings
from agents.spaces.prototype_table import prototype
from oracle.materials.crystal import Crystal
from orchestrator.calls.healing_calls import hunt
from orchestrator.calls.healing_requests import HuntRequest, Surroundings
from orchestrator.executors.protocol import CallContext
from orchestrator.healing.trusted import trusted_crystals


def _crystal(kind: str, name: str) -> Crystal:
    return prototype(kind).decorate(re.findall("[A-Z][a-z]?", name))


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> HuntRequest:
    folder: Path = tmp_path_factory.mktemp("hunt")
    return HuntRequest(
        surroundings=Surroundings(SupercellPoolSettings(most_atoms=8, copies=1), folder),
        materials=(_crystal("rocksalt", "NaCl"), _crystal("half-heusler", "TiNiSn")),
        potential="7net-0",
        committee=("chgnet",),
        labels=(),
        trained=False,
        seed=1,
        budget=2,
        threshold=0.0,
    )


def _expected(request: HuntRequest) -> dict[str, float]:
    """Expected force errors, eV/Å, by formula."""
    answer = hunt(request, CallContext())
    return {label.id.partition("-")[0]: label.force_error for label in answer.labels}


@pytest.mark.slow  # relaxes 16 crystals
def test_what_is_like_trusted_crystals_is_no_hole(request_: HuntRequest) -> None:
    """Without any, every crystal counts as very far away, and its expected error is too large."""
    blind = _expected(request_)
    found = _expected(replace(request_, trusted=trusted_crystals()))
    assert found["NaCl"] < 0.1 * blind["NaCl"]
    assert found["NaCl"] < 0.3 * found["TiNiSn"]


def test_the_important_one_is_labelled_first(request_: HuntRequest) -> None:
    for weights, first in (((1.0, 1e-6), "NaCl"), ((1e-6, 1.0), "TiNiSn")):
        answer = hunt(replace(request_, importance=weights, budget=1), CallContext())
        assert [label.id.partition("-")[0] for label in answer.labels] == [first]
