"""Phases that compete with a crystal: what its elements are known to form."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from agents.spaces.prototypes import PrototypeSpace
from agents.spaces.settings import PROTOTYPE_NAMES, PrototypeSpaceSettings
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material

_LARGEST = 12  # atoms in the primitive cell of a competing prototype


def competing_phases(crystal: Crystal, known: Iterable[Material] = ()) -> dict[str, Crystal]:
    """Neutral decorations of all named prototypes, and known crystals, of a crystal's elements.

    Args:
        crystal: any crystal; itself is left out.
        known: other materials, for instance what a campaign has evaluated.

    Returns:
        By a name that begins with the formula and the space group. Hulls of so few phases lie too
        high, and energies above them are lower bounds: what is known of most ternary systems has
        other structures.
    """
    elements = frozenset(crystal.species)
    phases = list(_decorated(elements))
    for other in known:
        if isinstance(other, Crystal) and set(other.species) <= elements:
            phases.append(other)
    distinct = {phase.digest: phase for phase in phases}
    return {
        f"{phase.formula} {phase.spacegroup[0]} {digest[:12]}": phase
        for digest, phase in distinct.items()
        if not _is_the_same(phase, crystal)
    }


def _is_the_same(phase: Crystal, crystal: Crystal) -> bool:
    """Whether two crystals have one structure, whatever their lattice parameters."""
    if phase.digest == crystal.digest:
        return True
    if phase.formula != crystal.formula or phase.spacegroup != crystal.spacegroup:
        return False
    from pymatgen.analysis.structure_matcher import StructureMatcher

    return bool(StructureMatcher(scale=True).fit(phase.structure(), crystal.structure()))


@functools.lru_cache(maxsize=1024)
def _decorated(elements: frozenset[str]) -> tuple[Crystal, ...]:
    settings = PrototypeSpaceSettings(
        prototypes=PROTOTYPE_NAMES, elements=tuple(sorted(elements)), max_atoms=_LARGEST
    )
    try:
        space = PrototypeSpace(settings)
    except ValueError:  # nothing neutral, as in alloys
        return ()
    return tuple(one for one in space if isinstance(one, Crystal))
