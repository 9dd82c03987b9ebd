"""Constraints: which materials are rejected, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agents.contract.settings import CONSTRAINT_LIMITS, ELEMENT_CONSTRAINTS, ConstraintSettings
from oracle.contract.property_table import PROPERTY_TABLE
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material, crystals_of

if TYPE_CHECKING:
    from pymatgen.core.composition import Composition

COMPUTED = ("energy_above_best_polymorph", "energy_above_hull", "formation_energy")
"""Constraints on energies that are computed before the oracle is called, eV/atom."""
_ROUNDING = 1e-9
ON_MEASUREMENTS = tuple(name for name, spec in PROPERTY_TABLE.items() if spec.limited)
"""Constraints on measured properties; all others are checked before the oracle is called."""


def before(constraints: Sequence[ConstraintSettings], material: Material) -> str | None:
    """Why a material is rejected by its composition and cell alone, or None.

    Both crystals of an interface must be allowed, and together have the elements that are asked
    for. Layer sequences are never rejected here.
    """
    crystals = crystals_of(material)
    present = {symbol for crystal in crystals for symbol in crystal.species}
    for constraint in constraints:
        if constraint.name == "with_elements" and crystals:
            missing = [symbol for symbol in constraint.elements if symbol not in present]
            if missing:
                return f"{material.formula} has no {', '.join(missing)}"
    reasons = (_of_crystal(constraints, crystal) for crystal in crystals)
    return next((reason for reason in reasons if reason), None)


def _of_crystal(constraints: Sequence[ConstraintSettings], crystal: Crystal) -> str | None:
    reasons = (_of_composition(constraint, crystal) for constraint in constraints)
    return next((reason for reason in reasons if reason), None)


def _of_composition(constraint: ConstraintSettings, crystal: Crystal) -> str | None:
    from agents.chemistry.chemistry import is_metallic  # imports pymatgen, which is slow
    from agents.chemistry.element_supply import SUPPLY

    if constraint.name == "non_metal" and is_metallic(_composition(crystal)):
        return f"{crystal.formula} counts as a metal; non_metal is asked for"
    if constraint.name == "max_atoms":
        return _above(constraint, float(len(crystal.species)))
    if constraint.name in ELEMENT_CONSTRAINTS:
        return _of_elements(constraint, crystal)
    if constraint.name in SUPPLY:
        value = SUPPLY[constraint.name](_composition(crystal))
        if value is None:
            return f"{constraint.name} of {crystal.formula} is not known, as of one of its elements"
        return _above(constraint, value)
    return None


def _composition(crystal: Crystal) -> Composition:
    from pymatgen.core.composition import Composition

    return Composition(Counter(crystal.species))  # far faster than that of a structure


def _of_elements(constraint: ConstraintSettings, crystal: Crystal) -> str | None:
    counts = Counter(crystal.species)
    if constraint.name == "without_elements":
        present = [symbol for symbol in constraint.elements if symbol in counts]
        return f"{crystal.formula} contains {', '.join(present)}" if present else None
    for symbol, most in constraint.fractions.items():
        share = counts[symbol] / len(crystal.species)
        if share > most + _ROUNDING:
            return f"{share:.3g} of the atoms of {crystal.formula} are {symbol}, above {most:g}"
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
        if constraint.name in COMPUTED and value is not None:
            reason = _above(constraint, value)
            if reason:
                return reason
    return None


def needs_energies(constraints: Sequence[ConstraintSettings]) -> bool:
    """Whether a constraint needs energies that are computed before the oracle is called."""
    return any(constraint.name in COMPUTED for constraint in constraints)


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
