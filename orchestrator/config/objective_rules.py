"""What each oracle measures at each of its fidelities, and what can therefore be sought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agents.contract.constraints import ON_MEASUREMENTS
from agents.contract.settings import ConstraintSettings, ObjectiveSettings
from orchestrator.config.oracle_settings import OracleSettings


@dataclass(frozen=True)
class Given:
    """When an oracle gives a property.

    Args:
        fidelities: that give it; those of an oracle that has but one are not named.
        per_temperature: whether it is one number per temperature.
    """

    fidelities: tuple[str, ...] = ()
    per_temperature: bool = False

    def at(self, fidelity: str) -> bool:
        """Whether a fidelity gives it."""
        return not self.fidelities or fidelity in self.fidelities


_BOTH, _THIRD_ORDER = ("harmonic", "bte"), ("bte",)
MEASURED: Mapping[str, Mapping[str, Given]] = {
    "phonon-bte": {
        "kappa": Given(_BOTH, per_temperature=True),
        "heat_capacity": Given(_THIRD_ORDER, per_temperature=True),
        "max_frequency_thz": Given(_BOTH),
        "min_frequency_thz": Given(_BOTH),
        "gruneisen_mean": Given(_BOTH),
        "max_msd": Given(_THIRD_ORDER, per_temperature=True),
        "anharmonicity": Given(_THIRD_ORDER, per_temperature=True),
    },
    "green": {
        "conductance": Given(per_temperature=True),
        "kappa": Given(per_temperature=True),
    },
    "interface": {
        "interface_conductance": Given(per_temperature=True),
        "interface_conductance_amm": Given(per_temperature=True),
        "radiation_limit": Given(per_temperature=True),
        "overlap": Given(),
    },
}
"""What an objective may be, by the kind of the oracle."""


def check_objective(
    oracle: OracleSettings,
    objective: ObjectiveSettings,
    constraints: Iterable[ConstraintSettings],
) -> None:
    """The last fidelity measures what is sought, and all that constraints limit.

    Raises:
        ValueError: a property that is never measured, or at which temperature is not said.
    """
    for constraint in constraints:
        if constraint.name in ON_MEASUREMENTS:
            _check_constraint(oracle, objective, constraint.name)
    if oracle.kind == "replay":  # its column is what the objective says it is
        return
    name, known = objective.property, MEASURED[oracle.kind]
    if name not in known:
        raise ValueError(
            f"objective.property: given {name!r}, which oracle.kind: {oracle.kind} does "
            f"not measure; allowed: {', '.join(known)}"
        )
    last = _last(oracle)
    if not known[name].at(last):
        there = [other for other, given in known.items() if given.at(last)]
        raise ValueError(
            f"objective.property: given {name!r}, but oracle.fidelities ends with {last}, which "
            f"does not measure it; add {known[name].fidelities[0]} there, or seek one of: "
            f"{', '.join(there)}"
        )
    _check_chosen(oracle, objective, name)
    _check_range(objective.temperature, oracle.temperatures)


def _check_constraint(oracle: OracleSettings, objective: ObjectiveSettings, name: str) -> None:
    """A limit on what is never measured would refuse nothing."""
    if oracle.kind == "replay":
        given = name == objective.property
    else:
        known = MEASURED[oracle.kind].get(name)
        given = known is not None and known.at(_last(oracle))
    if not given:
        where = f"oracle.kind: {oracle.kind}"
        if _last(oracle):
            where += f" at its last fidelity, {_last(oracle)},"
        raise ValueError(
            f"constraints: given {name}, which {where} does not measure, so that it would refuse "
            "nothing; leave it out"
        )
    _check_chosen(oracle, objective, name)


def _last(oracle: OracleSettings) -> str:
    """The fidelity at which the objective is measured; empty where an oracle has but one."""
    if oracle.kind == "green" or not oracle.fidelities:
        return ""
    return list(oracle.fidelities)[-1]


def _check_chosen(oracle: OracleSettings, objective: ObjectiveSettings, name: str) -> None:
    """Of several temperatures, one is chosen."""
    if oracle.kind == "replay" or not MEASURED[oracle.kind][name].per_temperature:
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
