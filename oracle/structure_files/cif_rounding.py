"""Special positions whose coordinates are rounded: symmetry makes several atoms of each one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.structure import Structure
from scipy.sparse.csgraph import connected_components

from oracle.materials.crystal_checks import OVERLAP

_SPREAD = 2.1
"""Largest distance, in units of the last digit, between images of one rounded coordinate: half a
unit in each, of at most two coordinates in either image."""
_FEWEST = 2  # decimals; a coordinate with fewer is exact or no coordinate


def merge_rounded(
    structure: Structure, tags: Mapping[str, Any]
) -> tuple[Structure, tuple[str, ...]]:
    """The structure with one atom on each special position that symmetry and rounding multiplied.

    ``0.333, 0.667, z`` on a threefold axis becomes three atoms a few hundredths of an ångström
    apart; their mean lies on the axis. Only images of one site are merged, and only as far apart as
    the digits of that site allow.

    Args:
        structure: ordered, its sites labelled as in the block.
        tags: of the block, as text.

    Returns:
        The structure, and a remark if anything was merged.
    """
    if structure.is_valid(tol=OVERLAP):
        return structure, ()
    decimals = _decimals(tags)
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, site in enumerate(structure):
        groups[site.label, site.specie.symbol].append(index)
    kept: list[tuple[Any, NDArray[np.float64], str]] = []
    for (label, _), members in groups.items():
        positions = structure.frac_coords[members]
        tolerance = _SPREAD * 10.0 ** -decimals.get(label, 16)
        for mean in _means(positions, structure.lattice.matrix, tolerance):
            kept.append((structure[members[0]].specie, mean, label))
    if len(kept) == len(structure):
        return structure, ()
    species, means, labels = zip(*kept, strict=True)
    merged = Structure(structure.lattice, species, means, labels=list(labels))
    remark = (
        "its coordinates are rounded: symmetry made "
        f"{len(structure)} atoms of them, which were merged to {len(merged)} on special positions"
    )
    return merged, (remark,)


def _decimals(tags: Mapping[str, Any]) -> dict[str, int]:
    """Fewest decimals of the coordinates of each labelled site, of those that are rounded."""
    found: dict[str, int] = {}
    labels = tags.get("_atom_site_label", [])
    for axis in "xyz":
        for label, value in zip(labels, tags.get(f"_atom_site_fract_{axis}", []), strict=False):
            digits = len(str(value).partition("(")[0].partition(".")[2])
            if digits >= _FEWEST:
                found[label] = min(found.get(label, digits), digits)
    return found


def _means(
    positions: NDArray[np.float64], matrix: NDArray[np.float64], tolerance: float
) -> NDArray[np.float64]:
    """Mean of each cluster of positions (n, 3); the positions themselves if clusters differ.

    Args:
        positions: fractional.
        matrix: rows of the lattice, Å.
        tolerance: fractional, in each coordinate.
    """
    apart = positions[None] - positions[:, None]
    apart -= np.rint(apart)
    near = (np.abs(apart).max(axis=2) <= tolerance) & (
        np.linalg.norm(apart @ matrix, axis=2) < OVERLAP
    )
    count, of = connected_components(near, directed=False)
    sizes = np.bincount(of)
    if len(set(sizes)) != 1:
        return positions  # no orbit: its points all have the same number of images
    first = np.array([np.flatnonzero(of == k)[0] for k in range(count)])
    return np.array([positions[i] + apart[i, of == k].mean(axis=0) for k, i in enumerate(first)])
