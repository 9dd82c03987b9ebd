"""In how many directions a structure extends without end, by all contacts or by strong bonds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.data.vdw_alvarez import vdw_radii
from ase.geometry.dimensionality import analyze_dimensionality
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

Shift = tuple[int, int, int]
Contacts = list[list[tuple[int, Shift]]]
_SLACK = 1.0
"""Å added to the sum of two radii. Contacts in crystals scatter by about 0.7 Å around that sum (S.
Alvarez, Dalton Trans. 42, 8617 (2013)), and functionals without dispersion widen them further."""
_UNLISTED = 2.5  # Å; radius of elements that the table lacks, as that of most heavy atoms
_WEAKLY_BOUND = 0.45
"""Score from which a network of bonds counts as layers or chains. It is 0.48 for Bi, 0.6 for SnSe
and Bi2Te3 and above 0.8 for most layered crystals; below 0.35 for PbTe, LiCoO2, MgB2, Mg3Sb2 and
Zn, and 0.43 for Cd."""
_APART = 1.36
"""Least distance between atoms of different molecules, in sums of covalent radii. It is 1.32
between ions in TlCl, and 1.6 to 2.4 between most molecules and noble gas atoms."""


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


def weakly_bound_parts(structure: Structure) -> str | None:
    """What a crystal consists of, if only weak forces hold its parts together.

    Strong bonds are told from weak ones by the gap between their lengths in units of covalent radii
    (P. M. Larsen, M. Pandey, M. Strange and K. W. Jacobsen, Phys. Rev. Materials 3, 034003 (2019)).

    Args:
        structure: ordered; its cell is taken as periodic in three directions.

    Returns:
        ``layers``, ``chains``, ``molecules`` or ``atoms`` (of noble gases), or None where strong
        bonds connect everything.
    """
    atoms = Atoms(
        [site.specie.symbol for site in structure],
        cell=structure.lattice.matrix,
        scaled_positions=structure.frac_coords,
        pbc=True,
    )
    separate = "atoms" if all(s.specie.is_noble_gas for s in structure) else "molecules"
    try:
        intervals = analyze_dimensionality(atoms)  # by falling score
    except TypeError:
        # ASE gives up where the next neighbours are farther than twice the sum of covalent radii,
        # as in helium or solid hydrogen, and has no intervals to merge then.
        return separate
    if any(i.dimtype == "0D" and i.score > _WEAKLY_BOUND and i.b > _APART for i in intervals):
        return separate
    extended = [i for i in intervals if i.dimtype != "0D" and "3" not in i.dimtype]
    if sum(interval.score for interval in extended) < _WEAKLY_BOUND:
        return None
    return "layers" if "2" in extended[0].dimtype else "chains"


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
