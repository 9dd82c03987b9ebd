"""Settings of objectives and constraints, and their base class. Imports only pydantic."""

from __future__ import annotations

import builtins
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from agents.contract.element_symbols import Symbol
from oracle.contract.property_spec import Direction
from oracle.contract.property_table import PROPERTY_TABLE, spec_of
from oracle.runtime.suggestions import did_you_mean

_FIRST_IN_LOG = frozenset(
    {"kappa", "conductance", "heat_capacity", "bulk_modulus", "max_frequency"}
    | {"interface_conductance", "interface_conductance_amm", "radiation_limit"}
)
"""Properties whose logarithm was modelled before the property table said which; beliefs that are
recorded in campaigns of that time are on that scale."""
_SHORTEST, _LONGEST = 1e-6, 1e6
"""Of the largest component of a direction, whose length means nothing."""
Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ObjectiveSettings(Settings):
    """The property to be optimised."""

    property: str = Field(default="kappa", min_length=1)
    temperature: float | None = Field(default=None, gt=0)
    """In K; the default is 300 for kappa and for interface conductances by mismatch models."""
    direction: Direction | None = None
    """Of a tensor such as kappa: a vector in the Cartesian frame of the crystal's conventional
    cell, or ``min`` or ``max`` of the principal values. None: a third of the trace."""
    goal: Literal["minimize", "maximize", "target"] = "minimize"
    target: float | None = None
    """The desired value, in the property's unit; only with ``goal: target``."""
    log: bool | None = None
    """Whether log10 of the property is modelled; None: where it is known to be positive."""

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any, info: ValidationInfo) -> Any:
        """What the property table says of temperature and logarithm where nothing is said."""
        sought = data.get("property", "kappa") if isinstance(data, dict) else None
        if not isinstance(sought, str):
            return data
        spec, data = spec_of(sought), dict(data)
        if data.get("temperature") is None:
            data["temperature"] = spec.temperature
        if data.get("log") is None:
            recorded = (info.context or {}).get("recorded", False)
            data["log"] = sought in _FIRST_IN_LOG if recorded else spec.positive
        return data

    @field_validator("direction", mode="before")
    @classmethod
    def _a_direction(cls, given: Any) -> Any:
        if given is None or given in ("min", "max"):
            return given
        vector = given if isinstance(given, (list, tuple)) else ()
        numbers = [x for x in vector if isinstance(x, (int, float)) and not isinstance(x, bool)]
        if not (len(vector) == len(numbers) == 3 and max(map(abs, numbers)) <= _LONGEST):
            raise ValueError(
                "a vector of three numbers such as [0, 0, 1], or min or max of the principal values"
            )
        if max(map(abs, numbers)) < _SHORTEST:
            raise ValueError("a vector that is not zero, which has no direction: [0, 0, 1]")
        return given

    @model_validator(mode="after")
    def _consistent(self) -> ObjectiveSettings:
        if (self.goal == "target") != (self.target is not None):
            wanted = "needs a number" if self.goal == "target" else "needs goal: target"
            raise ValueError(f"target is {self.target} with goal {self.goal}; target {wanted}")
        spec = spec_of(self.property)
        if self.direction is not None and spec.shape != "tensor":
            tensors = ", ".join(n for n, s in PROPERTY_TABLE.items() if s.shape == "tensor")
            raise ValueError(
                f"direction is given, but {self.property} has none; leave it out, or seek one of "
                f"{tensors}"
            )
        if self.in_log and self.target is not None and self.target <= 0:
            raise ValueError(f"target is {self.target}; a positive quantity needs a target above 0")
        return self

    @builtins.property  # `property` is a field of this class
    def in_log(self) -> bool:
        """Whether log10 of the property is modelled."""
        return bool(self.log)


CONSTRAINT_LIMITS: dict[str, str | None] = {
    "dynamically_stable": None,
    "non_metal": None,
    "max_atoms": "atoms in the primitive cell",
    "price": "USD/kg",
    "hhi_production": "0 to 10,000",
    "hhi_reserve": "0 to 10,000",
    "energy_above_best_polymorph": "eV/atom",
    "energy_above_hull": "eV/atom",
    "formation_energy": "eV/atom",
    **{n: spec.unit or "dimensionless" for n, spec in PROPERTY_TABLE.items() if spec.limited},
}
"""Unit of the upper limit of each constraint; None for constraints without a limit."""
SUPPLY_CONSTRAINTS = ("price", "hhi_production", "hhi_reserve")
"""Constraints on what elements cost and where they come from, `agents.chemistry.element_supply`."""
ELEMENT_CONSTRAINTS: dict[str, str] = {
    "with_elements": "[Mg, Sb]",
    "without_elements": "[Pb, Cd, Hg, Tl, As]",
    "atomic_fraction": "{Te: 0.25}",
}
"""An example of what each constraint on the elements of a composition takes."""


NEVER_NEGATIVE = ("max_atoms", *SUPPLY_CONSTRAINTS)
"""Constraints whose limit would reject everything if it were negative."""


def _taken(name: str) -> Literal["limit", "elements", "fractions"] | None:
    """The key that belongs to a constraint, by its name; None where it takes nothing."""
    if name in ELEMENT_CONSTRAINTS:
        return "fractions" if name == "atomic_fraction" else "elements"
    return None if CONSTRAINT_LIMITS[name] is None else "limit"


class ConstraintSettings(Settings):
    """One constraint, written as a name, as ``{name: upper limit}``, or with its elements.

    ``with_elements`` and ``without_elements`` take a list, ``atomic_fraction`` the largest share of
    the atoms by element.
    """

    name: str
    limit: float | None = Field(default=None, allow_inf_nan=False)
    elements: tuple[Symbol, ...] = ()
    fractions: dict[Symbol, Share] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"name": data}
        if isinstance(data, dict) and len(data) == 1 and "name" not in data:
            ((name, given),) = data.items()
            if name not in {*CONSTRAINT_LIMITS, *ELEMENT_CONSTRAINTS}:
                return {"name": name}  # refused below, whatever its value is
            if isinstance(given, bool):
                raise ValueError(f"{name}: given {given}; expected a number, or just its name")
            return {"name": name, _taken(name) or "limit": given}
        return data

    @model_validator(mode="after")
    def _known(self) -> ConstraintSettings:
        names = (*CONSTRAINT_LIMITS, *ELEMENT_CONSTRAINTS)
        if self.name not in names:
            near = did_you_mean(self.name, names)
            raise ValueError(
                f"{self.name!r} is not a constraint; {near}allowed: {', '.join(names)}"
            )
        takes = _taken(self.name)
        for key in ("limit", "elements", "fractions"):
            if key != takes and key in self.model_fields_set:
                if takes is None:
                    raise ValueError(f"{self.name} takes no {key}; write just its name")
                raise ValueError(f"{self.name} takes its {takes}; {key} is given, leave it out")
        if takes in ("elements", "fractions") and not getattr(self, takes):
            example = ELEMENT_CONSTRAINTS[self.name]
            raise ValueError(f"{self.name} needs elements: {{{self.name}: {example}}}")
        if takes == "limit":
            unit = CONSTRAINT_LIMITS[self.name]
            if self.limit is None:
                raise ValueError(
                    f"{self.name} needs an upper limit ({unit}): {{{self.name}: 0.05}}"
                )
            if self.limit < 0 and self.name in NEVER_NEGATIVE:
                raise ValueError(f"{self.name} is {self.limit:g} ({unit}); expected at least 0")
        return self

    @model_serializer
    def _as_written(self) -> str | dict[str, Any]:
        given = self.limit if self.limit is not None else self.fractions or list(self.elements)
        return self.name if given == [] else {self.name: given}


_STABLE = ConstraintSettings(name="dynamically_stable")
DEFAULT_CONSTRAINTS: dict[str, tuple[ConstraintSettings, ...]] = {
    "pool": (_STABLE,),
    "prototypes": (
        _STABLE,
        ConstraintSettings(name="energy_above_best_polymorph", limit=0.05),
        ConstraintSettings(name="formation_energy", limit=0.0),
    ),
    "crystals": (_STABLE, ConstraintSettings(name="energy_above_hull", limit=0.1)),
}
"""Constraints of a campaign whose config has none, by kind of space; of others, those of a pool."""


def default_constraints(kind: str, *, recorded: bool = False) -> tuple[ConstraintSettings, ...]:
    """Constraints of a campaign whose config has none.

    Args:
        kind: of the space.
        recorded: whether the config is that of a campaign which an earlier version began; it did
            not compare energies in open spaces.
    """
    if recorded and kind == "crystals":
        return DEFAULT_CONSTRAINTS["pool"]
    return DEFAULT_CONSTRAINTS.get(kind, DEFAULT_CONSTRAINTS["pool"])
