"""Descriptors of a crystal's elements and geometry, which need neither a potential nor relaxation.

A thousandth of the cost of a potential's features, they serve to choose the members of a large
space for which those are worth computing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oracle.materials.crystal import Crystal
from surrogate.features.composition import STRUCTURAL, without_graphs
from surrogate.features.descriptors import element_descriptors, global_descriptors
from surrogate.features.feature_store import FeatureStore
from surrogate.features.inputs import Inputs
from surrogate.features.tensor_files import read_tensors, write_tensors

Array = NDArray[np.float64]
VERSION = 1
"""Increased whenever the numbers change."""
_TABLE = "descriptors"
_SAVED = 500
"""Crystals from which a table is worth a file; a smaller one takes a second."""


class PlainStore(FeatureStore):
    """A feature store of plain descriptors, kept on disk by the digests of the crystals.

    Args:
        cache: folder of the tables.
    """

    def __init__(self, cache: Path) -> None:
        super().__init__("none")
        self._cache = cache
        self._rows: dict[str, Array] = {}

    def inputs(self, crystals: Sequence[Crystal]) -> Inputs:
        """Descriptors (n, 31) of n crystals as one block, with empty graphs."""
        missing = {c.digest: c for c in crystals if c.digest not in self._rows}
        if missing:
            self._rows |= zip(missing, self._described(missing), strict=True)
        return without_graphs(np.stack([self._rows[crystal.digest] for crystal in crystals]))

    def _described(self, crystals: dict[str, Crystal]) -> Array:
        """Descriptors of different crystals, read from a file where there is one."""
        if len(crystals) < _SAVED:
            return np.stack([plain_descriptors(crystal) for crystal in crystals.values()])
        key = hashlib.sha256("".join((str(VERSION), *crystals)).encode()).hexdigest()
        path = self._cache / f"{key}.safetensors"
        found = read_tensors(path)
        if found is not None:
            return found[0][_TABLE]
        table = np.stack([plain_descriptors(crystal) for crystal in crystals.values()])
        write_tensors(path, {_TABLE: table}, {})
        return table


def plain_descriptors(crystal: Crystal) -> Array:
    """The descriptors (31,) of one crystal.

    Mean, least, largest value and standard deviation over the atoms of five properties of their
    elements (`element_descriptors`); volume, masses, electronegativity, distances and coordination
    of the structure as given; the number of the space group, and the number of elements.
    """
    structure = crystal.structure()
    atoms = element_descriptors(structure).astype(np.float64)
    over_atoms = [atoms.mean(axis=0), atoms.min(axis=0), atoms.max(axis=0), atoms.std(axis=0)]
    own = global_descriptors(structure, None)[list(STRUCTURAL)]
    rest = float(crystal.spacegroup[1]), float(len(structure.composition.elements))
    return np.concatenate([*over_atoms, own, rest])
