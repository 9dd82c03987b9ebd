"""Frequencies from a doubled primitive cell: a cheap first test of stability."""

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
"""Atoms of the doubled cell times displacements; beyond it, the oracle itself costs little more."""


def commensurate_frequencies(structure: Structure, potential: str) -> Array | None:
    """Phonon frequencies (8, 3 n_atoms) in THz at the points commensurate with a 2x2x2 supercell.

    They are exact for this supercell, in which displaced atoms may interact with their periodic
    images. They tell whether a crystal is unstable at the zone centre or boundary, not what its
    bands are. Imaginary frequencies are negative; the zone centre comes first.

    Args:
        structure: primitive cell, at the equilibrium volume of the potential.
        potential: as for `oracle.potentials.table.calculator`.

    Returns:
        None where the cell is so large, or has so little symmetry, that this is not cheap.

    Raises:
        ValueError, RuntimeError, KeyError: the potential refuses the crystal; potentials differ in
            what they raise.
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
