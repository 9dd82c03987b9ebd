"""Which materials are refused, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agents.contract.settings import CONSTRAINT_LIMITS, ConstraintSettings
from oracle.contract.property_table import PROPERTY_TABLE
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material, crystals_of

_COMPUTED = ("energy_above_best_polymorph", "formation_energy")
ON_MEASUREMENTS = tuple(name for name, spec in PROPERTY_TABLE.items() if spec.limited)
"""Constraints on what the oracle measures; all others are known before it is asked."""


def before(constraints: Sequence[ConstraintSettings], material: Material) -> str | None:
    """Why a material is refused from its composition and cell alone, or None.

    Both crystals of an interface must be allowed. Sequences of layers have neither and pass.
    """
    reasons = (_of_crystal(constraints, crystal) for crystal in crystals_of(material))
    return next((reason for reason in reasons if reason), None)


def _of_crystal(constraints: Sequence[ConstraintSettings], crystal: Crystal) -> str | None:
    from agents.chemistry.chemistry import is_metallic  # pymatgen: queries read limits without it

    for constraint in constraints:
        if constraint.name == "non_metal" and is_metallic(crystal.structure().composition):
            return f"{crystal.formula} counts as a metal; non_metal is asked for"
        if constraint.name == "max_atoms":
            reason = _above(constraint, float(len(crystal.species)))
            if reason:
                return reason
    return None


def computed(
    constraints: Sequence[ConstraintSettings], numbers: Mapping[str, float | None]
) -> str | None:
    """Why a material is refused given its energies, or None.

    Args:
        constraints: of the campaign.
        numbers: what was computed, eV/atom, by the constraint's name; what is absent or None
            (no competitor, no reference) refuses nothing.
    """
    for constraint in constraints:
        value = numbers.get(constraint.name)
        if constraint.name in _COMPUTED and value is not None:
            reason = _above(constraint, value)
            if reason:
                return reason
    return None


def needs_energies(constraints: Sequence[ConstraintSettings]) -> bool:
    """Whether some constraint is on energies that must be computed before the oracle is asked."""
    return any(constraint.name in _COMPUTED for constraint in constraints)


def limits(constraints: Sequence[ConstraintSettings]) -> tuple[tuple[str, float], ...]:
    """The upper limits on what the oracle measures, for `Objective.limits`."""
    return tuple(
        (c.name, c.limit) for c in constraints if c.name in ON_MEASUREMENTS and c.limit is not None
    )


def _above(constraint: ConstraintSettings, value: float) -> str | None:
    """The reason when a value exceeds its limit (NaN does)."""
    limit = constraint.limit
    if limit is None or value <= limit:
        return None
    unit = CONSTRAINT_LIMITS[constraint.name]
    return f"{constraint.name} is {value:.4g}, above the limit of {limit:g} ({unit})"
