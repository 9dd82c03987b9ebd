"""Trying a potential on a small cell before a campaign is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from ase import Atoms

from oracle.materials.crystal import Crystal
from oracle.potentials.dft_settings import Potential
from oracle.potentials.forces import ForceField, checked
from oracle.potentials.table import calculator
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError, is_of_the_machine
from oracle.runtime.stages import StageStore

STAGE = "read"


def try_potential(potential: Potential, crystals: Iterable[Crystal]) -> None:
    """Load a potential and compute energy, forces and stress with it.

    One crystal in which this works is enough, since others may have elements that the potential
    does not know.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        crystals: small ones, tried in turn; if there are none, the potential is only loaded.

    Raises:
        OracleError: it cannot be loaded, or works in none of the crystals; the error is then that
            of the last one.
    """
    calculator(potential)
    last: OracleError | None = None
    for crystal in crystals:
        try:
            _try(potential, crystal)
        except OracleError as error:
            if is_of_the_machine(error):
                raise
            last = error
        else:
            return
    if last is not None:
        raise last


def _try(potential: Potential, crystal: Crystal) -> None:
    nowhere = Path()  # nothing is stored
    field = ForceField(potential, StageStore(nowhere), Context(nowhere))
    atoms = Atoms(
        crystal.species, cell=crystal.lattice, scaled_positions=crystal.positions, pbc=True
    )
    with field.attached(atoms, STAGE) as ready:
        checked(ready.get_forces(), len(ready), STAGE, potential)
        others = [float(ready.get_potential_energy()), *np.ravel(ready.get_stress())]
    if not np.isfinite(others).all():
        raise OracleError(
            STAGE,
            f"calculator {potential} gave an energy or stress of {crystal.formula} that is not "
            "finite; check the calculator",
        )
