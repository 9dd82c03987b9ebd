"""Energy of a crystal above the convex hull of the phases into which it could decompose."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core.composition import Composition

from oracle.energetics.corrections import correction
from oracle.energetics.elements import element_energy
from oracle.energetics.energies import relaxed_energy
from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError, raise_if_of_the_machine


def energy_above_hull(
    crystal: Crystal,
    energy: float,
    phases: Iterable[Crystal],
    potential: str,
    cache_dir: Path,
) -> float | None:
    """Energy above the hull of the elements and other phases, eV/atom.

    Below zero by how much the crystal would lower the hull (the energy of phase separation: Sun et
    al., Sci. Adv. 2, e1600225 (2016)).

    Args:
        crystal: any crystal.
        energy: of the crystal, relaxed, eV/atom.
        phases: competing ones, relaxed with the same potential. Those with other elements, equal to
            the crystal, or which the potential cannot relax are left out.
        potential: as for `oracle.potentials.table.calculator`.
        cache_dir: folder of stored energies.

    Returns:
        The energy; None where an element's reference state is unknown.

    Raises:
        OracleError: stage ``relax``; the potential fails on an element.
    """
    symbols = sorted(set(crystal.species))
    entries = []
    for symbol in symbols:
        reference = element_energy(symbol, potential, cache_dir)
        if reference is None:
            return None
        entries.append(PDEntry(Composition(symbol), reference))
    for phase in phases:
        if phase.digest == crystal.digest or not set(phase.species) <= set(symbols):
            continue
        try:
            relaxed = relaxed_energy(phase, potential, cache_dir)
            entries.append(_entry(phase, relaxed, potential))
        except OracleError as error:
            raise_if_of_the_machine(error)
    own = _entry(crystal, energy, potential)
    above = PhaseDiagram(entries).get_e_above_hull(own, allow_negative=True)
    return None if above is None else float(above)


def _entry(crystal: Crystal, energy: float, potential: str) -> PDEntry:
    total = energy * len(crystal.species) + correction(crystal, energy, potential)
    return PDEntry(crystal.structure().composition, total)
