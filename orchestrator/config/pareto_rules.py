"""Which objectives can be sought at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.contract.settings import ObjectiveSettings
from agents.proposers.settings import BayesianSettings
from oracle.contract.own_oracle import OwnOracleSettings
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
    asked = [(one.property, one.temperature, one.direction) for one in objectives]
    for index, one in enumerate(asked):
        if one in asked[:index]:
            raise ValueError(f"{KEY}: given {one[0]} twice; expected different properties")
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
