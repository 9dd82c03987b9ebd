"""What an evaluation will cost, estimated from its supercells and meshes without running it.

The constants are seconds on one core, measured on seven crystals with the default settings
(benchmarks/dry_run.py); forces are timed with the potential itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from oracle.materials.crystal import Crystal
from oracle.phonons import harmonic, supercells
from oracle.phonons.finite_strain import LENGTHS, number_of_strains
from oracle.phonons.relax import Relaxed
from oracle.phonons.second_order import ionic
from oracle.phonons.settings import PhononSettings
from oracle.phonons.snapshots import AMPLITUDES, estimated_size

Seconds = Callable[[Atoms], float]
"""Gives the seconds that computing the forces of a structure takes."""
_FIXED = 2.5  # s: stability, bands, files, elasticity, mean square displacements
_STEPS_FREE, _STEPS_FIXED = 12, 6  # of relaxations with and without free positions
_FIT = 3e-6  # s per squared number of force constants, for all fits of a round
_ROUND = 1.5  # s per round, in addition
_TRIPLETS = 0.8e-6  # s per unit of `mesh_effort`; half of it for cubic, more for hexagonal crystals
_MORE_MESHES = 1.4  # factor for the two coarser meshes that serve to estimate the error
_REGULAR = 48  # operations of the cubic point group, with which the first fit mostly suffices
_GROWTH = {True: 1.2, False: 2.4}
"""Ratio of the snapshots used to those of the first fit, for cubic point groups and for others."""
_ROUNDS = {True: 1.4, False: 3.0}
"""Number of fits, likewise."""
_STRICTER = 1.5  # factor on both at half the tolerance
_STRAINED = 3  # steps of the relaxation of atoms in a strained primitive cell; 1 to 3 were counted
_ANHARMONIC = 2  # force calls
_COUNTED = 100  # atoms; in larger supercells the force constants are not counted but estimated
_INTERPRETER = 0.9  # GiB: libraries and a potential
_WORKSPACE = 6  # memory in units of that of all third-order force constants of a supercell


@dataclass(frozen=True)
class Effort:
    """What an evaluation costs.

    Args:
        force_calls: number of supercells whose forces are computed.
        forces_s: seconds on one core for them, and for those of small cells in relaxation and under
            strain, which are not counted.
        other_s: seconds on one core for everything else, on the reference machine.
        memory_gib: memory of the process, GiB.
    """

    force_calls: float
    forces_s: float
    other_s: float
    memory_gib: float

    def __add__(self, other: Effort) -> Effort:
        return Effort(
            self.force_calls + other.force_calls,
            self.forces_s + other.forces_s,
            self.other_s + other.other_s,
            max(self.memory_gib, other.memory_gib),
        )


@dataclass(frozen=True)
class PhononEffort:
    """What an evaluation of one crystal by the oracle `phonon-bte` costs.

    Args:
        harmonic: relaxation, second-order force constants, stability.
        conductive: third-order force constants and the Boltzmann equation, if it is stable.
        confirming: everything, with the settings of a confirmation.
    """

    harmonic: Effort
    conductive: Effort
    confirming: Effort


def phonon_effort(
    crystal: Crystal, settings: PhononSettings, seconds: Seconds, *, in_full: bool = False
) -> PhononEffort:
    """Estimate for one crystal.

    Supercells are those of the crystal as it is given, which relaxation may change.

    Args:
        crystal: any.
        settings: of the oracle.
        seconds: times the potential.
        in_full: whether confirmations solve the Boltzmann equation in full as well.
    """
    relaxed, tight = as_given(crystal), settings.tightened()
    if in_full and settings.transport == "rta":
        tight = tight.model_copy(update={"full_solution": True})
    return PhononEffort(
        harmonic_effort(relaxed, settings, seconds),
        _conductive(relaxed, settings, seconds, 1.0),
        harmonic_effort(relaxed, tight, seconds) + _conductive(relaxed, tight, seconds, _STRICTER),
    )


def harmonic_effort(relaxed: Relaxed, settings: PhononSettings, seconds: Seconds) -> Effort:
    """Effort of relaxation, second-order force constants and what follows from them."""
    if settings.finite_temperature is not None:
        settings = settings.sampled()
    elif ionic(relaxed.symbols):
        settings = settings.narrowed() or settings
    phonons = supercells.phonons3(relaxed, settings, second=True)
    moved = supercells.second_order_displacements(phonons, settings.displacement)
    cell = Atoms(
        list(relaxed.symbols), cell=relaxed.cell, scaled_positions=relaxed.positions, pbc=True
    )
    special = np.allclose(relaxed.positions * 12 % 1, 0, atol=1e-3)  # special positions only
    steps = _STEPS_FIXED if special else _STEPS_FREE
    calls = len(moved)
    if settings.finite_temperature is not None:
        calls += 2 * settings.finite_temperature_pairs * settings.finite_temperature_rounds
    forces = calls * seconds(moved[0]) + steps * seconds(cell)
    if settings.finite_temperature is None and isinstance(settings.calculator, str):
        strains = len(LENGTHS) * number_of_strains(phonons)
        forces += _STRAINED * strains * seconds(supercells.as_atoms(phonons.primitive))
    return Effort(calls, forces, _FIXED, _INTERPRETER)


def _conductive(
    relaxed: Relaxed, settings: PhononSettings, seconds: Seconds, strictness: float
) -> Effort:
    """Effort of third order and transport; `strictness` multiplies snapshots and rounds."""
    phonons = supercells.phonons3(relaxed, settings, second=False)
    wider = supercells.unfolded_third_order(phonons, settings)
    if wider is not None:
        phonons = supercells.with_third_order(phonons, wider)
    rest = supercells.as_atoms(phonons.supercell)
    operations = len(phonons.primitive_symmetry.reciprocal_operations)
    bands = 3 * len(phonons.primitive)
    n = len(rest)
    if settings.force_constants == "finite-difference":
        calls: float = sum(1 for _ in supercells.pair_displacements(phonons, settings.displacement))
        fits = 0.0
    else:
        size: float = settings.pairs_start * 3 * (n - 1) / settings.oversampling
        if n <= _COUNTED:  # in larger ones counting takes minutes, and the cutoff uses all pairs
            size, _ = estimated_size(
                phonons, settings.fc3_cutoff, settings.pairs_start, settings.oversampling
            )
        needed = max(len(AMPLITUDES), np.ceil(settings.oversampling * size / (3 * (n - 1))))
        first = min(float(needed), settings.pairs_max)
        regular = operations >= _REGULAR
        pairs = min(first * _GROWTH[regular] * strictness, settings.pairs_max)
        rounds = _ROUNDS[regular] * strictness if pairs > first else 1.0
        calls = 2 * pairs
        fits = rounds * (_ROUND + _FIT * size**2)
    calls += 1 + _ANHARMONIC
    transport = _TRIPLETS * _MORE_MESHES * _triplets(phonons, settings, bands, operations)
    third_order_gib = (3 * n) ** 3 * 8 / 2**30
    memory = _INTERPRETER + _WORKSPACE * third_order_gib
    return Effort(calls, calls * seconds(rest), fits + transport, memory)


def _triplets(phonons: object, settings: PhononSettings, bands: int, operations: int) -> float:
    """Number of three-phonon processes on the mesh, as `settings.mesh_effort` counts them."""
    mesh = harmonic.transport_mesh(phonons, settings)
    solved = settings.converge_meshes if settings.converge else 1
    direct = 3.0 if settings.transport == "lbte" else 1.25 if settings.full_solution else 1.0
    return solved * direct * harmonic.processes(mesh, bands, operations, settings.sparse)


def as_given(crystal: Crystal) -> Relaxed:
    """A crystal taken as already relaxed."""
    cell = crystal.conventional()
    return Relaxed(
        cell=cell.lattice.matrix,
        positions=cell.frac_coords,
        symbols=tuple(site.specie.symbol for site in cell),
        energy_per_atom=0.0,
        steps=0,
        change=None,
    )


def slower(effort: Effort, slowness: float) -> Effort:
    """The effort on a machine whose linear algebra takes `slowness` times as long."""
    return replace(effort, other_s=effort.other_s * slowness)
