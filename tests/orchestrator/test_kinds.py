"""Oracles, surrogates and spaces that do not fit together are refused before a campaign exists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from agents.contract.protocol import Candidate
from agents.contract.settings import CONSTRAINT_LIMITS, ELEMENT_CONSTRAINTS
from agents.selection.batch import Selected, Selection
from agents.spaces.prototype_table import competitors, prototype
from agents.spaces.prototypes import PrototypeSpace
from agents.spaces.settings import PrototypeSpaceSettings
from orchestrator.assembly.build import IN_A_SPACE, PROPOSERS, SPACES, SURROGATES
from orchestrator.assembly.prepared import prepare
from orchestrator.calls.oracle_calls import EnergyAnswer, EnergyRequest
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.kinds import KINDS, OF_SPACE
from orchestrator.config.loading import validate
from orchestrator.executors.protocol import Executor
from orchestrator.rounds.constraint_gate import ConstraintGate

PROTOTYPES = {"kind": "prototypes", "elements": ["Na", "Cl"], "prototypes": ["rocksalt"]}
LAYERS = {
    "kind": "superlattice", "alphabet": {"S": "Si", "G": "Ge"}, "leads": ["S", "S"], "length": 4,
}  # fmt: skip
EMT = "ase.calculators.emt:EMT"
PHONONS = {"kind": "phonon-bte", "calculator": EMT}
GREEN = {"kind": "green", "calculator": EMT}


def _raw(space: dict[str, Any], oracle: dict[str, Any], **more: Any) -> dict[str, Any]:
    sought = "kappa" if oracle["kind"] in ("phonon-bte", "replay") else "conductance"
    return {
        "name": "a",
        "space": space,
        "oracle": oracle,
        "objective": {"property": sought},
        **more,
    }


@pytest.mark.parametrize(
    ("space", "oracle", "more", "message"),
    [
        (LAYERS, PHONONS, {}, "oracle.kind: given 'phonon-bte'.*layer sequences.*green, replay"),
        (PROTOTYPES, GREEN, {}, "oracle.kind: given 'green'.*holds crystals.*phonon-bte"),
        (PROTOTYPES, PHONONS, {"surrogate": {"kind": "sequence-process"}},
         "surrogate.kind: given 'sequence-process'.*crystals.*graph-ensemble"),
        (PROTOTYPES, {"kind": "interface", "calculator": EMT}, {}, "oracle.kind.*'interface'"),
        (LAYERS, {"kind": "interface", "calculator": EMT}, {}, "oracle.kind.*'interface'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_at_validation(
    space: dict[str, Any], oracle: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    raw = _raw(space, oracle, **more)
    with pytest.raises(ConfigError, match=message) as error:
        validate(raw, "config")
    assert "\n" not in str(error.value)
    # What a campaign has begun with can still be read.
    assert validate(raw, "config", recorded=True).oracle.kind == oracle["kind"]


def _pool(folder: Path, kind: str) -> dict[str, Any]:
    if kind == "superlattice":
        records: list[dict[str, Any]] = [{"id": "1", "sequence": "0101"}]
    else:
        structure = prototype("rocksalt").decorate(("Na", "Cl"), (1, -1)).structure()
        records = [{"id": "1", "structure": structure.as_dict()}]
    path = folder / "pool.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return {"kind": "pool", "path": str(path)}


@pytest.mark.parametrize(
    ("kind", "oracle", "more", "message"),
    [
        ("superlattice", PHONONS, {}, "oracle.kind: given 'phonon-bte'.*layer sequences"),
        ("crystal", GREEN, {}, "oracle.kind: given 'green'.*crystals"),
        ("crystal", PHONONS, {"surrogate": {"kind": "sequence-process"}}, "surrogate.kind"),
    ],
)
def test_a_pool_is_refused_once_it_is_read(
    kind: str, oracle: dict[str, Any], more: dict[str, Any], message: str, tmp_path: Path
) -> None:
    config = validate(_raw(_pool(tmp_path, kind), oracle, **more), "config")
    with pytest.raises(ConfigError, match=message):
        prepare(config)


def test_profiles_name_what_there_is() -> None:
    assert set(OF_SPACE) | {"pool"} == set(SPACES)
    only_in_pools = {"composition"}
    assert set(OF_SPACE.values()) | only_in_pools == set(KINDS)
    for rules in KINDS.values():
        assert set(rules.surrogates) <= set(SURROGATES)
        assert set(rules.agents) <= {*PROPOSERS, *IN_A_SPACE}
        assert set(rules.constraints or ()) <= {*CONSTRAINT_LIMITS, *ELEMENT_CONSTRAINTS}
    for table, named in (
        (set(SURROGATES), {name for rules in KINDS.values() for name in rules.surrogates}),
        ({*PROPOSERS, *IN_A_SPACE}, {name for rules in KINDS.values() for name in rules.agents}),
    ):
        assert table == named


class _RecordingExecutor:
    """Records the requests, and answers each with energies that violate no constraint."""

    def __init__(self) -> None:
        self.requests: list[EnergyRequest] = []

    def map(self, function: object, payloads: Iterable[EnergyRequest]) -> Iterator[EnergyAnswer]:
        for request in payloads:
            self.requests.append(request)
            yield EnergyAnswer({"energy_above_best_polymorph": 0.0, "formation_energy": -1.0})


def test_rivals_of_a_spaces_own_prototypes_are_compared(tmp_path: Path) -> None:
    label = "aflow:AB_oP8_62_c_c"
    settings = PrototypeSpaceSettings.model_validate(
        {"prototypes": ["rocksalt", label], "elements": ["Na", "Cl"]}
    )
    space = PrototypeSpace(settings)
    salt = next(m for m in space if space.label(m) == "rocksalt")
    config = CampaignConfig.model_validate(
        _raw({**PROTOTYPES, "prototypes": ["rocksalt", label]}, PHONONS)
    )
    executor = _RecordingExecutor()
    gate = ConstraintGate(config, space, cast(Executor, executor), tmp_path)
    selection = Selection((Selected(Candidate(salt, "random"), "promise"),), batch=1)
    chosen, _ = gate.first_allowed(selection, 1)
    assert len(chosen) == 1
    (request,) = executor.requests
    named = set(competitors(salt))  # type: ignore[arg-type]
    own = set(request.competitors) - named
    assert {name.partition(" ")[0] for name in own} == {label}
