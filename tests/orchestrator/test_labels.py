"""What is no number to learn from is named at launch, or fails its trial; it ends no campaign."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.contract.objective import Objective
from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.superlattice import Superlattice
from orchestrator.assembly import prepared
from orchestrator.assembly.build import build_space
from orchestrator.assembly.oracles import check_table
from orchestrator.calls.oracle_calls import EvaluationRequest, evaluate
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import load_config
from orchestrator.executors.protocol import CallContext
from orchestrator.running.loop import usable

LOG = {"property": "conductance", "goal": "maximize", "log": True}
PLAIN = {**LOG, "log": False}


@pytest.mark.parametrize("value", [0.0, -1.0])
@pytest.mark.parametrize("column", ["conductance", "better"])
def test_a_row_whose_logarithm_does_not_exist_is_named_at_launch(
    desk: Any, column: str, value: float
) -> None:
    oracle = {"kind": "replay", "table": "table.jsonl", "column": "conductance",
              "confirm_column": "better", "stable_column": "stable"}  # fmt: skip
    wrong = {"000110": {column: value}, "000111": {column: value}}
    stable = {design: {"stable": True} for design in desk.designs}
    table = stable | {k: stable[k] | v for k, v in wrong.items()}
    done = desk("launch", desk.config(table, objective=LOG, oracle=oracle), code=2)
    assert f"{column} of '000110' is {value:g} (1 more rows like it)" in done.stderr
    assert "objective.log: false" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not desk.home.exists()
    assert desk("launch", desk.config(table, objective=LOG, oracle=oracle), "--dry-run", code=2)
    desk("launch", desk.config(table, objective=PLAIN, oracle=oracle))
    unstable = table | {k: {"stable": False, column: value} for k in wrong}
    config = load_config(desk.config(unstable, objective=LOG, oracle=oracle))
    assert check_table(config, build_space(config.space)) == []


@pytest.mark.parametrize(
    ("value", "std", "words"),
    [
        (float("nan"), None, "not finite"),
        (float("inf"), None, "not finite"),
        (-2.0, None, "above 0"),
        (0.0, None, "above 0"),
        ("3.0+1j", None, "not a real number"),
        (3.0 + 1.0j, None, "not a real number"),
        (2.0, float("nan"), "standard error"),
        (2.0, -1.0, "standard error"),
    ],
)
def test_a_measured_value_that_is_no_label_is_a_failure_with_a_reason(
    value: Any, std: Any, words: str
) -> None:
    measured = Measured(
        material=Superlattice(sequence="01"), fidelity="bte", method="m", cost_s=1.0, stage="bte",
        properties={"kappa": Quantity(value=value, unit="W/m/K", std=std)},
    )  # fmt: skip
    objective = Objective(property="kappa", temperature=None)
    failed = usable(measured, objective)
    assert failed.status == "failed"
    assert words in failed.message
    assert (failed.permanent, failed.cost_s, failed.stage) == (True, 1.0, "bte")
    assert objective.value(measured) is None
    assert objective.score_of(measured) is None


def test_a_negative_value_is_a_label_where_no_logarithm_is_taken() -> None:
    measured = Measured(
        material=Superlattice(sequence="01"), fidelity="bte", method="m", cost_s=1.0, stage="bte",
        properties={"shift": Quantity(value=-2.0, unit="")},
    )  # fmt: skip
    objective = Objective(property="shift", temperature=None, log=False)
    assert usable(measured, objective) is measured
    assert objective.value(measured) == (-2.0, None)


def test_a_computed_value_that_is_no_label_fails_its_trial_and_the_campaign_goes_on(
    desk: Any, stand_in: Callable[[Any, Any], None]
) -> None:
    given = iter([float("nan"), -3.0])

    def wrong(request: EvaluationRequest, context: CallContext) -> Any:
        evaluation = evaluate(request, context)
        value = next(given, None)
        if value is None or not isinstance(evaluation, Measured):
            return evaluation
        quantity = evaluation.properties["conductance"].model_copy(update={"value": value})
        return evaluation.model_copy(update={"properties": {"conductance": quantity}})

    stand_in(evaluate, wrong)
    agents = [{"kind": "random"}, {"kind": "bayesian"}]
    config = desk.config(objective=LOG, agents=agents, budget={"batch": 4, "oracle_calls": 12})
    desk("launch", config)
    status = desk.document("status", "layers")
    assert (status["oracle_calls"], status["failures"]) == (12, 2)
    assert len(desk.document("best", "layers", "-k", "99")) == 10
    # Another campaign meets the stored answers, and can go on as well.
    desk("launch", config, "--name", "again")
    assert desk.document("status", "again")["failures"] == 2
    # Negative numbers are labels for one that does not take logarithms.
    desk("launch", desk.config(objective=PLAIN, agents=agents), "--name", "third")


@pytest.mark.parametrize(
    ("one", "other", "std", "refused"),
    [
        ({"conductance": 7.0}, {"conductance": 1.5}, False, True),
        ({"conductance": 7.0}, {"conductance": 7.0}, False, False),
        ({"conductance": 7.0}, {"conductance": 7.2}, True, False),
        ({"conductance": 7.0}, {"conductance": 7.9}, True, True),
        ({"conductance": 7.0}, {"conductance": None}, False, True),
        ({"stable": False}, {"stable": True}, False, True),
        ({"stable": False, "conductance": 7.0}, {"stable": False}, False, False),
    ],
)
def test_two_rows_of_one_material_agree_or_are_refused(
    desk: Any, one: Any, other: Any, std: bool, refused: bool
) -> None:
    """Mirrored sequences are one design."""
    oracle = {"kind": "replay", "table": "table.jsonl", "column": "conductance",
              "stable_column": "stable", "std_column": "std" if std else None}  # fmt: skip
    desk.designs = ["000110", "011000", "000011", "010101"]
    common = {design: {"stable": True} for design in desk.designs}
    table = common | {"000110": {"stable": True, **one}, "011000": {"stable": True, **other}}
    config = desk.config(
        table, space={"kind": "pool", "path": "pool.jsonl", "symmetries": ["mirror"]}, oracle=oracle
    )
    done = desk("launch", config, code=2 if refused else 0)
    if refused:
        assert "'000110' and '011000' are one material" in done.stderr
        assert not desk.home.exists()
    else:
        assert "several rows of conductance that agree" in done.stderr


def test_the_row_of_a_second_id_answers_where_the_first_has_none(desk: Any) -> None:
    desk.designs = ["000110", "011000", "000011"]
    config = desk.config(space={"kind": "pool", "path": "pool.jsonl", "symmetries": ["mirror"]})
    table = Path(config.parent / "table.jsonl")
    table.write_text("".join(table.read_text().splitlines(keepends=True)[1:]))
    desk("launch", config)
    status = desk.document("status", "layers")
    assert (status["oracle_calls"], status["failures"]) == (2, 0)


def test_a_table_is_read_before_a_campaign_begins(desk: Any) -> None:
    with pytest.raises(ConfigError, match="000110"):
        prepared.prepare(load_config(desk.config({"000110": {"conductance": -1.0}}, objective=LOG)))
