"""Constraints: which materials are rejected, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agents.contract.settings import CONSTRAINT_LIMITS, ConstraintSettings
from oracle.contract.property_table import PROPERTY_TABLE
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material, crystals_of

_COMPUTED = ("energy_above_best_polymorph", "formation_energy")
ON_MEASUREMENTS = tuple(name for name, spec in PROPERTY_TABLE.items() if spec.limited)
"""Constraints on measured properties; all others are checked before the oracle is called."""


def before(constraints: Sequence[ConstraintSettings], material: Material) -> str | None:
    """Why a material is rejected by its composition and cell alone, or None.

    Both crystals of an interface must be allowed. Layer sequences are never rejected here.
    """
    reasons = (_of_crystal(constraints, crystal) for crystal in crystals_of(material))
    return next((reason for reason in reasons if reason), None)


def _of_crystal(constraints: Sequence[ConstraintSettings], crystal: Crystal) -> str | None:
    from agents.chemistry.chemistry import is_metallic  # imports pymatgen, which is slow

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
    """Why a material is rejected by its energies, or None.

    Args:
        constraints: of the campaign.
        numbers: computed energies, eV/atom, by the constraint's name; a missing or None value
            (no competing structure, no reference) rejects nothing.
    """
    for constraint in constraints:
        value = numbers.get(constraint.name)
        if constraint.name in _COMPUTED and value is not None:
            reason = _above(constraint, value)
            if reason:
                return reason
    return None


def needs_energies(constraints: Sequence[ConstraintSettings]) -> bool:
    """Whether a constraint needs energies that are computed before the oracle is called."""
    return any(constraint.name in _COMPUTED for constraint in constraints)


def limits(constraints: Sequence[ConstraintSettings]) -> tuple[tuple[str, float], ...]:
    """The upper limits on measured properties, for `Objective.limits`."""
    return tuple(
        (c.name, c.limit) for c in constraints if c.name in ON_MEASUREMENTS and c.limit is not None
    )


def _above(constraint: ConstraintSettings, value: float) -> str | None:
    """The reason if a value exceeds its limit, as NaN does, or None."""
    limit = constraint.limit
    if limit is None or value <= limit:
        return None
    unit = CONSTRAINT_LIMITS[constraint.name]
    return f"{constraint.name} is {value:.4g}, above the limit of {limit:g} ({unit})"
