"""Which objectives can be sought at the same time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from agents.contract.settings import ObjectiveSettings
from agents.proposers.settings import BayesianSettings
from oracle.contract.own_oracle import OwnOracleSettings
from oracle.contract.property_table import names_of
from orchestrator.config.objective_rules import check_objective
from orchestrator.config.oracle_settings import AnyOracleSettings

KEY = "further_objectives"


def check_together(
    objectives: Sequence[ObjectiveSettings], oracle: AnyOracleSettings, agents: Sequence[Any]
) -> None:
    """Check that several objectives can be sought at the same time; a single one always can.

    Args:
        objectives: of a campaign, the first one of `objective`.
        oracle: of the campaign.
        agents: their settings.

    Raises:
        ValueError: the oracle does not measure one of them, two are the same, or a part of the
            campaign knows only one objective.
    """
    if len(objectives) < 2:
        return
    for index, further in enumerate(objectives[1:]):
        _check_measured(further, oracle, f"{KEY}.{index}")
    asked = [
        (names_of(one.property)[0], one.temperature, _unit_vector(one.direction))
        for one in objectives
    ]
    for index, one in enumerate(asked):
        if one in asked[:index]:
            raise ValueError(f"{KEY}: given {one[0]} twice; expected each once")
    if "target" in [one.goal for one in objectives]:
        raise ValueError(
            f"{KEY}: given with goal: target; expected minimize or maximize for each, of which a "
            "front consists"
        )
    fidelities = list(getattr(oracle, "fidelities", None) or ())
    if len(fidelities) > 1:
        raise ValueError(
            f"{KEY}: given with oracle.fidelities {fidelities}; expected a single one, because "
            "cheap fidelities are weighed for one objective"
        )
    for agent in agents:
        if isinstance(agent, BayesianSettings) and agent.acquisition != "log-ei":
            raise ValueError(
                f"{KEY}: given with the acquisition {agent.acquisition}; expected log-ei, whose "
                "place the expected improvement of the dominated volume takes"
            )


def _unit_vector(direction: Any) -> Any:
    """A direction whose length and sense do not matter, rounded."""
    if not isinstance(direction, (list, tuple)):
        return direction
    length = math.sqrt(sum(x * x for x in direction))
    sense = next((1 if x > 0 else -1 for x in direction if x), 1)
    return tuple(round(sense * x / length, 6) for x in direction)


def _check_measured(further: ObjectiveSettings, oracle: AnyOracleSettings, key: str) -> None:
    """Check that an oracle measures a further objective."""
    if isinstance(oracle, OwnOracleSettings):
        return  # its properties are not known here
    if oracle.kind == "replay":
        raise ValueError(
            f"{key}: given with oracle.kind: replay, whose table has one column of values; "
            "expected an oracle that computes"
        )
    try:
        check_objective(oracle, further, ())
    except ValueError as error:
        raise ValueError(str(error).replace("objective.", f"{key}.", 1)) from error
