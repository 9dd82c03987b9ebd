"""Relaxation of cell and positions within the space group, and how it changed the structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from numpy.typing import NDArray

from oracle.materials.crystal import Crystal
from oracle.materials.dimensions import periodic_directions, weakly_bound_parts
from oracle.phonons.doubts import of_one, scaling
from oracle.phonons.settings import PhononSettings
from oracle.phonons.structural_change import StructuralChange, structural_change
from oracle.potentials.dft_settings import Potential
from oracle.potentials.forces import ForceField, checked
from oracle.potentials.table import weights_digest
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
_VERSION = 4
"""Part of the key of stored relaxations; to be raised when the same settings would give another
structure, verdict or caution."""
_DECIMALS = 10  # of cells (Å) and positions (fractional); symmetry is kept far beyond _SYMPREC


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
        cautions: why phonons of the relaxed structure may not be those of the given crystal.
    """

    cell: Array
    positions: Array
    symbols: tuple[str, ...]
    energy_per_atom: float
    steps: int
    change: str | None
    cautions: tuple[str, ...] = ()

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
            "version": _VERSION,
            "crystal": crystal.model_dump(mode="json"),
            "weights": weights_digest(settings.potential),
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
                "cautions": relaxed.cautions,
            },
        )
        return relaxed
    arrays, facts = stored
    texts = {name: tuple(facts[name]) for name in ("symbols", "cautions")}
    fields: dict[str, Any] = {**arrays, **facts, **texts}
    return Relaxed(**fields)


def cautions_of_given(crystal: Crystal, relaxed: Relaxed) -> list[str]:
    """Cautions about a crystal whose lattice parameters were given, not guessed, by name.

    Args:
        crystal: as it was given.
        relaxed: the same, relaxed.
    """
    scaled = scaling(crystal.conventional().volume, relaxed.volume)
    said = any("volume by " in caution for caution in relaxed.cautions)
    texts = [*relaxed.cautions, *([scaled] if scaled and not said else [])]
    return [of_one(text, crystal.formula) for text in texts]


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
        checked(atoms.get_forces(), len(atoms), "relax", settings.potential)
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
    changes = structural_change(unrelaxed, atoms, settings.volume_change)
    if not converged and changes.verdict is None:
        raise OracleError(
            "relax",
            f"{crystal.formula}: {largest:.2g} eV/Å are left after {optimizer.nsteps} steps; "
            f"expected {settings.relax_fmax:g}: raise relax_steps or relax_fmax",
        )
    return Relaxed(
        cell=np.round(atoms.cell.array, _DECIMALS) + 0.0,  # no -0.0
        positions=without_noise(atoms.get_scaled_positions(wrap=False)),
        symbols=tuple(atoms.get_chemical_symbols()),
        energy_per_atom=energy,
        steps=optimizer.nsteps + 1,
        change=changes.verdict,
        cautions=tuple(_cautions(crystal, settings, changes)),
    )


def without_noise(positions: Array) -> Array:
    """Fractional coordinates in [0, 1); slightly negative ones become 0, not almost 1.

    They are rounded, because special ones such as 1/2 decide on the order of the atoms in
    supercells: 0.5000000000000001 would be another order, with other random displacements.
    """
    return np.asarray(np.round(positions % 1.0, _DECIMALS) % 1.0)


def _cautions(
    crystal: Crystal, settings: PhononSettings, changes: StructuralChange
) -> Iterator[str]:
    """Why phonons of the relaxed structure may not be those of the given crystal."""
    structure = crystal.structure()
    parts = weakly_bound_parts(structure) if settings.dispersion is None else None
    if parts is not None and periodic_directions(structure) == 3:  # else vacuum separates them
        yield (
            f"{settings.calculator} {_lacks(settings.calculator)} the dispersion forces that hold "
            f"the {parts} of {crystal.formula} together"
            + (": set dispersion to d3" if isinstance(settings.calculator, str) else "")
        )
    if changes.noticeable:
        yield f"relaxation changed the structure: {', '.join(changes.noticeable)}"


def _lacks(potential: Potential) -> str:
    """Nothing is known of a user's own potential; those in the table have no dispersion forces."""
    return "may lack" if isinstance(potential, str) and ":" in potential else "lacks"
