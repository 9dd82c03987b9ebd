"""Is a crystal more than a phantom? Its energy against other prototypes and against the elements.

Everything is computed with the potential that measures the crystal, so that its errors cancel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oracle.elements import WINDOW, element_reference
from oracle.energies import remembered_curve, remembered_energy
from oracle.errors import OracleError
from oracle.material import Crystal

ITSELF = "itself"


@dataclass(frozen=True)
class Thermochemistry:
    """Static energies at zero pressure and temperature, eV/atom.

    Args:
        energy_per_atom: of the crystal, relaxed with its symmetry kept.
        energy_above_best_polymorph: zero when no competitor is lower.
        best_polymorph: name of the lowest competitor, or ``itself``.
        formation_energy: against the elements in their reference structures; negative when bound.
        polymorphs: name and energy of every competitor that has a minimum, lowest first; those
            far above were not relaxed, which overestimates them slightly.
        references: element and the name of the structure its reference energy is of.
        approximations: elements whose reference is not their real ground state, and why.
    """

    energy_per_atom: float
    energy_above_best_polymorph: float
    best_polymorph: str
    formation_energy: float
    polymorphs: tuple[tuple[str, float], ...]
    references: tuple[tuple[str, str], ...]
    approximations: tuple[tuple[str, str], ...]


def thermochemistry(
    crystal: Crystal, competitors: Mapping[str, Crystal], potential: str, cache_dir: Path
) -> Thermochemistry:
    """Where a crystal stands among other prototypes of its composition and against its elements.

    Args:
        crystal: the one in question.
        competitors: name of a prototype to the same composition in it, at any sensible lattice
            parameter; may be empty.
        potential: as for `oracle.potentials.calculator`.
        cache_dir: where energies are remembered, per structure or element and weights; several
            processes may share it.

    Raises:
        OracleError: stage ``read``, a competitor has another composition; stage ``eos`` or
            ``relax``, the crystal or an element of it is not bound. A competitor that is not
            bound is left out.
    """
    for name, other in competitors.items():
        if _reduced(other) != _reduced(crystal):
            raise OracleError(
                "read",
                f"competitor {name!r} is {other.formula}; expected the composition "
                f"{crystal.formula}",
            )
    energy = remembered_energy(crystal, potential, cache_dir).energy_per_atom
    polymorphs = _polymorph_energies(competitors, energy, potential, cache_dir)
    name, lowest = polymorphs[0] if polymorphs else (ITSELF, energy)
    if lowest >= energy:
        name, lowest = ITSELF, energy
    counts = Counter(crystal.species)
    references = [element_reference(symbol, potential, cache_dir) for symbol in sorted(counts)]
    of_elements = sum(counts[r.element] * r.energy_per_atom for r in references)
    return Thermochemistry(
        energy_per_atom=energy,
        energy_above_best_polymorph=energy - lowest,
        best_polymorph=name,
        formation_energy=energy - of_elements / len(crystal.species),
        polymorphs=tuple(polymorphs),
        references=tuple((r.element, r.structure) for r in references),
        approximations=tuple((r.element, r.approximation) for r in references if r.approximation),
    )


def _polymorph_energies(
    competitors: Mapping[str, Crystal], reference: float, potential: str, cache_dir: Path
) -> list[tuple[str, float]]:
    """Energies per atom of the bound competitors, lowest first; relaxed where that can matter."""
    energies: dict[str, float] = {}
    for name in sorted(competitors):
        try:
            energies[name] = remembered_curve(competitors[name], potential, cache_dir).energy_per_atom
        except OracleError as error:
            if error.transient:
                raise
    threshold = min([reference, *energies.values()]) + WINDOW
    for name, energy in list(energies.items()):
        if energy <= threshold:
            try:
                relaxed = remembered_energy(competitors[name], potential, cache_dir)
                energies[name] = relaxed.energy_per_atom
            except OracleError as error:
                if error.transient:
                    raise
                del energies[name]
    return sorted(energies.items(), key=lambda item: (item[1], item[0]))


def _reduced(crystal: Crystal) -> dict[str, float]:
    """Share of each element."""
    total = len(crystal.species)
    return {symbol: n / total for symbol, n in Counter(crystal.species).items()}
