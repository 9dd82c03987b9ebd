"""Random changes of a crystal that keep its space group, or lead to one above it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.linalg
from pymatgen.core.lattice import Lattice

from agents.spaces.site_description import SiteDescription
from agents.spaces.wyckoff_sites import Site, positions

_STEP = 0.4  # Å, standard deviation of each component of a displacement
_STRAIN = 0.15  # standard deviation of each component of a strain, before symmetry is imposed
_LEAST = 1e-3  # strain below which a shape counts as the same


def displaced(described: SiteDescription, rng: np.random.Generator) -> SiteDescription | None:
    """With other free coordinates; None if symmetry fixes all atoms.

    Args:
        described: the crystal.
        rng: source of all randomness.
    """
    table = positions(described.group)
    if not any(table[site.position].freedom for site in described.sites):
        return None
    lengths = np.array(described.lattice.abc)
    moved = (each + rng.normal(scale=_STEP, size=3) / lengths for each in described.free)
    return replace(described, free=tuple(moved))


def moved(described: SiteDescription, rng: np.random.Generator) -> SiteDescription | None:
    """With one site at another Wyckoff position of the same multiplicity; None if all are taken.

    A position without free coordinates is taken by one site.

    Args:
        described: the crystal.
        rng: source of all randomness.
    """
    table = positions(described.group)
    taken = {site.position for site in described.sites}
    choices = [
        (at, other)
        for at, site in enumerate(described.sites)
        for other, position in enumerate(table)
        if other != site.position
        and position.multiplicity == table[site.position].multiplicity
        and (position.freedom or other not in taken)
    ]
    if not choices:
        return None
    at, other = choices[int(rng.integers(len(choices)))]
    sites, free = list(described.sites), list(described.free)
    sites[at], free[at] = Site(sites[at].element, other), rng.random(3)
    return replace(described, sites=tuple(sites), free=tuple(free))


def exchanged(described: SiteDescription, rng: np.random.Generator) -> SiteDescription | None:
    """With the elements of two sites exchanged; None if all sites have the same element.

    The composition changes if the multiplicities of the sites differ.

    Args:
        described: the crystal.
        rng: source of all randomness.
    """
    sites = list(described.sites)
    choices = [
        (at, other)
        for at in range(len(sites))
        for other in range(at)
        if sites[at].element != sites[other].element
    ]
    if not choices:
        return None
    at, other = choices[int(rng.integers(len(choices)))]
    first, second = sites[at], sites[other]
    sites[at] = replace(first, element=second.element)
    sites[other] = replace(second, element=first.element)
    return replace(described, sites=tuple(sites))


def strained(described: SiteDescription, rng: np.random.Generator) -> SiteDescription | None:
    """With another shape of the cell, at the same volume; None in the cubic system.

    A random strain is averaged over the point group, so that it keeps the crystal system, and made
    free of dilation.

    Args:
        described: the crystal.
        rng: source of all randomness.
    """
    rows = described.lattice.matrix
    turns = rows.T @ positions(described.group)[0].rotations @ np.linalg.inv(rows.T)
    strain = rng.normal(scale=_STRAIN, size=(3, 3))
    strain = (strain + strain.T) / 2
    strain = np.mean(turns.transpose(0, 2, 1) @ strain @ turns, axis=0)
    strain -= np.eye(3) * np.trace(strain) / 3
    if np.abs(strain).max() < _LEAST:
        return None
    return replace(described, lattice=Lattice(rows @ scipy.linalg.expm(strain)))
