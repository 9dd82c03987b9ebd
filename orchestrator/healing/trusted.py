"""Crystals on which universal potentials are taken to be accurate, without any label.

They are simple salts and semiconductors, of which the training sets of all universal potentials
hold many. How far a supercell is from them, in the features of the potential, is evidence of a hole
(`surrogate.healing.hole_size`). Benchmarks of holes use the same crystals.
"""

from __future__ import annotations

import re

from agents.spaces.prototype_table import prototype
from oracle.materials.crystal import Crystal

TRUSTED = {
    "rocksalt": "KCl NaBr LiCl MgS CaSe SrO RbBr",
    "zincblende": "ZnSe GaAs InP CdS AlP",
    "antifluorite": "SLi ONa SeNa SK",
}
"""Formulas by prototype, elements in the order of the prototype's sites."""


def trusted_crystals() -> tuple[Crystal, ...]:
    """The crystals, in a fixed order, with lattice parameters guessed from radii."""
    return tuple(
        prototype(kind).decorate(re.findall("[A-Z][a-z]?", name))
        for kind, names in TRUSTED.items()
        for name in names.split()
    )
