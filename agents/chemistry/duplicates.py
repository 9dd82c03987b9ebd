"""Filters of duplicates: materials that are known, repeated, or equal within rounding."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core.periodic_table import Element

from oracle.materials.crystal import Crystal
from oracle.materials.material import Material

_LENGTH = 0.005  # relative; the digest rounds lengths to 0.001 Å and positions to 1e-4
_SITE = 0.005  # of the cube root of the volume per atom
_ANGLE = 0.2  # degrees
_CLOSE = 0.6  # of the sum of the covalent radii


class Admission:
    """A filter that admits every material once.

    Args:
        taken: materials that are already evaluated or pending.
        near_duplicates: whether crystals that match one of these within rounding are rejected too.
    """

    def __init__(self, taken: Iterable[Material] = (), *, near_duplicates: bool = True) -> None:
        self._near = near_duplicates
        self._digests: set[str] = set()
        self._alike: dict[str, list[Crystal]] = {}
        for material in taken:
            self._take(material)

    def __call__(self, material: Material) -> bool:
        """Whether the material is new; it then counts as taken."""
        if not self.is_new(material):
            return False
        self._take(material)
        return True

    def is_new(self, material: Material) -> bool:
        """Whether neither the material nor a near-duplicate is taken."""
        if material.digest in self._digests:
            return False
        return not isinstance(material, Crystal) or self.near_duplicate(material) is None

    def near_duplicate(self, crystal: Crystal) -> Crystal | None:
        """A taken crystal that differs from this one by rounding only.

        Compared by structure matching, at fixed volume, among crystals of the same composition,
        number of atoms and space group.
        """
        if not self._near:
            return None
        others = [c for c in self._alike.get(_composition(crystal), ()) if _close(c, crystal)]
        if not others:
            return None
        matcher = StructureMatcher(
            ltol=_LENGTH, stol=_SITE, angle_tol=_ANGLE, primitive_cell=False, scale=False
        )
        structure = crystal.structure()
        for other in others:
            if other.spacegroup == crystal.spacegroup:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of numpy, where nothing matches
                    if matcher.fit(structure, other.structure()):
                        return other
        return None

    def _take(self, material: Material) -> None:
        self._digests.add(material.digest)
        if self._near and isinstance(material, Crystal):
            self._alike.setdefault(_composition(material), []).append(material)


def _composition(crystal: Crystal) -> str:
    """A key that near-duplicates share and that is quickly computed: the atoms of the cell."""
    return " ".join(sorted(crystal.species))


def _close(first: Crystal, second: Crystal) -> bool:
    """Whether the volumes agree within rounding; a fast test before the structure matching."""
    volumes = [abs(float(np.linalg.det(np.array(c.lattice)))) for c in (first, second)]
    return abs(volumes[0] - volumes[1]) <= 3 * _LENGTH * volumes[0]


def overlap(crystal: Crystal) -> str | None:
    """Why two atoms of a crystal are too close together, or None.

    A distance below 0.6 of the sum of the covalent radii counts as an overlap.
    """
    from ase.data import covalent_radii

    structure = crystal.structure()
    radii = [float(covalent_radii[Element(s).Z]) for s in crystal.species]
    reach = 2 * max(radii)
    first, second, _, distances = structure.get_neighbor_list(reach)
    for i, j, distance in zip(first, second, distances, strict=True):
        least = _CLOSE * (radii[i] + radii[j])
        if distance < least:
            return (
                f"{crystal.species[i]} and {crystal.species[j]} are {distance:.2f} Å apart; "
                f"expected at least {least:.2f} Å"
            )
    return None
