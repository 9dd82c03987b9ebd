"""Special positions with rounded coordinates, of which symmetry makes several atoms each."""

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
"""Largest distance between images of one rounded coordinate, in units of the last digit: half a
unit for each of at most two coordinates in either image."""
_FEWEST = 2  # decimals; coordinates with fewer are exact


def merge_rounded(
    structure: Structure, tags: Mapping[str, Any]
) -> tuple[Structure, tuple[str, ...]]:
    """The structure with one atom on each special position that symmetry and rounding multiplied.

    ``0.333, 0.667, z`` on a threefold axis becomes three atoms a few hundredths of an ångström
    apart; their mean lies on the axis. Only images of the same site are merged, and only if their
    distance can be due to rounding.

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
    sites: list[tuple[Any, NDArray[np.float64], str]] = []
    for (label, _), members in groups.items():
        positions = structure.frac_coords[members]
        tolerance = _SPREAD * 10.0 ** -decimals.get(label, 16)
        for mean in _means(positions, structure.lattice.matrix, tolerance):
            sites.append((structure[members[0]].specie, mean, label))
    if len(sites) == len(structure):
        return structure, ()
    species, means, labels = zip(*sites, strict=True)
    merged = Structure(structure.lattice, species, means, labels=list(labels))
    remark = (
        "its coordinates are rounded: symmetry made "
        f"{len(structure)} atoms of them, which were merged to {len(merged)} on special positions"
    )
    return merged, (remark,)


def _decimals(tags: Mapping[str, Any]) -> dict[str, int]:
    """Smallest number of decimals among the rounded coordinates of each labelled site."""
    decimals: dict[str, int] = {}
    labels = tags.get("_atom_site_label", [])
    for axis in "xyz":
        for label, value in zip(labels, tags.get(f"_atom_site_fract_{axis}", []), strict=False):
            digits = len(str(value).partition("(")[0].partition(".")[2])
            if digits >= _FEWEST:
                decimals[label] = min(decimals.get(label, digits), digits)
    return decimals


def _means(
    positions: NDArray[np.float64], matrix: NDArray[np.float64], tolerance: float
) -> NDArray[np.float64]:
    """Means (k, 3) of the clusters of positions; the positions themselves if cluster sizes differ.

    Args:
        positions: (n, 3), fractional.
        matrix: row vectors of the lattice, Å.
        tolerance: for each fractional coordinate.
    """
    apart = positions[None] - positions[:, None]
    apart -= np.rint(apart)
    near = (np.abs(apart).max(axis=2) <= tolerance) & (
        np.linalg.norm(apart @ matrix, axis=2) < OVERLAP
    )
    count, of = connected_components(near, directed=False)
    sizes = np.bincount(of)
    if len(set(sizes)) != 1:
        return positions  # not images of one site, all of which would be equally multiplied
    first = np.array([np.flatnonzero(of == k)[0] for k in range(count)])
    return np.array([positions[i] + apart[i, of == k].mean(axis=0) for k, i in enumerate(first)])
