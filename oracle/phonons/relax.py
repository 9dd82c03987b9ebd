"""Relaxation of cell and positions within the space group, and how it changed the structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.neighborlist import neighbor_list
from ase.optimize import BFGS
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

from oracle.materials.canonical import spacegroup_of
from oracle.materials.crystal import Crystal
from oracle.materials.dimensions import periodic_directions
from oracle.phonons.settings import PhononSettings
from oracle.potentials.forces import ForceField, checked
from oracle.potentials.table import weights_digest
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
_SHELL = 1.2  # neighbours are atoms within this multiple of the distance to the nearest one


@dataclass(frozen=True)
class Relaxed:
    """The relaxed conventional cell.

    Args:
        cell: (3, 3), row vectors, Å, in the frame of `Crystal.conventional`.
        positions: (n, 3), fractional.
        symbols: (n,), element of each atom.
        energy_per_atom: eV.
        steps: number of times that energies and forces were computed.
        change: how the structure has become another one, or None where it is still the given one.
    """

    cell: Array
    positions: Array
    symbols: tuple[str, ...]
    energy_per_atom: float
    steps: int
    change: str | None

    @property
    def volume(self) -> float:
        """Volume of the conventional cell, Å³."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def digest(self) -> str:
        """SHA-256 of the exact cell and positions."""
        return digest_of([self.cell.tolist(), self.positions.tolist(), list(self.symbols)])


def relax(crystal: Crystal, settings: PhononSettings, field: ForceField) -> Relaxed:
    """Relax a crystal until forces and stress vanish, or read the stored result.

    Raises:
        OracleError: stage ``relax``; not a solid, not converged, or the calculator fails.
    """
    _refuse_molecules(crystal)
    key = digest_of(
        {
            "crystal": crystal.model_dump(mode="json"),
            "weights": weights_digest(settings.calculator),
            "fmax": settings.relax_fmax,
            "steps": settings.relax_steps,
            "volume_change": settings.volume_change,
        }
    )
    stored = field.store.load("relax", key)
    if stored is None:
        relaxed = _relax(crystal, settings, field)
        field.store.save(
            "relax",
            key,
            {"cell": relaxed.cell, "positions": relaxed.positions},
            {
                "symbols": relaxed.symbols,
                "energy_per_atom": relaxed.energy_per_atom,
                "steps": relaxed.steps,
                "change": relaxed.change,
            },
        )
        return relaxed
    arrays, facts = stored
    fields: dict[str, Any] = {**arrays, **facts, "symbols": tuple(facts["symbols"])}
    return Relaxed(**fields)


def _refuse_molecules(crystal: Crystal) -> None:
    """Refuse an atom or a molecule in vacuum, which has no phonons that carry heat.

    Raises:
        OracleError: stage ``relax``.
    """
    if periodic_directions(crystal.structure()) == 0:
        what = "one atom" if len(crystal.species) == 1 else "a molecule"
        raise OracleError(
            "relax",
            f"{crystal.formula}: {what} in a box, with vacuum on all sides; expected a crystal: "
            "give its unit cell",
        )


def _relax(crystal: Crystal, settings: PhononSettings, field: ForceField) -> Relaxed:
    structure = crystal.conventional()
    unrelaxed = Atoms(
        [site.specie.symbol for site in structure],
        scaled_positions=structure.frac_coords,
        cell=structure.lattice.matrix,
        pbc=True,
    )
    with field.attached(unrelaxed, "relax") as atoms:
        checked(atoms.get_forces(), len(atoms), "relax", settings.calculator)
        atoms.set_constraint(FixSymmetry(atoms, symprec=1e-3))
        filtered = FrechetCellFilter(atoms)
        optimizer = BFGS(filtered, logfile=None, maxstep=0.1)
        converged = False
        for reached in optimizer.irun(fmax=settings.relax_fmax, steps=settings.relax_steps):
            converged = bool(reached)
            field.context.check("relax")
            largest = float(np.abs(filtered.get_forces()).max())
            if not np.isfinite(largest):
                raise OracleError(
                    "relax", f"{crystal.formula}: forces are not finite; check the structure"
                )
            if not 0.2 < atoms.get_volume() / unrelaxed.get_volume() < 5.0:
                break
        energy = float(atoms.get_potential_energy()) / len(atoms)
    change = _change(unrelaxed, atoms, settings.volume_change)
    if not converged and change is None:
        raise OracleError(
            "relax",
            f"{crystal.formula}: {largest:.2g} eV/Å are left after {optimizer.nsteps} steps; "
            f"expected {settings.relax_fmax:g}: raise relax_steps or relax_fmax",
        )
    return Relaxed(
        cell=atoms.cell.array,
        positions=_wrapped(atoms.get_scaled_positions(wrap=False)),
        symbols=tuple(atoms.get_chemical_symbols()),
        energy_per_atom=energy,
        steps=optimizer.nsteps + 1,
        change=change,
    )


def _wrapped(positions: Array) -> Array:
    """Fractional coordinates in [0, 1); slightly negative ones become 0, not almost 1."""
    wrapped = positions % 1.0
    return np.where(wrapped > 1.0 - 1e-9, 0.0, wrapped)


def _change(before: Atoms, after: Atoms, volume_change: float) -> str | None:
    """How the relaxed structure is no longer the given one, or None where it still is."""
    ratio = after.get_volume() / before.get_volume()
    if abs(ratio - 1.0) > volume_change:
        return f"its volume changed by {100 * (ratio - 1):+.0f} %"
    groups = [spacegroup_of(_pymatgen(atoms)) for atoms in (before, after)]
    if groups[0][1] != groups[1][1]:
        return f"its space group changed from {groups[0][0]} to {groups[1][0]}"
    shells = [_coordination(atoms) for atoms in (before, after)]
    if (shells[0] != shells[1]).any():
        where = int(np.flatnonzero(shells[0] != shells[1])[0])
        return (
            f"{before.symbols[where]} has {shells[1][where]} neighbours where it had "
            f"{shells[0][where]}"
        )
    return None


def _coordination(atoms: Atoms) -> NDArray[np.int64]:
    """Number of neighbours (n,) of each atom, see `_SHELL`."""
    radius = 2.0
    while True:
        centres, distances = neighbor_list("id", atoms, radius)
        nearest = np.full(len(atoms), np.inf)
        np.minimum.at(nearest, centres, distances)
        if nearest.max() * _SHELL < radius:
            return np.bincount(centres[distances < nearest[centres] * _SHELL], minlength=len(atoms))
        radius *= 1.5


def _pymatgen(atoms: Atoms) -> Structure:
    return Structure(
        atoms.cell.array, atoms.get_chemical_symbols(), atoms.get_scaled_positions(wrap=False)
    )
