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
        By a name that contains the formula. Hulls of so few phases lie too high, and energies above
        them are lower bounds: what is known of most ternary systems has other structures.
    """
    elements = frozenset(crystal.species)
    found = dict(_decorated(elements))
    for other in known:
        if isinstance(other, Crystal) and set(other.species) <= elements:
            found[f"{other.formula} {other.digest[:12]}"] = other
    return {name: phase for name, phase in found.items() if phase.digest != crystal.digest}


@functools.lru_cache(maxsize=1024)
def _decorated(elements: frozenset[str]) -> tuple[tuple[str, Crystal], ...]:
    settings = PrototypeSpaceSettings(
        prototypes=PROTOTYPE_NAMES, elements=tuple(sorted(elements)), max_atoms=_LARGEST
    )
    try:
        space = PrototypeSpace(settings)
    except ValueError:  # nothing neutral, as in alloys
        return ()
    crystals = [one for one in space if isinstance(one, Crystal)]
    return tuple((f"{one.formula} {space.label(one)}", one) for one in crystals)
