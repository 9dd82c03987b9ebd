"""Which triples of atoms are within the shortest distances of each other, for all at once.

phono3py 4.10 finds out in a Python loop over all triples, whenever it is given other force
constants: a tenth of the time of an evaluation of a crystal of four atoms. It depends on positions
only, and the loop over the last of the three atoms can be left to NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from phono3py.phonon3.interaction import Interaction


@contextmanager
def triples_at_once() -> Iterator[None]:
    """Make phono3py look at all last atoms of triples at once; its numbers do not change."""
    original = Interaction._get_all_shortest
    Interaction._get_all_shortest = _set_all_shortest
    try:
        yield
    finally:
        Interaction._get_all_shortest = original


def _set_all_shortest(interaction: Any) -> None:
    """Replaces phono3py's method `_get_all_shortest`."""
    primitive, multiplicities = interaction._primitive, interaction._multi
    unique = multiplicities[:, :, 0] == 1  # (n_supercell, n_primitive): of one image only
    vectors = interaction._svecs[multiplicities[:, :, 1]]
    to_primitive = [primitive.p2p_map[i] for i in interaction._s2p]
    for first, second in zip(*np.nonzero(unique.T), strict=True):
        image = to_primitive[second]
        # The translation that takes the second atom into the primitive cell.
        at_home = primitive.atomic_permutations[:, second] == interaction._p2s[image]
        moved = primitive.atomic_permutations[np.flatnonzero(at_home)[0]]
        between = (vectors[:, first] - vectors[second, first]) @ primitive.cell
        shortest = vectors[moved, image] @ primitive.cell
        longer = np.linalg.norm(shortest, axis=1) - np.linalg.norm(between, axis=1)
        interaction._all_shortest[first, second] = (
            unique[:, first] & unique[moved, image] & (np.abs(longer) < interaction._symprec)
        )
