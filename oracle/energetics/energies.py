"""Energies of crystals from a potential, computed once and stored as JSON.

A stored energy is exactly what a new calculation would give. It is stored under the exact canonical
form (not its rounded digest) and the potential's weights, and computed on one thread, because the
rounding of sums depends on how they are divided among threads.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from oracle.energetics.eos import EquationOfState, equation_of_state
from oracle.materials.crystal import Crystal
from oracle.potentials.dft_settings import Potential
from oracle.potentials.table import calculator, weights_digest
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError, raise_if_of_the_machine, recurring
from oracle.runtime.files import report_damage, write_whole
from oracle.runtime.threads import one_thread

VERSION = 1
"""Part of every key; to be raised when the energy of the same crystal would change."""
_FORCE_TOLERANCE = 0.04  # eV/Å; the energy is then converged to better than 1 meV/atom
_ACCEPTED = 0.2  # eV/Å; largest residual force with which an energy is accepted after all steps
_STEPS = 60
_STAGES = ("eos", "relaxed", "relaxed-as-given")
_CHECK = "sha256"  # key of the digest of a file's other entries


def curve(crystal: Crystal, potential: Potential, cache_dir: Path) -> EquationOfState:
    """`oracle.energetics.eos.equation_of_state`, computed or read from the store.

    Raises:
        OracleError: stage ``eos``.
    """

    def compute() -> dict[str, Any]:
        return dataclasses.asdict(equation_of_state(crystal, potential))

    return EquationOfState(**_kept("eos", crystal, potential, cache_dir, compute))


def relaxed_energy(
    crystal: Crystal, potential: Potential, cache_dir: Path, *, scaled: bool = True
) -> float:
    """Energy of a crystal relaxed within its space group, eV/atom, computed or read from the store.

    Args:
        crystal: any crystal.
        potential: as for `oracle.potentials.table.calculator`.
        cache_dir: folder of stored energies.
        scaled: whether relaxation begins at the minimum of the energy-volume curve, which helps
            where the lattice parameter is a guess but would tear molecules apart.

    Raises:
        OracleError: stage ``eos`` or ``relax``.
    """

    def compute() -> dict[str, Any]:
        structure = crystal.structure()
        if scaled:
            structure = curve(crystal, potential, cache_dir).structure(crystal)
        atoms = Atoms(
            list(crystal.species),
            scaled_positions=list(crystal.positions),
            cell=structure.lattice.matrix,
            pbc=True,
        )
        return {"energy": _relax(atoms, potential, crystal.formula)}

    stage = "relaxed" if scaled else "relaxed-as-given"
    return float(_kept(stage, crystal, potential, cache_dir, compute)["energy"])


def _relax(atoms: Atoms, potential: Potential, formula: str) -> float:
    """Energy per atom (eV) after relaxing cell and positions in place."""
    from ase.constraints import FixSymmetry
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    atoms.calc = calculator(potential)
    atoms.set_constraint(FixSymmetry(atoms))
    filtered = FrechetCellFilter(atoms)
    BFGS(filtered, logfile=None, maxstep=0.1).run(fmax=_FORCE_TOLERANCE, steps=_STEPS)
    residual = float(np.linalg.norm(filtered.get_forces(), axis=1).max())
    if not residual < _ACCEPTED:
        raise OracleError(
            "relax",
            f"{formula}: forces of {residual:.2f} eV/Å are left after {_STEPS} steps with "
            f"{potential}; expected less than {_ACCEPTED}: check the structure",
        )
    return float(atoms.get_potential_energy()) / len(atoms)


def forget_failures(cache_dir: Path) -> int:
    """Remove stored failures, so that they are computed again; returns their number."""
    count = 0
    for stage in _STAGES:
        for path in (cache_dir / stage).rglob("*.json"):
            document = _read(path)
            if document is None or "error" in document:
                path.unlink(missing_ok=True)
                count += document is not None
    return count


def _kept(
    stage: str,
    crystal: Crystal,
    potential: Potential,
    cache_dir: Path,
    compute: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Read the numbers of a stage, or compute and store them; a failure is stored as well."""
    key = digest_of(
        {
            "stage": stage,
            "version": VERSION,
            "crystal": crystal.model_dump(mode="json"),
            "weights": weights_digest(potential),
        }
    )
    path = cache_dir / stage / key[:2] / f"{key}.json"
    document = _read(path)
    if document is None:
        document = _attempt(stage, crystal.formula, potential, compute)
        write_whole(path, json.dumps(document | {_CHECK: digest_of(document)}).encode())
    if "error" in document:
        raise OracleError(*document["error"])
    return document


def _read(path: Path) -> dict[str, Any] | None:
    """The numbers in a file; None where the file is missing or damaged."""
    try:
        document = json.loads(path.read_bytes())
        # Files of earlier versions have no digest.
        digest = document.pop(_CHECK, None)
        if digest not in (None, digest_of(document)):
            raise ValueError("its content is not what was written")
    except FileNotFoundError:
        return None
    except (ValueError, AttributeError, TypeError) as error:
        report_damage(path, error)
        return None
    return dict(document)


def _attempt(
    stage: str, formula: str, potential: Potential, compute: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    calculator(potential)  # raises here if it is missing, which is no failure of the crystal
    try:
        with one_thread():
            numbers = recurring(compute)
    except OracleError as error:
        if error.transient:
            raise
        return {"error": [error.stage, error.message]}
    except (ArithmeticError, ValueError, RuntimeError, LookupError) as error:
        raise_if_of_the_machine(error)
        # Potentials differ in what they raise for elements they do not know.
        cause = " ".join(str(error).split())[:200]
        return {"error": [stage, f"{potential} failed on {formula}: {cause}"]}
    if not all(math.isfinite(number) for number in numbers.values()):
        return {"error": [stage, f"{potential} gives an energy of {formula} that is not finite"]}
    return numbers
