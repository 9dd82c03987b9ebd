"""Every property of the table is sought, modelled and shown as the table says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from oracle.contract.property_spec import PropertySpec
from oracle.contract.property_table import (
    HEADLINES,
    PROPERTY_TABLE,
    names_of,
    sought,
    spec_of,
)
from orchestrator.app.api import create_app
from orchestrator.app.cli import main
from orchestrator.campaign.campaign import Campaign
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import validate
from orchestrator.presentation.property_page import table
from orchestrator.store.store import Store
from surrogate.contract.protocol import Output
from surrogate.features.descriptors import GLOBALS
from surrogate.fidelities.low_fidelity_descriptors import LOW_FIDELITY_PROPERTIES
from surrogate.training_data.prior import prior_mean

ROOT = Path(__file__).resolve().parents[2]
SOUGHT = [name for name, spec in PROPERTY_TABLE.items() if spec.can_be_sought]
NAMES = [each for name in SOUGHT for each in names_of(name)]
SEQUENCES = ("0011", "0101", "0110", "1001", "0111", "0001")
TENSOR = np.diag([1.0, 2.0, 6.0])


def _campaign(folder: Path, objective: dict[str, Any], values: list[Any], **oracle: Any) -> Any:
    """Launch a replay; the exit code, and what was said on either stream."""
    ids = range(len(values))
    pool = [{"id": str(i), "sequence": SEQUENCES[i]} for i in ids]
    rows = [{"id": str(i), "v": values[i]} for i in ids]
    for name, lines in (("pool", pool), ("table", rows)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    config = {
        "name": "one",
        "space": {"kind": "pool", "path": "pool.jsonl"},
        "objective": objective,
        "agents": [{"kind": "random"}, {"kind": "bayesian"}],
        "surrogate": {"kind": "sequence-process"},
        "oracle": {"kind": "replay", "table": "table.jsonl", "column": "v", **oracle},
        "budget": {"batch": 4, "oracle_calls": len(values)},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return _run(folder, "launch", str(folder / "config.yaml"))


def _run(folder: Path, *words: str) -> Any:
    return CliRunner().invoke(main, [*words, "--home", str(folder / "home")])


def _best(folder: Path) -> list[dict[str, Any]]:
    done = _run(folder, "best", "one", "-k", "99", "--json")
    assert done.exit_code == 0, done.stderr
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_sought_in_a_replay(name: str, tmp_path: Path) -> None:
    """The campaign runs, in log where it is positive, and all that is shown has the unit."""
    spec = spec_of(name)
    values = [3.0, 1.0, 2.0, 30.0, 0.1, 5.0]
    unit = {"unit": spec.unit} if spec.unit_varies else {}
    done = _campaign(tmp_path, {"property": name}, values, **unit)
    assert done.exit_code == 0, done.stderr
    campaign = Campaign(Store(tmp_path / "home", reading=True), "one")
    assert campaign.objective.output.log == spec.positive
    assert campaign.objective.property == name
    rows = _best(tmp_path)
    assert [row["value"] for row in rows] == sorted(values)
    assert {row["unit"] for row in rows} == {spec.unit}
    assert {row["quantity"] for row in rows} == {campaign.objective.quantity}
    assert spec.axis in campaign.objective.quantity
    assert (f"({spec.unit})" in done.stdout) == bool(spec.unit)
    page = max((tmp_path / "home" / "rounds" / "one").glob("*/plots.html")).read_text()
    axis = campaign.objective.quantity + (f" ({spec.unit})" if spec.unit else "")
    plain = page.replace("\\u002f", "/")  # plotly escapes slashes inside of scripts
    assert axis in plain or json.dumps(axis)[1:-1] in plain


@pytest.mark.parametrize("name", NAMES)
def test_its_prior_is_used_if_and_only_if_it_names_one(name: str) -> None:
    spec = spec_of(name)
    table = {key: np.array([2.0]) for key in GLOBALS}
    in_log = prior_mean(Output(name, 300.0), table)
    assert (in_log is not None) == (spec.prior is not None)
    if in_log is not None:
        linear = prior_mean(Output(name, 300.0, log=False), table)
        assert linear == pytest.approx(10.0 ** float(in_log[0]))


def test_priors_are_in_the_units_of_the_table() -> None:
    """Debye temperature of 100 K is a frequency of 2.08 THz (k_B/h = 20.84 GHz/K)."""
    table = {key: np.array([2.0]) for key in GLOBALS}
    for name in ("max_frequency", "max_frequency_thz"):
        mean = prior_mean(Output(name, None, log=False), table)
        assert mean == pytest.approx(2.0837, rel=1e-4), name
    assert prior_mean(Output("debye_temperature", None, log=False), table) == pytest.approx(100.0)
    assert prior_mean(Output("bulk_modulus", None, log=False), table) == pytest.approx(100.0)


def test_names_elsewhere_are_names_of_the_table() -> None:
    assert set(LOW_FIDELITY_PROPERTIES) <= set(PROPERTY_TABLE)
    assert set(HEADLINES) <= set(PROPERTY_TABLE)
    names = [name for each in PROPERTY_TABLE for name in names_of(each)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", list(PROPERTY_TABLE))
def test_an_entry_says_all_there_is_to_say(name: str) -> None:
    spec = PROPERTY_TABLE[name]
    assert spec.label
    assert spec.description.endswith(".")
    assert spec.slope is None or (spec.per_temperature and spec.positive)
    assert spec.temperature is None or spec.per_temperature
    assert set(spec.numbers_from) <= set(spec.oracles)
    assert spec.shape == "tensor" or not spec.numbers_from
    assert spec.prior is None or spec.positive


def test_one_that_is_not_in_the_table_can_be_sought_too(tmp_path: Path) -> None:
    done = _campaign(tmp_path, {"property": "band_gap"}, [1.0, -1.0, 3.0])
    assert done.exit_code == 0, done.stderr
    assert [row["value"] for row in _best(tmp_path)] == [-1.0, 1.0, 3.0]
    assert "Best of one: band gap" in done.stdout
    assert spec_of("band_gap") == PropertySpec("band gap", "")


@pytest.mark.parametrize(
    ("direction", "value", "words"),
    [
        (None, 3.0, "κ at 300 K"),
        ([0, 0, 1], 6.0, "κ along [0 0 1] at 300 K"),
        ([2, 2, 0], 1.5, "κ along [2 2 0] at 300 K"),
        ("min", 1.0, "smallest principal κ at 300 K"),
        ("max", 6.0, "largest principal κ at 300 K"),
    ],
)
def test_a_conductivity_along_a_direction(
    direction: Any, value: float, words: str, tmp_path: Path
) -> None:
    values = [(TENSOR * factor).tolist() for factor in (2.0, 1.0, 3.0, 4.0)]
    done = _campaign(tmp_path, {"property": "kappa", "direction": direction}, values)
    assert done.exit_code == 0, done.stderr
    rows = _best(tmp_path)
    assert [row["value"] for row in rows] == pytest.approx([value * k for k in (1, 2, 3, 4)])
    assert {row["quantity"] for row in rows} == {words}
    assert (words in done.stdout) == (direction is not None)
    status = json.loads(_run(tmp_path, "status", "one", "--json").stdout)
    assert status["best"] == rows[0]
    shown = json.loads(_run(tmp_path, "show", rows[0]["candidate"], "--json").stdout)
    assert shown["why"][0]["quantity"] == words
    assert shown["why"][0]["trials"][0]["value"] == pytest.approx(value)
    assert shown["kappa"] == TENSOR.tolist()


def test_a_direction_of_a_table_without_tensors_is_refused_by_the_row(tmp_path: Path) -> None:
    values = [TENSOR.tolist(), 3.5, None]
    done = _campaign(tmp_path, {"property": "kappa", "direction": [0, 0, 1]}, values)
    assert done.exit_code == 2
    assert "v of '1' is 3.5, one number" in done.stderr
    assert "expected a tensor of 3 x 3 numbers in every row" in done.stderr
    (tmp_path / "other").mkdir()
    assert _campaign(tmp_path / "other", {"property": "kappa"}, values).exit_code == 0


@pytest.mark.parametrize("value", [[[1, 2], [3, 4]], [[1, 0, 0], [0, 1, 0], [0, 0, None]], "x"])
def test_what_is_no_tensor_is_refused(value: Any, tmp_path: Path) -> None:
    done = _campaign(tmp_path, {"property": "kappa"}, [TENSOR.tolist(), value])
    assert done.exit_code == 2
    assert "expected a number, a tensor of 3 x 3 numbers, or null" in done.stderr


def test_a_tensor_of_what_is_a_number_is_refused(tmp_path: Path) -> None:
    done = _campaign(tmp_path, {"property": "bulk_modulus"}, [TENSOR.tolist(), 1.0])
    assert done.exit_code == 2
    assert "expected a number or null" in done.stderr


PROTOTYPES = {"kind": "prototypes", "prototypes": ["rocksalt"]}
LAYERS = {"kind": "superlattice", "alphabet": {"S": "Si", "G": "Ge"}, "leads": ["S", "S"],
          "length": 4}  # fmt: skip


@pytest.mark.parametrize(
    ("objective", "oracle", "words"),
    [
        ({"property": "volume", "direction": [0, 0, 1]}, {}, ["direction", "seek one of kappa"]),
        ({"direction": [0, 0, 0]}, {}, ["objective.direction", "not zero"]),
        ({"direction": [0, 1]}, {}, ["objective.direction", "three numbers"]),
        ({"direction": [0, 0, True]}, {}, ["objective.direction", "three numbers"]),
        ({"direction": [0, 0, float("nan")]}, {}, ["objective.direction"]),
        ({"direction": "up"}, {}, ["objective.direction", "min or max"]),
        ({"direction": "max"}, {"fidelities": ["harmonic"]},
         ["objective.direction", "given max", "harmonic", "no tensor", "with bte"]),
        ({"direction": [0, 0, 1]}, {"kind": "green"}, ["[0, 0, 1]", "green", "no tensor"]),
        ({"property": "max_msd"}, {"fidelities": ["harmonic"]}, ["add bte", "bulk_modulus"]),
        ({"property": "kappa_coherence"}, {"coherence": False}, ["oracle.coherence: true"]),
        ({"property": "elastic_tensor"}, {}, ["as a number"]),
        ({"property": "bulk_moduls"}, {}, ["did you mean 'bulk_modulus'"]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(objective: Any, oracle: Any, words: list[str]) -> None:
    settings = {"kind": "phonon-bte", **oracle}
    space = LAYERS if settings["kind"] == "green" else PROTOTYPES
    raw = {"name": "x", "space": space, "objective": objective, "oracle": settings}
    with pytest.raises(ConfigError) as refused:
        validate(raw, "config")
    assert "\n" not in str(refused.value)
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize("fidelity", ["harmonic", "bte"])
def test_all_that_a_fidelity_measures_can_be_sought(fidelity: str) -> None:
    for name in sought("phonon-bte", fidelity):
        required = spec_of(name).requires
        oracle: dict[str, Any] = {"kind": "phonon-bte", "fidelities": [fidelity]}
        oracle |= {required: True} if required else {}
        for each in names_of(name):
            raw = {"name": "x", "space": PROTOTYPES, "objective": {"property": each},
                   "oracle": oracle}  # fmt: skip
            assert validate(raw, "config").objective.in_log == spec_of(name).positive


def test_what_was_recorded_is_modelled_as_it_was() -> None:
    """Beliefs of earlier campaigns are recorded on the scale of their time."""
    raw: dict[str, Any] = {"name": "x", "space": PROTOTYPES, "oracle": {"kind": "phonon-bte"},
                           "objective": {"property": "max_frequency_thz"}}  # fmt: skip
    assert not validate(raw, "config", recorded=True).objective.in_log
    new = validate(raw, "config").model_dump(mode="json")
    assert new["objective"]["log"] is True
    assert validate(new, "config", recorded=True).objective.in_log
    raw["objective"] = {"property": "kappa"}
    assert validate(raw, "config", recorded=True).objective.in_log


def test_the_page_is_the_table() -> None:
    assert (ROOT / "docs" / "properties.md").read_text().endswith(f"\n\n{table()}")


def test_the_web_service_says_what_can_be_sought(tmp_path: Path) -> None:
    schema = create_app(Store(tmp_path / "home"), "token").openapi()
    text = schema["components"]["schemas"]["LaunchRequest"]["properties"]["config"]["description"]
    assert [line.split(":")[0].split(" ")[0] for line in text.splitlines()[1:]] == SOUGHT
