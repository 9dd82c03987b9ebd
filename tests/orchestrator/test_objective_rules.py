"""What no fidelity gives is refused before anything is measured, or ends a campaign at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.contract.evaluation import Measured, scalar
from oracle.contract.property_table import PROPERTY_TABLE
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context
from orchestrator.calls.oracle_calls import EvaluationRequest, evaluate
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import validate
from orchestrator.executors.protocol import CallContext

PROTOTYPES = {"kind": "prototypes", "prototypes": ["rocksalt"]}
LAYERS = {"kind": "superlattice", "alphabet": {"S": "Si", "G": "Ge"}, "leads": ["S", "S"],
          "length": 4}  # fmt: skip
TWO = [300, 600]


def _validated(space: Any, objective: Any, oracle: Any, **more: Any) -> CampaignConfig:
    raw = {"name": "x", "space": space, "objective": objective, "oracle": oracle}
    return validate(raw | more, "config")


@pytest.mark.parametrize(
    ("space", "objective", "oracle", "constraints", "words"),
    [
        (PROTOTYPES, {"property": "heat_capacity"}, {"temperatures": TWO}, None,
         ["objective.temperature", "heat_capacity", "300 to 600 K"]),
        (PROTOTYPES, {"property": "anharmonicity"}, {"fidelities": ["harmonic"]}, None,
         ["objective.property", "anharmonicity", "harmonic", "add bte", "kappa"]),
        (PROTOTYPES, {"property": "heat_capacity"}, {"fidelities": ["harmonic"]}, None,
         ["objective.property", "heat_capacity", "add bte"]),
        (PROTOTYPES, {"property": "max_frequency_thz"}, {"temperatures": TWO}, [{"max_msd": 0.1}],
         ["objective.temperature", "max_msd"]),
        (PROTOTYPES, {"property": "anharmonicity"}, {"temperatures": TWO}, None,
         ["objective.temperature", "anharmonicity"]),
        (PROTOTYPES, {}, {"fidelities": ["harmonic"]}, [{"anharmonicity": 0.3}],
         ["constraints", "anharmonicity", "harmonic", "leave it out"]),
        (PROTOTYPES, {"property": "kapa"}, {}, None, ["objective.property", "'kapa'", "kappa"]),
        (PROTOTYPES, {"temperature": 900}, {}, None, ["objective.temperature", "900"]),
        (LAYERS, {"property": "conductance"}, {"kind": "green", "temperatures": TWO}, None,
         ["objective.temperature", "conductance"]),
        (LAYERS, {"property": "conductance"}, {"kind": "green"}, [{"max_msd": 0.1}],
         ["constraints", "max_msd", "green"]),
        ({"kind": "pool", "path": "p"}, {"property": "q"},
         {"kind": "replay", "table": "t", "column": "c"}, [{"max_msd": 0.1}],
         ["constraints", "max_msd", "replay"]),
    ],
)  # fmt: skip
def test_what_is_never_measured_is_refused(
    space: Any, objective: Any, oracle: Any, constraints: Any, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        _validated(space, objective, {"kind": "phonon-bte", **oracle}, constraints=constraints)
    assert "\n" not in str(refused.value)
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize(
    ("space", "objective", "oracle", "constraints"),
    [
        (PROTOTYPES, {"property": "heat_capacity"}, {}, None),
        (PROTOTYPES, {"property": "heat_capacity", "temperature": 450}, {"temperatures": TWO},
         [{"max_msd": 0.1}]),
        (PROTOTYPES, {"property": "max_frequency_thz"}, {"temperatures": TWO}, None),
        (PROTOTYPES, {}, {"fidelities": ["harmonic"]}, [{"gruneisen_mean": 2.0}]),
        (PROTOTYPES, {"property": "anharmonicity"}, {"fidelities": ["harmonic", "bte"]}, None),
        (LAYERS, {"property": "conductance"}, {"kind": "green"}, ["dynamically_stable"]),
    ],
)  # fmt: skip
def test_what_is_measured_is_not(space: Any, objective: Any, oracle: Any, constraints: Any) -> None:
    settings = {"kind": "phonon-bte", **oracle}
    assert _validated(space, objective, settings, constraints=constraints).oracle.kind


def test_a_campaign_of_an_earlier_version_stays_readable() -> None:
    raw = {"name": "x", "space": PROTOTYPES, "objective": {"property": "anharmonicity"},
           "oracle": {"kind": "phonon-bte", "fidelities": ["harmonic"]}}  # fmt: skip
    assert validate(raw, "config", recorded=True).objective.property == "anharmonicity"
    with pytest.raises(ConfigError):
        validate(raw, "config")


@pytest.mark.parametrize("fidelity", ["harmonic", "bte"])
def test_the_table_says_what_the_oracle_gives(fidelity: Any, tmp_path: Path) -> None:
    settings = PhononSettings(
        calculator="ase.calculators.emt:EMT",
        temperatures=(300.0, 600.0),
        fc2_supercell=(2, 2, 2),
        fc3_supercell=(2, 2, 2),
        mesh=(5, 5, 5),
        full_solution=True,
        pairs_start=3,
        pairs_max=3,
        bands=False,
    )
    crystal = Crystal.from_structure(
        AseAtomsAdaptor.get_structure(bulk("Cu", "fcc", 3.59, cubic=True))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluation = PhononBTE(settings, fidelity).evaluate(crystal, context=Context(tmp_path))
    assert isinstance(evaluation, Measured), evaluation
    assert set(evaluation.properties) <= set(PROPERTY_TABLE)
    for name, spec in PROPERTY_TABLE.items():
        if name == "force_calls":
            continue
        given = spec.given_at("phonon-bte", fidelity)
        assert (name in evaluation.properties) == given, name
        if given:
            quantity = evaluation.properties[name]
            assert quantity.unit == spec.unit, name
            assert quantity.per_temperature == spec.per_temperature, name
            assert (quantity.tensor == "cartesian-2") == (spec.shape == "tensor"), name
            if spec.can_be_sought:
                value = scalar(evaluation, name, 300.0)
                assert value is not None, name
                assert value[0] > 0 or not spec.positive, name


def test_a_first_round_without_any_value_ends_a_campaign(
    desk: Any, stand_in: Callable[[Any, Any], None]
) -> None:
    """As an oracle does that was extended and gives another property than it says."""

    def other(request: EvaluationRequest, context: CallContext) -> Measured:
        evaluation = evaluate(request, context)
        assert isinstance(evaluation, Measured)
        length = {"length": evaluation.properties["conductance"]}
        return evaluation.model_copy(update={"properties": length})

    stand_in(evaluate, other)
    done = desk("launch", desk.config(budget={"batch": 4, "oracle_calls": 40}), code=1)
    assert "failed: objective.property: none of the 4 measured has conductance" in done.stdout
    assert "the oracle gave: length" in done.stdout
    assert desk.hints(done.stdout) == []
    again = desk("resume", "layers", code=1)
    assert "none of the 4 measured has conductance" in again.stdout
    assert desk.document("status", "layers")["oracle_calls"] == 4


def test_a_first_round_of_arrays_where_a_number_is_sought(
    desk: Any, stand_in: Callable[[Any, Any], None]
) -> None:
    def array(request: EvaluationRequest, context: CallContext) -> Measured:
        found = evaluate(request, context)
        assert isinstance(found, Measured)
        given = found.properties["conductance"].model_copy(update={"value": [1.0, 2.0]})
        return found.model_copy(update={"properties": {"conductance": given}})

    stand_in(evaluate, array)
    done = desk("launch", desk.config(budget={"batch": 4, "oracle_calls": 40}), code=1)
    assert "the oracle gave it as an array or at other temperatures" in done.stdout
