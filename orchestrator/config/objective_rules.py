"""Checks objective and constraints against the properties that the oracle computes."""

from __future__ import annotations

from collections.abc import Iterable

from agents.contract.constraints import ON_MEASUREMENTS
from agents.contract.settings import ConstraintSettings, ObjectiveSettings
from oracle.contract.property_spec import Direction, PropertySpec
from oracle.contract.property_table import PROPERTY_TABLE, names_of, sought, spec_of
from oracle.runtime.suggestions import did_you_mean
from orchestrator.config.oracle_settings import OracleSettings


def check_objective(
    oracle: OracleSettings,
    objective: ObjectiveSettings,
    constraints: Iterable[ConstraintSettings],
) -> None:
    """Check that the oracle's last fidelity computes the objective and all constrained properties.

    Raises:
        ValueError: a property is never computed, a direction is asked of a property that is no
            tensor, or it is not said which of several temperatures is meant.
    """
    for constraint in constraints:
        if constraint.name in ON_MEASUREMENTS:
            _check_constraint(oracle, objective, constraint.name)
    if oracle.kind == "replay":  # its table holds whatever property the objective names
        return
    name, spec, last = objective.property, spec_of(objective.property), _last(oracle)
    if oracle.kind not in spec.oracles or not spec.can_be_sought:
        allowed = _sought_at_any(oracle)
        raise ValueError(
            f"objective.property: given {name!r}, which oracle.kind: {oracle.kind} does not "
            f"measure{' as a number' if oracle.kind in spec.oracles else ''}; "
            f"{did_you_mean(name, allowed)}allowed: {', '.join(allowed)}"
        )
    if not spec.given_at(oracle.kind, last):
        raise ValueError(
            f"objective.property: given {name!r}, but oracle.fidelities ends with {last}, which "
            f"does not measure it; add {spec.oracles[oracle.kind][0]} there, or seek one of: "
            f"{', '.join(sought(oracle.kind, last))}"
        )
    if spec.requires and not getattr(oracle, spec.requires):
        raise ValueError(
            f"objective.property: given {name!r}, which is measured only with "
            f"oracle.{spec.requires}: true; set it"
        )
    if objective.direction is not None and not spec.tensor_at(oracle.kind, last):
        at = f" at its last fidelity, {last}," if last else ""
        raise ValueError(
            f"objective.direction: given {_written(objective.direction)}, but oracle.kind: "
            f"{oracle.kind}{at} gives one number of {name} and no tensor; leave it out"
            f"{_with_tensor(spec, oracle)}"
        )
    _check_chosen(oracle, objective, name)
    _check_range(objective.temperature, oracle.temperatures)


def _written(direction: Direction) -> str:
    """A direction as written in a config: ``[0, 0, 1]``."""
    if isinstance(direction, str):
        return direction
    return f"[{', '.join(f'{x:g}' for x in direction)}]"


def _sought_at_any(oracle: OracleSettings) -> list[str]:
    return [n for n, s in PROPERTY_TABLE.items() if s.can_be_sought and oracle.kind in s.oracles]


def _with_tensor(spec: PropertySpec, oracle: OracleSettings) -> str:
    """Advice to add a fidelity that gives the tensor, if the oracle has one."""
    fidelities = spec.oracles[oracle.kind]
    suitable = [fidelity for fidelity in fidelities if spec.tensor_at(oracle.kind, fidelity)]
    return f", or end oracle.fidelities with {suitable[0]}" if suitable else ""


def _check_constraint(oracle: OracleSettings, objective: ObjectiveSettings, name: str) -> None:
    """Refuse a limit on a property that is never computed, which would have no effect."""
    last = _last(oracle)
    if oracle.kind == "replay":
        is_computed = name in names_of(objective.property)
    else:
        is_computed = spec_of(name).given_at(oracle.kind, last)
    if not is_computed:
        where = f"oracle.kind: {oracle.kind}"
        if last:
            where += f" at its last fidelity, {last},"
        raise ValueError(
            f"constraints: given {name}, which {where} does not measure, so that it would refuse "
            "nothing; leave it out"
        )
    _check_chosen(oracle, objective, name)


def _last(oracle: OracleSettings) -> str:
    """The fidelity of the objective; empty if the oracle has only one."""
    if oracle.kind == "green" or not oracle.fidelities:
        return ""
    return list(oracle.fidelities)[-1]


def _check_chosen(oracle: OracleSettings, objective: ObjectiveSettings, name: str) -> None:
    """Check that one of several temperatures is chosen."""
    if oracle.kind == "replay" or not spec_of(name).per_temperature:
        return
    temperatures = list(oracle.temperatures)
    if objective.temperature is None and len(temperatures) > 1:
        raise ValueError(
            f"objective.temperature: given none, but {name} is computed at oracle.temperatures "
            f"{temperatures}; expected one from {temperatures[0]:g} to {temperatures[-1]:g} K"
        )


def _check_range(wanted: float | None, temperatures: tuple[float, ...]) -> None:
    if wanted is not None and not min(temperatures) <= wanted <= max(temperatures):
        raise ValueError(
            f"objective.temperature: given {wanted} K, outside of oracle.temperatures "
            f"{list(temperatures)}; add it there"
        )
