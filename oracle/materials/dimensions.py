"""In how many directions a structure extends without end, as opposed to ending at vacuum."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.data.vdw_alvarez import vdw_radii
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

Shift = tuple[int, int, int]
Contacts = list[list[tuple[int, Shift]]]
_SLACK = 1.0
"""Å added to the sum of two radii. Contacts in crystals scatter by about 0.7 Å around that sum (S.
Alvarez, Dalton Trans. 42, 8617 (2013)), and functionals without dispersion widen them further."""
_UNLISTED = 2.5  # Å; radius of elements that the table lacks, as that of most heavy atoms


def periodic_directions(structure: Structure) -> int:
    """The number of directions in which the atoms are in contact without end.

    Two atoms are in contact if their distance is below the sum of their van der Waals radii plus
    1 Å. Crystals of molecules, noble gases or layers thus extend in three directions, whereas
    structures with vacuum around them do not.

    Args:
        structure: ordered; its cell, vacuum included, is taken as periodic in three directions.

    Returns:
        3 for a crystal, 2 for a slab or sheet, 1 for a wire, tube or chain, 0 for a molecule or
        atom in a box. If there are several separate parts, the largest number counts.
    """
    contacts = _contacts(structure)
    return max(_rank(loops) for loops in _loops_of_parts(contacts))


def _contacts(structure: Structure) -> Contacts:
    """For each atom, the atoms in contact with it and the lattice translations of their images."""
    symbols = [site.specie.symbol for site in structure]
    cell, positions = structure.lattice.matrix, structure.frac_coords
    atoms = Atoms(symbols, cell=cell, scaled_positions=positions, pbc=True)
    radii = [_radius(symbol) + _SLACK / 2 for symbol in symbols]
    first, second, shifts = neighbor_list("ijS", atoms, radii)
    contacts: Contacts = [[] for _ in radii]
    for i, j, (a, b, c) in zip(first, second, shifts, strict=True):
        contacts[i].append((int(j), (int(a), int(b), int(c))))
    return contacts


def _radius(symbol: str) -> float:
    """Van der Waals radius of an element, Å."""
    radius = float(vdw_radii[atomic_numbers[symbol]])
    return radius if np.isfinite(radius) else _UNLISTED


def _loops_of_parts(contacts: Contacts) -> Iterator[set[Shift]]:
    """For each connected part, the translations by which its atoms touch their own images."""
    cells: dict[int, NDArray[np.int64]] = {}
    for start in range(len(contacts)):
        if start not in cells:
            cells[start] = np.zeros(3, dtype=np.int64)
            yield _walk(start, contacts, cells)


def _walk(start: int, contacts: Contacts, cells: dict[int, NDArray[np.int64]]) -> set[Shift]:
    """Visit all atoms of a part, and note the cell in which each was first reached."""
    loops: set[Shift] = set()
    queue = deque([start])
    while queue:
        atom = queue.popleft()
        for other, shift in contacts[atom]:
            reached = cells[atom] + shift
            if other not in cells:
                cells[other] = reached
                queue.append(other)
            else:
                a, b, c = reached - cells[other]
                loops.add((int(a), int(b), int(c)))
    return loops


def _rank(loops: Iterable[Shift]) -> int:
    """Dimension of the space that the translations span."""
    return int(np.linalg.matrix_rank(np.array([*loops, (0, 0, 0)])))
