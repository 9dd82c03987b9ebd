"""Cautions about structures that a user has given, whose lattice parameters mean something.

Those of hypothetical crystals in prototypes are guesses, so that their scaling by relaxation tells
nothing. An oracle does not know where a crystal comes from, and evaluations are shared between
campaigns; so these cautions are added when an evaluation is shown.
"""

from __future__ import annotations

import numpy as np

from oracle.contract.evaluation import Failed, Measured, Unstable, scalar
from oracle.materials.crystal import Crystal
from oracle.phonons.doubts import SEPARATOR, scaling

_SAID = "volume by "


def with_scaling(evaluation: Measured | Unstable | Failed, said: str | None) -> str | None:
    """Cautions of an evaluation of a given structure, with that about its change of volume.

    Args:
        evaluation: any; cautions are added only to measured crystals with a volume.
        said: the cautions that the evaluation has itself.
    """
    crystal = evaluation.material
    volume = scalar(evaluation, "volume")
    if not isinstance(evaluation, Measured) or not isinstance(crystal, Crystal) or volume is None:
        return said
    given = abs(float(np.linalg.det(np.array(crystal.lattice)))) / len(crystal.species)
    text = scaling(given, volume[0])
    if text is None or _SAID in (said or ""):
        return said
    return SEPARATOR.join(filter(None, [said, text]))
