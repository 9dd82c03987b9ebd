"""Whether a crystal is a phantom: a better polymorph of it exists, or it falls into its elements.

The same potential gives all energies, so that its systematic errors cancel as far as they can.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oracle.energetics.elements import element_energy
from oracle.energetics.energies import curve, relaxed_energy
from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError, raise_if_of_the_machine

_WINDOW = 0.15  # eV/atom; relaxing shape and positions seldom gains more than this over the curve
_RAW_ENERGIES = frozenset({"7net-0", "7net-l3i5", "7net-mf-0"})
"""Potentials that learned the uncorrected GGA and GGA+U energies of the Materials Project; CHGNet
learned the corrected ones."""


@dataclass(frozen=True)
class Thermochemistry:
    """Energies of a crystal relative to what it might become, eV/atom.

    Args:
        energy_per_atom: of the crystal, relaxed within its space group.
        energy_above_best_polymorph: 0 when the crystal itself is the best.
        best_polymorph: label of the best competitor, or None when it is the crystal itself.
        formation_energy: from the elements, negative for a compound that does not fall apart;
            None where the reference state of an element is not known.
    """

    energy_per_atom: float
    energy_above_best_polymorph: float
    best_polymorph: str | None
    formation_energy: float | None


def thermochemistry(
    crystal: Crystal, competitors: Mapping[str, Crystal], potential: str, cache_dir: Path
) -> Thermochemistry:
    """Energies of a crystal against its polymorphs and its elements.

    Args:
        crystal: in question; its lattice parameter may be a guess.
        competitors: the same composition in other structures, by label; those without a
            minimum of energy are left out.
        potential: as for `oracle.potentials.table.calculator`.
        cache_dir: where energies are kept, for all crystals of a home.

    Raises:
        OracleError: stage ``eos`` or ``relax``; the potential fails on the crystal or an element.
    """
    own = relaxed_energy(crystal, potential, cache_dir)
    best, label = own, None
    for name, energy in _rivals(competitors, potential, cache_dir).items():
        if energy < best:
            best, label = energy, name
    return Thermochemistry(
        energy_per_atom=own,
        energy_above_best_polymorph=own - best,
        best_polymorph=label,
        formation_energy=_formation(crystal, own, potential, cache_dir),
    )


def _rivals(
    competitors: Mapping[str, Crystal], potential: str, cache_dir: Path
) -> dict[str, float]:
    """Relaxed energies (eV/atom) of the competitors that could be the best; may be empty."""
    unrelaxed: dict[str, float] = {}
    for name, rival in competitors.items():
        try:
            unrelaxed[name] = curve(rival, potential, cache_dir).energy_per_atom
        except OracleError as error:
            raise_if_of_the_machine(error)
            continue  # a structure without a minimum is no rival
    limit = min(unrelaxed.values(), default=0.0) + _WINDOW
    found: dict[str, float] = {}
    for name, energy in unrelaxed.items():
        if energy > limit:
            continue
        try:
            found[name] = relaxed_energy(competitors[name], potential, cache_dir)
        except OracleError as error:
            raise_if_of_the_machine(error)
            found[name] = energy  # relaxation only lowers it: an upper bound
    return found


def _formation(crystal: Crystal, energy: float, potential: str, cache_dir: Path) -> float | None:
    """Formation energy, eV/atom, or None."""
    total = energy * len(crystal.species) + correction(crystal, energy, potential)
    for symbol, count in sorted(Counter(crystal.species).items()):
        reference = element_energy(symbol, potential, cache_dir)
        if reference is None:
            return None
        total -= count * reference
    return total / len(crystal.species)


def correction(crystal: Crystal, energy: float, potential: str) -> float:
    """What the energy (eV) of the primitive cell lacks to be comparable with the elements'.

    Oxides, halides and other compounds of anions are too weakly bound in GGA, and energies with
    a Hubbard U stand on another level: Wang et al., Sci. Rep. 11, 15496 (2021). Zero for
    potentials that learned corrected energies, or of which it is not known.

    Args:
        crystal: any crystal.
        energy: eV/atom.
        potential: as for `oracle.potentials.table.calculator`.
    """
    if potential not in _RAW_ENERGIES or len(set(crystal.species)) < 2:
        return 0.0
    from pymatgen.entries.compatibility import CompatibilityError, MaterialsProject2020Compatibility
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    scheme = MaterialsProject2020Compatibility(check_potcar=False)
    anion = next((a for a in ("O", "F") if a in crystal.species), None)
    settings = {} if anion is None else scheme.u_settings[anion]
    hubbards = {s: settings[s] for s in sorted(set(crystal.species)) if settings.get(s)}
    entry = ComputedStructureEntry(
        crystal.structure(),
        energy * len(crystal.species),
        parameters={"run_type": "GGA+U" if hubbards else "GGA", "hubbards": hubbards},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells when it has to guess oxidation states
        try:
            return float(sum(a.value for a in scheme.get_adjustments(entry)))
        except CompatibilityError as error:
            cause = " ".join(str(error).split())
            raise OracleError(
                "energy", f"{crystal.formula} cannot be corrected: {cause}"
            ) from error
