"""How far different potentials disagree on the forces in the same supercells (a committee).

Universal potentials are systematically too soft: away from equilibrium their forces are too small
by a nearly constant factor, which differs between potentials (B. Deng et al., npj Comput. Mater.
11, 9 (2025)). Left uncorrected, that factor would dominate every disagreement, so the forces of
each member are first multiplied by the slope that brings them to those of the others. Members must
be different in kind: two potentials with the same architecture, trained on the same data, agree
where both are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore

Array = NDArray[np.float64]
Forces = Sequence[Array]
"""One array (n_atoms, 3) per structure, eV/Å; the structures may differ in size."""
STAGE = "committee"
_ROUNDS = 50
_FLOOR = 1e-6  # eV/Å; smaller forces count as zero


@dataclass(frozen=True, eq=False)
class Disagreement:
    """Disagreement of a committee on some structures.

    Args:
        consensus: mean of the members' corrected forces, one (n_atoms, 3) per structure, eV/Å.
        slopes: (members,), correction factors of the members; their mean is 1 unless they were
            fitted to reference forces.
        spread: (structures,), root-mean-square deviation of the corrected forces from the
            consensus, over members, atoms and directions, eV/Å.
        deviations: (members, structures), root-mean-square deviation of each member's uncorrected
            forces from the consensus, eV/Å.
        size: (structures,), root mean square of the consensus forces, eV/Å.
    """

    consensus: Forces
    slopes: Array
    spread: Array
    deviations: Array
    size: Array


def member_forces(
    potentials: Sequence[str], structures: Sequence[Atoms], store: StageStore, context: Context
) -> list[list[Array]]:
    """Forces of every potential on every structure, eV/Å; forces in the store are reused.

    Raises:
        ValueError: fewer than two potentials, or one given twice.
        OracleError: stage ``committee``; a potential is missing or fails.
    """
    if len(set(potentials)) < 2 or len(set(potentials)) < len(potentials):
        raise ValueError(
            f"got the committee {list(potentials)}; expected at least two different potentials, "
            "preferably of different families, for instance 7net-0 and chgnet"
        )
    fields = [ForceField(potential, store, context) for potential in potentials]
    return [[field.forces(atoms, STAGE) for atoms in structures] for field in fields]


def softening(member: Forces, reference: Forces) -> float:
    """Least-squares slope s of ``reference ≈ s · member``; above 1 the member is too soft.

    Every structure has the same weight, whatever the size of its forces.

    Raises:
        ValueError: no structures, different structures, or forces that are all zero.
    """
    _check([member, reference])
    product = square = 0.0
    for own, wanted in zip(member, reference, strict=True):
        scale = max(float(np.square(wanted).mean()), _FLOOR**2) * wanted.size
        product += float((own * wanted).sum()) / scale
        square += float(np.square(own).sum()) / scale
    if square <= 0.0:
        raise ValueError("all forces are zero; give supercells with displaced atoms")
    return product / square


def disagreement(members: Sequence[Forces], slopes: Sequence[float] | None = None) -> Disagreement:
    """Correct the members for their softening and compare them.

    Args:
        members: forces of each member on the same structures, as from `member_forces`.
        slopes: of each member against reference forces, see `softening`. Without them, slopes are
            fitted to the members' consensus; a softening common to all then goes unnoticed.

    Raises:
        ValueError: fewer than two members, different structures, or forces that are not finite.
    """
    if len(members) < 2:
        raise ValueError(f"got {len(members)} members; a committee needs at least 2")
    _check(members)
    factors = (
        np.array(slopes, dtype=np.float64) if slopes is not None else _consensus_slopes(members)
    )
    if factors.shape != (len(members),):
        raise ValueError(f"got {factors.size} slopes for {len(members)} members; give one for each")
    consensus = _mean(members, factors)
    corrected = [[f * a for a in member] for f, member in zip(factors, members, strict=True)]
    deviations = np.array([_rms_differences(member, consensus) for member in corrected])
    return Disagreement(
        consensus=consensus,
        slopes=factors,
        spread=np.sqrt(np.square(deviations).sum(axis=0) / (len(members) - 1)),
        deviations=np.array([_rms_differences(member, consensus) for member in members]),
        size=np.array([_rms(a) for a in consensus]),
    )


def _consensus_slopes(members: Sequence[Forces]) -> Array:
    """Slopes (members,) of mean 1 against the consensus, which is iterated to self-consistency."""
    factors = np.ones(len(members))
    for _ in range(_ROUNDS):
        consensus = _mean(members, factors)
        new = np.array([softening(member, consensus) for member in members])
        new /= new.mean()
        if np.abs(new - factors).max() < 1e-12:
            break
        factors = new
    return factors


def _mean(members: Sequence[Forces], factors: Array) -> list[Array]:
    return [
        np.mean([f * a for f, a in zip(factors, each, strict=True)], axis=0)
        for each in zip(*members, strict=True)
    ]


def _rms_differences(one: Forces, other: Forces) -> list[float]:
    return [_rms(a - b) for a, b in zip(one, other, strict=True)]


def _rms(values: Array) -> float:
    return float(np.sqrt(np.square(values).mean()))


def _check(members: Sequence[Forces]) -> None:
    """Check that all members have finite forces on the same structures."""
    shapes = [[np.shape(a) for a in member] for member in members]
    if not shapes[0] or any(other != shapes[0] for other in shapes):
        raise ValueError(
            "the members' forces are on different structures, or there are none; expected forces "
            "on the same structures"
        )
    for number, member in enumerate(members):
        for at, forces in enumerate(member):
            if not np.isfinite(forces).all():
                raise ValueError(
                    f"forces of member {number} on structure {at} are not finite; leave out the "
                    "structure or the member"
                )
