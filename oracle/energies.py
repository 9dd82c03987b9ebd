"""Energies to compare crystals by: relaxed with symmetry kept, and remembered on disk.

Good to a few meV/atom, at a fraction of the cost of the relaxation before phonons.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.constraints import FixSymmetry
from ase.data import covalent_radii
from ase.filters import FrechetCellFilter
from ase.neighborlist import neighbor_list
from ase.optimize import BFGS

from oracle.eos import EquationOfState, equation_of_state
from oracle.errors import OracleError
from oracle.material import SYMPREC, Crystal, digest_of
from oracle.potentials import calculator, weights_digest

if TYPE_CHECKING:
    from ase import Atoms

_VERSION = 1  # raised when the numbers below or the algorithm change: it is part of every key
_FMAX = 0.02  # eV/Å; leaves about 1 meV/atom
_STEPS = 80
_CLOSEST = 0.5  # of the sum of covalent radii; nearer atoms have fallen into a hole of the model


@dataclass(frozen=True)
class RelaxedEnergy:
    """The end of a relaxation.

    Args:
        energy_per_atom: eV; when not `converged`, an upper bound of the minimum.
        volume_per_atom: Å³.
        converged: whether forces fell below the threshold within the steps allowed.
    """

    energy_per_atom: float
    volume_per_atom: float
    converged: bool


def relaxed_energy(
    atoms: Atoms, potential: str, *, fixed_cell: bool = False, symmetric: bool = True
) -> RelaxedEnergy:
    """Energy of a structure after relaxing its positions and its cell.

    Args:
        atoms: periodic, not too far from its minimum; left as it is.
        potential: as for `oracle.potentials.calculator`.
        fixed_cell: True for a molecule in a box.
        symmetric: whether the space group found at `SYMPREC` is kept.

    Raises:
        OracleError: stage ``relax``; the energy is not a number, or atoms have collapsed.
    """
    atoms = atoms.copy()
    atoms.calc = calculator(potential)
    if symmetric:
        atoms.set_constraint(FixSymmetry(atoms, symprec=SYMPREC))
    target = atoms if fixed_cell else FrechetCellFilter(atoms)
    optimizer = BFGS(target, logfile=None, maxstep=0.1)
    converged = bool(optimizer.run(fmax=_FMAX, steps=_STEPS))
    energy = float(atoms.get_potential_energy()) / len(atoms)
    if not math.isfinite(energy):
        raise OracleError("relax", f"{atoms.symbols}: {potential} gave no finite energy")
    _check_distances(atoms)
    return RelaxedEnergy(energy, float(atoms.get_volume()) / len(atoms), converged)


def _check_distances(atoms: Atoms) -> None:
    radii = {int(z): float(covalent_radii[z]) * _CLOSEST for z in set(atoms.numbers)}
    pairs = {(a, b): radii[a] + radii[b] for a in radii for b in radii}
    symbols = {(_symbol(a), _symbol(b)): limit for (a, b), limit in pairs.items()}
    near = neighbor_list("d", atoms, symbols)
    if len(near):
        raise OracleError(
            "relax",
            f"{atoms.symbols}: relaxation brought two atoms to {np.min(near):.2f} Å of each other; "
            "expected bonds of ordinary length: the potential cannot be trusted here",
        )


def _symbol(number: int) -> str:
    from ase.data import chemical_symbols

    return str(chemical_symbols[number])


def remembered_curve(crystal: Crystal, potential: str, cache_dir: Path) -> EquationOfState:
    """`oracle.eos.equation_of_state`, computed once per crystal and weights.

    Raises:
        OracleError: stage ``eos``.
    """
    key = {"curve": crystal.model_dump(mode="json"), "weights": weights_digest(potential)}
    stored = remembered(cache_dir, key, lambda: asdict(equation_of_state(crystal, potential)))
    return EquationOfState(**stored)


def remembered_energy(crystal: Crystal, potential: str, cache_dir: Path) -> RelaxedEnergy:
    """The crystal relaxed from the minimum of its energy-volume curve; once per crystal and weights.

    Raises:
        OracleError: stage ``eos`` or ``relax``.
    """

    def compute() -> dict[str, Any]:
        curve = remembered_curve(crystal, potential, cache_dir)
        atoms = curve.structure(crystal).to_ase_atoms()
        return asdict(relaxed_energy(atoms, potential))

    key = {"relaxed": crystal.model_dump(mode="json"), "weights": weights_digest(potential)}
    return RelaxedEnergy(**remembered(cache_dir, key, compute))


def remembered(
    cache_dir: Path, key: dict[str, Any], compute: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """A JSON object from the cache, or computed and put there.

    Several processes may ask for the same key at once: each computes the same object, and each
    puts a whole file in place. Errors are not remembered. JSON keeps every bit of a float.

    Args:
        cache_dir: made if absent.
        key: all that the object depends on, as JSON.
        compute: called on a miss.
    """
    digest = digest_of({"version": _VERSION, **key})
    path = cache_dir / digest[:2] / f"{digest}.json"
    try:
        found = json.loads(path.read_text())
        if isinstance(found, dict):
            return found
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        pass  # absent, or cut off by a full disk: computed again
    value = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".json")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(value, file, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return value
