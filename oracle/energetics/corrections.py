"""Corrections that make energies of compounds comparable with those of elements."""

from __future__ import annotations

import warnings

from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError

_RAW_ENERGIES = frozenset({"7net-0", "7net-l3i5", "7net-mf-0"})
"""Potentials that learned the uncorrected GGA and GGA+U energies of the Materials Project; CHGNet
learned the corrected ones."""


def correction(crystal: Crystal, energy: float, potential: str) -> float:
    """Correction (eV) that makes the energy of the primitive cell comparable with the elements'.

    Oxides, halides and other compounds of anions are too weakly bound in GGA, and energies with a
    Hubbard U have another zero: Wang et al., Sci. Rep. 11, 15496 (2021). The correction is zero for
    potentials that were trained on corrected energies, or of which this is not known.

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
        warnings.simplefilter("ignore")  # about oxidation states that have to be guessed
        try:
            return float(sum(a.value for a in scheme.get_adjustments(entry)))
        except CompatibilityError as error:
            cause = " ".join(str(error).split())
            raise OracleError(
                "energy", f"{crystal.formula} cannot be corrected: {cause}"
            ) from error
