"""Frequencies of a doubled primitive cell: a first look at stability for a few forces."""

from __future__ import annotations

import itertools

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from pymatgen.core.structure import Structure

from oracle.phonons.atomic_data import phonopy_cell
from oracle.potentials.table import calculator

Array = NDArray[np.float64]
_DISPLACEMENT = 0.03  # Å
_MOST_WORK = 1000
"""Atoms of the doubled cell times displacements: beyond, the full oracle is not much dearer."""


def commensurate_frequencies(structure: Structure, potential: str) -> Array | None:
    """Phonon frequencies (8, 3 n_atoms) in THz at the points commensurate with a 2x2x2 supercell.

    Exact for the supercell, whose periodic images the displaced atoms of a small cell do see: they
    say whether a crystal gives way at the zone's centre or boundary, not what its bands are.
    Imaginary frequencies are negative; the zone's centre comes first.

    Args:
        structure: primitive cell, at the potential's own volume.
        potential: as for `oracle.potentials.table.calculator`.

    Returns:
        None where the cell is so large, or so little symmetric, that the look is not cheap.

    Raises:
        ValueError, RuntimeError, KeyError: the potential refuses the crystal, each in its own way.
    """
    if 8 * len(structure) > _MOST_WORK:
        return None
    symbols = [site.specie.symbol for site in structure]
    cell = phonopy_cell(structure.lattice.matrix, structure.frac_coords, symbols)
    phonons = Phonopy(
        cell, supercell_matrix=np.diag([2, 2, 2]), primitive_matrix=np.eye(3), log_level=0
    )
    phonons.generate_displacements(distance=_DISPLACEMENT)
    displaced = phonons.supercells_with_displacements
    if len(displaced) * 8 * len(structure) > _MOST_WORK:
        return None
    engine = calculator(potential)
    phonons.forces = np.array([engine.get_forces(_for_ase(atoms)) for atoms in displaced])
    phonons.produce_force_constants()
    phonons.symmetrize_force_constants()
    points = np.array(list(itertools.product((0.0, 0.5), repeat=3)))
    return np.asarray(phonons.run_qpoints(points).frequencies, dtype=np.float64)


def _for_ase(cell: PhonopyAtoms) -> Atoms:
    return Atoms(cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
