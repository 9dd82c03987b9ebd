"""Errors, cautions and curves belong to their temperature, and which temperatures are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from agents.contract.objective import Objective
from agents.contract.settings import ObjectiveSettings
from oracle.contract.evaluation import EVALUATION, Failed, Measured, caution, scalar
from oracle.formulas import changes
from oracle.green.settings import GreenSettings
from oracle.interface.settings import InterfaceSettings
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.doubts import cautions
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context
from orchestrator.assembly.oracles import build_oracle
from orchestrator.config.errors import ConfigError
from orchestrator.running.single import oracle_settings

UNSET = ("dispersion", "full_solution", "reference_temperature")  # in the digest only if set
SILICON = Crystal.from_structure(
    Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0.0] * 3])
)
GRID = (50.0, 300.0, 1000.0)


def _settings(**changes: Any) -> PhononSettings:
    return PhononSettings.model_validate(
        {
            "calculator": "tersoff",
            "bands": False,
            "fc2_supercell": (2, 2, 2),
            "fc3_supercell": (2, 2, 2),
            "mesh": (6, 6, 6),
            **changes,
        }
    )


def _measured(folder: Path, **changes: Any) -> Measured:
    evaluation = PhononBTE(_settings(**changes)).evaluate(SILICON, context=Context(folder))
    assert isinstance(evaluation, Measured), evaluation
    return evaluation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temperatures")


@pytest.fixture(scope="module")
def together(folder: Path) -> Measured:
    return _measured(folder, temperatures=GRID)


@pytest.fixture(scope="module")
def alone(folder: Path) -> dict[float, Measured]:
    return {t: _measured(folder, temperatures=(t,)) for t in GRID}


def test_each_temperature_has_the_error_that_it_has_alone(
    together: Measured, alone: dict[float, Measured]
) -> None:
    for t in GRID:
        value, expected = scalar(together, "kappa", t), scalar(alone[t], "kappa", t)
        assert value is not None
        assert expected is not None
        # The number of pairs and the correction for noise depend on the temperature nearest 300 K.
        assert value[0] == pytest.approx(expected[0], rel=5e-3)
        assert value[1] == pytest.approx(expected[1], rel=0.05)
    errors = together.provenance["relative_error"]["total"]
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]
    assert scalar(together, "kappa", 300.0) == pytest.approx(
        scalar(alone[300.0], "kappa", 300.0), rel=1e-9
    )


def test_anharmonicity_is_that_of_each_temperature(
    together: Measured, alone: dict[float, Measured]
) -> None:
    for t in GRID:
        assert scalar(together, "anharmonicity", t) == scalar(alone[t], "anharmonicity")
    shares = together.properties["anharmonicity"].value
    assert shares == sorted(shares)
    assert isinstance(alone[300.0].properties["anharmonicity"].value, float)


def test_several_temperatures_are_another_method_and_one_is_the_same_as_ever() -> None:
    """The digest of one temperature is that under which older homes keep their evaluations."""
    one = PhononBTE(PhononSettings(calculator="tersoff"))
    document = one.settings.model_dump(mode="json", exclude={"fidelities", *UNSET})
    from oracle.phonon_bte.oracle import VERSION
    from oracle.potentials.dft_settings import described
    from oracle.potentials.table import weights_digest
    from oracle.runtime.digests import digest_of

    document["calculator"] = described("tersoff")
    plain = {"oracle": "phonon-bte", "version": VERSION, "fidelity": "bte", "settings": document}
    weights = weights_digest("tersoff")
    assert one.method_digest == digest_of({**plain, "weights": weights})
    several = PhononSettings(calculator="tersoff", temperatures=(200.0, 300.0))
    document = document | {"temperatures": [200.0, 300.0]}
    assert PhononBTE(several).method_digest != digest_of(
        {**plain, "settings": document, "weights": weights}
    )


def test_curves_end_at_the_part_that_they_say(together: Measured, folder: Path) -> None:
    cumulative = json.loads((folder / together.artefacts["phonons"]).read_text())[
        "cumulative_kappa"
    ]
    assert [curve["temperature"] for curve in cumulative["each"]] == list(GRID)
    for i, curve in enumerate(cumulative["each"]):
        assert curve["part"] == "particle"
        for name in ("particle", "coherence"):
            tensor = np.array(together.properties[f"kappa_{name}"].value[i])
            assert curve[name] == pytest.approx(np.trace(tensor) / 3, rel=1e-9), name
        assert curve["total"] == pytest.approx(curve["particle"] + curve["coherence"], rel=1e-9)
        for running in ("kappa", "kappa_by_length"):
            assert curve[running][-1] == pytest.approx(curve["particle"], rel=1e-6)
    assert {k: v for k, v in cumulative.items() if k != "each"} == cumulative["each"][0]


def _cautions(anharmonicity: list[float], error: list[float], **changes: Any) -> dict[str, Any]:
    return cautions(
        PhononSettings(temperatures=changes.pop("temperatures", GRID)),
        changes.pop("always", []),
        anharmonicity=np.array(anharmonicity),
        softest=changes.pop("softest", 2.0),
        error=np.array(error),
    )


def test_a_doubt_belongs_to_its_temperature() -> None:
    fields = _cautions([0.05, 0.2, 0.6], [0.4, 0.1, 0.05])
    cold, middle, hot = fields["cautions"]
    assert cold == "numerical error of 40%"
    assert middle is None
    assert hot is not None
    assert "60% of the force at 1000 K" in hot
    assert fields["low_confidence"] == f"{hot}; numerical error of 40% at 50 K"


def test_the_worst_temperature_is_named_and_the_others_listed() -> None:
    fields = _cautions([0.4, 0.5, 0.6], [0.0] * 3, always=["Born charges add up to 0.2 e per atom"])
    assert fields["low_confidence"].startswith("Born charges add up to 0.2 e per atom; strong anh")
    assert "60% of the force at 1000 K" in fields["low_confidence"]
    assert fields["low_confidence"].endswith("(also at 50, 300 K)")
    assert all("Born charges" in text for text in fields["cautions"])


def test_of_one_temperature_the_words_are_as_before() -> None:
    fields = _cautions([0.37], [0.49], temperatures=(300.0,), softest=0.1)
    assert fields["cautions"] == ()
    assert fields["low_confidence"] == (
        "strong anharmonicity: 37% of the force at 300 K is beyond third order, four-phonon "
        "scattering is missing; barely stable: a mode lies at 0.10 THz; numerical error of 49%"
    )


def test_a_campaign_shows_the_doubts_at_the_temperature_that_it_seeks() -> None:
    fields = _cautions([0.05, 0.2, 0.6], [0.4, 0.1, 0.05])
    evaluation = Measured.model_validate(
        {
            "material": SILICON,
            "fidelity": "bte",
            "method": "m",
            "cost_s": 1.0,
            "stage": "bte",
            "temperature": GRID,
            "properties": {},
            **fields,
        }
    )
    again = EVALUATION.validate_json(EVALUATION.dump_json(evaluation))
    assert caution(again, Objective(temperature=300.0).temperature) is None
    assert caution(again, 1000.0) == fields["cautions"][2]
    between = caution(again, 100.0)
    assert between == fields["cautions"][0]  # an interpolated number has the doubts of both ends
    assert caution(again, None) == fields["low_confidence"]
    old = again.model_copy(update={"cautions": ()})
    assert caution(old, 300.0) == fields["low_confidence"]


def test_numbers_at_the_reference_temperature_are_those_that_it_has_alone(
    folder: Path, alone: dict[float, Measured]
) -> None:
    """The number of pairs and the correction for noise are decided there."""
    hot = _measured(folder, temperatures=GRID, reference_temperature=1000.0)
    assert scalar(hot, "kappa", 1000.0) == scalar(alone[1000.0], "kappa", 1000.0)
    assert hot.provenance["reference_temperature"] == 1000.0


@pytest.mark.parametrize(
    ("sought", "reference"), [(1000.0, 1000.0), (900.0, 1000.0), (60.0, 50.0), (310.0, 300.0)]
)
def test_a_campaign_is_exact_at_the_temperature_of_its_objective(
    sought: float, reference: float
) -> None:
    settings, objective = _settings(temperatures=GRID), ObjectiveSettings(temperature=sought)
    plain, campaign = build_oracle(settings, "bte"), build_oracle(settings, "bte", None, objective)
    assert isinstance(campaign, PhononBTE)
    assert campaign.settings.reference == reference
    assert campaign.tightened(1).settings.reference == reference
    # Where nothing differs, the evaluations of `phonoscout evaluate` are those of the campaign.
    assert (campaign.method_digest == plain.method_digest) == (reference == 300.0)
    chosen = _settings(temperatures=GRID, reference_temperature=300.0)
    own = build_oracle(chosen, "bte", None, objective)
    assert isinstance(own, PhononBTE)
    assert own.settings.reference == 300.0


def test_a_reference_must_be_among_the_temperatures() -> None:
    with pytest.raises(ValidationError, match="got 400; expected one of temperatures"):
        _settings(temperatures=GRID, reference_temperature=400.0)


def test_where_a_mesh_holds_no_heat_nothing_is_known() -> None:
    value, reference = np.array([2.0, 0.0, np.nan, 1.0, 2e7]), np.array([1.0, 1.0, 1.0, 0.0, 1.0])
    logarithms = changes.change(value, reference)
    np.testing.assert_allclose(logarithms, [np.log(2.0), *[changes.UNKNOWN] * 4])


@pytest.mark.parametrize("temperature", [0.01, 1e-300, 0.0, -5.0, 5000.1, float("nan")])
@pytest.mark.parametrize("model", [PhononSettings, GreenSettings, InterfaceSettings])
def test_temperatures_without_sense_are_refused_with_the_range(
    model: type[PhononSettings], temperature: float
) -> None:
    with pytest.raises(ValidationError, match="1 to 5000 K"):
        model(temperatures=(temperature,))


def test_the_command_line_says_it_in_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        oracle_settings(None, ["temperatures=[0.01]"])
    assert str(caught.value).startswith("--set: temperatures.0: given 0.01; expected: 1 to 5000 K")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("others", [(), (300.0,)])
def test_a_mesh_too_coarse_for_the_cold_is_refused_before_third_order(
    folder: Path, others: tuple[float, ...]
) -> None:
    oracle = PhononBTE(_settings(temperatures=(1.0, *others)))
    evaluation = oracle.evaluate(SILICON, context=Context(folder))
    assert isinstance(evaluation, Failed)
    assert evaluation.stage == "bte"
    assert "at 1 K no mode of the mesh [6, 6, 6] is thermally populated" in evaluation.message
    assert "denser mesh" in evaluation.message


def test_the_hottest_that_is_allowed_is_an_answer_with_a_caution(folder: Path) -> None:
    evaluation = _measured(folder, temperatures=(5000.0,))
    value = scalar(evaluation, "kappa", 5000.0)
    assert value is not None
    assert 0 < value[0] < 100
    assert evaluation.low_confidence is not None
    assert "at 5000 K is beyond third order" in evaluation.low_confidence
