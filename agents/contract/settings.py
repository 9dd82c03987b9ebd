"""Settings of objectives and constraints, and their base class. Imports only pydantic."""

from __future__ import annotations

import builtins
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_serializer,
    model_validator,
)

from oracle.runtime.suggestions import did_you_mean

_MISMATCH = frozenset({"interface_conductance", "interface_conductance_amm", "radiation_limit"})
_POSITIVE = _MISMATCH | {
    "kappa", "conductance", "heat_capacity", "bulk_modulus", "max_frequency"
}  # fmt: skip
Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ObjectiveSettings(Settings):
    """The property to be optimised."""

    property: str = Field(default="kappa", min_length=1)
    temperature: float | None = Field(default=None, gt=0)
    """In K; the default is 300 for kappa and for interface conductances by mismatch models."""
    goal: Literal["minimize", "maximize", "target"] = "minimize"
    target: float | None = None
    """The desired value, in the property's unit; only with ``goal: target``."""
    log: bool | None = None
    """Whether log10 of the property is modelled; by default it is for positive quantities."""

    @model_validator(mode="before")
    @classmethod
    def _default_temperature(cls, data: Any) -> Any:
        name = data.get("property", "kappa") if isinstance(data, dict) else None
        if isinstance(name, str) and name in {"kappa", *_MISMATCH}:
            temperature = data.get("temperature")
            return {**data, "temperature": 300.0 if temperature is None else temperature}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> ObjectiveSettings:
        if (self.goal == "target") != (self.target is not None):
            wanted = "needs a number" if self.goal == "target" else "needs goal: target"
            raise ValueError(f"target is {self.target} with goal {self.goal}; target {wanted}")
        if self.in_log and self.target is not None and self.target <= 0:
            raise ValueError(f"target is {self.target}; a positive quantity needs a target above 0")
        return self

    @builtins.property  # `property` is a field of this class
    def in_log(self) -> bool:
        """Whether log10 of the property is modelled."""
        return self.property in _POSITIVE if self.log is None else self.log


CONSTRAINT_LIMITS: dict[str, str | None] = {
    "dynamically_stable": None,
    "non_metal": None,
    "max_atoms": "atoms in the primitive cell",
    "energy_above_best_polymorph": "eV/atom",
    "formation_energy": "eV/atom",
    "max_msd": "Å²",
    "anharmonicity": "dimensionless",
    "gruneisen_mean": "dimensionless",
}
"""Unit of the upper limit of each constraint; None for constraints without a limit."""


class ConstraintSettings(Settings):
    """One constraint, written as a name or as ``{name: upper limit}``."""

    name: str
    limit: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"name": data}
        if isinstance(data, dict) and len(data) == 1 and "name" not in data:
            ((name, limit),) = data.items()
            return {"name": name, "limit": limit}
        return data

    @model_validator(mode="after")
    def _known(self) -> ConstraintSettings:
        if self.name not in CONSTRAINT_LIMITS:
            allowed = ", ".join(CONSTRAINT_LIMITS)
            near = did_you_mean(self.name, CONSTRAINT_LIMITS)
            raise ValueError(f"{self.name!r} is not a constraint; {near}allowed: {allowed}")
        unit = CONSTRAINT_LIMITS[self.name]
        if unit is None and self.limit is not None:
            raise ValueError(f"{self.name} takes no limit, got {self.limit}; write just its name")
        if unit is not None and self.limit is None:
            raise ValueError(f"{self.name} needs an upper limit ({unit}): {{{self.name}: 0.05}}")
        return self

    @model_serializer
    def _as_written(self) -> str | dict[str, float]:
        return self.name if self.limit is None else {self.name: self.limit}


DEFAULT_CONSTRAINTS = (
    ConstraintSettings(name="dynamically_stable"),
    ConstraintSettings(name="energy_above_best_polymorph", limit=0.05),
    ConstraintSettings(name="formation_energy", limit=0.0),
)
