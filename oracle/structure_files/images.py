"""Several structures in one source: steps of a trajectory, one crystal repeated, or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from pymatgen.core.structure import Structure

from oracle.materials.crystal_checks import Reading, Unusable, check_crystal, check_elements

_MOVE = 1.0  # Å; the furthest that an atom moves between two steps of a relaxation
_SHEAR = 1.25  # largest ratio of the principal stretches of a cell between two steps


def one_crystal(readings: Sequence[Reading], *, steps: bool) -> Reading:
    """The one crystal that a source describes.

    Args:
        readings: all structures of the source, in their order.
        steps: whether they may be steps of a trajectory, of which the last one counts.

    Raises:
        Unusable: no structure, several compounds, or different structures of one compound.
    """
    if not readings:
        raise Unusable("it holds no structure; expected one crystal")
    structures = [reading.structure for reading in readings]
    for structure in structures:
        check_elements(structure)
    formulas = list(dict.fromkeys(s.composition.reduced_formula for s in structures))
    if len(formulas) > 1:
        raise Unusable(
            f"it holds {len(formulas)} compounds ({', '.join(formulas[:3])}"
            f"{', ...' if len(formulas) > 3 else ''}); expected one crystal: split the file, or "
            "search it as a pool"
        )
    last = readings[-1]
    if len(readings) == 1:
        return last
    if steps and all(_is_step(before, after) for before, after in pairwise(structures)):
        note = f"it holds {len(readings)} steps; the last was taken"
        return replace(last, remarks=(*last.remarks, note))
    different = len({_digest(structure) for structure in structures})
    if different > 1:
        raise Unusable(
            f"it holds {different} different structures of {formulas[0]}; expected one: split the "
            "file, or search it as a pool"
        )
    return last


def _digest(structure: Structure) -> str:
    from oracle.materials.crystal import Crystal

    check_crystal(structure)
    return Crystal.from_structure(structure).digest


def _is_step(before: Structure, after: Structure) -> bool:
    """Whether two images can be steps of one relaxation: the same atoms, moved only little."""
    if [site.species for site in before] != [site.species for site in after]:
        return False
    stretches = np.linalg.svd(
        np.linalg.solve(before.lattice.matrix, after.lattice.matrix), compute_uv=False
    )
    if stretches[0] > _SHEAR * stretches[-1]:
        return False
    moved = after.frac_coords - before.frac_coords
    moved -= np.rint(moved)
    moved = (moved - moved.mean(axis=0)) @ after.lattice.matrix
    return bool(np.linalg.norm(moved, axis=1).max() < _MOVE)
