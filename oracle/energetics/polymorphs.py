"""Whether a crystal is likely to exist: its energy above other polymorphs, and of formation.

All energies come from the same potential, so that its systematic errors largely cancel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oracle.energetics.corrections import correction
from oracle.energetics.elements import element_energy
from oracle.energetics.energies import curve, relaxed_energy
from oracle.energetics.hull import energy_above_hull
from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError, raise_if_of_the_machine

_WINDOW = 0.15  # eV/atom; relaxing shape and positions seldom lowers the energy by more than this


@dataclass(frozen=True)
class Thermochemistry:
    """Energies of a crystal relative to its polymorphs and its elements, eV/atom.

    Args:
        energy_per_atom: of the crystal, relaxed within its space group.
        energy_above_best_polymorph: 0 when the crystal itself is the most stable one.
        best_polymorph: name of the most stable competitor, or None when it is the crystal itself.
        formation_energy: from the elements, negative for a compound that does not decompose into
            them; None where the reference state of an element is unknown.
        energy_above_hull: above the convex hull of the elements and of other phases, negative for a
            crystal that would lower it; None where no other phases were asked for, and where the
            reference state of an element is unknown.
    """

    energy_per_atom: float
    energy_above_best_polymorph: float
    best_polymorph: str | None
    formation_energy: float | None
    energy_above_hull: float | None = None


def thermochemistry(
    crystal: Crystal,
    competitors: Mapping[str, Crystal],
    potential: str,
    cache_dir: Path,
    phases: Mapping[str, Crystal] | None = None,
) -> Thermochemistry:
    """Energies of a crystal relative to its polymorphs, its elements and other phases.

    Args:
        crystal: its lattice parameter may be a guess.
        competitors: the same composition in other structures, by name; those whose energy has no
            minimum are left out.
        potential: as for `oracle.potentials.table.calculator`.
        cache_dir: folder of stored energies, for all crystals of a home.
        phases: other compounds of its elements, by name, for the energy above the hull.

    Raises:
        OracleError: stage ``eos`` or ``relax``; the potential fails on the crystal or an element.
    """
    own = relaxed_energy(crystal, potential, cache_dir)
    best, label = own, None
    for name, energy in _rivals(competitors, potential, cache_dir).items():
        if energy < best:
            best, label = energy, name
    above = None
    if phases is not None:
        others = [*competitors.values(), *phases.values()]
        above = energy_above_hull(crystal, own, others, potential, cache_dir)
    return Thermochemistry(
        energy_per_atom=own,
        energy_above_best_polymorph=own - best,
        best_polymorph=label,
        formation_energy=_formation(crystal, own, potential, cache_dir),
        energy_above_hull=above,
    )


def _rivals(
    competitors: Mapping[str, Crystal], potential: str, cache_dir: Path
) -> dict[str, float]:
    """Relaxed energies (eV/atom) of the competitors that could be most stable; may be empty."""
    unrelaxed: dict[str, float] = {}
    for name, rival in competitors.items():
        try:
            unrelaxed[name] = curve(rival, potential, cache_dir).energy_per_atom
        except OracleError as error:
            raise_if_of_the_machine(error)
            continue  # a structure without a minimum is no competitor
    limit = min(unrelaxed.values(), default=0.0) + _WINDOW
    relaxed: dict[str, float] = {}
    for name, energy in unrelaxed.items():
        if energy > limit:
            continue
        try:
            relaxed[name] = relaxed_energy(competitors[name], potential, cache_dir)
        except OracleError as error:
            raise_if_of_the_machine(error)
            relaxed[name] = energy  # an upper bound, since relaxation only lowers it
    return relaxed


def _formation(crystal: Crystal, energy: float, potential: str, cache_dir: Path) -> float | None:
    """Formation energy, eV/atom; None where the reference state of an element is unknown."""
    total = energy * len(crystal.species) + correction(crystal, energy, potential)
    for symbol, count in sorted(Counter(crystal.species).items()):
        reference = element_energy(symbol, potential, cache_dir)
        if reference is None:
            return None
        total -= count * reference
    return total / len(crystal.species)
