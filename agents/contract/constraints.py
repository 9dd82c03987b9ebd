"""Constraints: which materials are rejected, and why."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agents.contract.settings import CONSTRAINT_LIMITS, ELEMENT_CONSTRAINTS, ConstraintSettings
from oracle.contract.property_table import PROPERTY_TABLE
from oracle.materials.material import Material

if TYPE_CHECKING:
    from pymatgen.core.composition import Composition as Formula

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
    contents = material.contents()
    present = {symbol for counts in contents for symbol in counts}
    for constraint in constraints:
        if constraint.name == "with_elements" and contents:
            missing = [symbol for symbol in constraint.elements if symbol not in present]
            if missing:
                return f"{material.formula} has no {', '.join(missing)}"
    for counts in contents:
        for constraint in constraints:
            reason = _of_contents(constraint, counts)
            if reason:
                return reason
    return None


def _of_contents(constraint: ConstraintSettings, counts: Mapping[str, float]) -> str | None:
    """Why a constraint forbids so many atoms of each element in a cell, or None."""
    from agents.chemistry.chemistry import is_metallic  # imports pymatgen, which is slow
    from agents.chemistry.element_supply import SUPPLY

    if constraint.name == "non_metal" and is_metallic(_formula(counts)):
        return f"{_name(counts)} counts as a metal; non_metal is asked for"
    if constraint.name == "max_atoms":
        return _above(constraint, float(sum(counts.values())))
    if constraint.name in ELEMENT_CONSTRAINTS:
        return _of_elements(constraint, counts)
    if constraint.name in SUPPLY:
        value = SUPPLY[constraint.name](_formula(counts))
        if value is None:
            return f"{constraint.name} of {_name(counts)} is not known, as of one of its elements"
        return _above(constraint, value)
    return None


def _formula(counts: Mapping[str, float]) -> Formula:
    from pymatgen.core.composition import Composition as Formula

    return Formula(dict(counts))  # far faster than that of a structure


def _name(counts: Mapping[str, float]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some elements have no electronegativity
        return str(_formula(counts).reduced_formula)


def _of_elements(constraint: ConstraintSettings, counts: Mapping[str, float]) -> str | None:
    if constraint.name == "without_elements":
        present = [symbol for symbol in constraint.elements if symbol in counts]
        return f"{_name(counts)} contains {', '.join(present)}" if present else None
    for symbol, most in constraint.fractions.items():
        share = counts.get(symbol, 0) / sum(counts.values())
        if share > most + _ROUNDING:
            return f"{share:.3g} of the atoms of {_name(counts)} are {symbol}, above {most:g}"
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
