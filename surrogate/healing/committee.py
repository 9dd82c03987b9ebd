"""How far unlike potentials disagree on the forces of the same supercells.

Universal potentials are too soft in a systematic way: off equilibrium their forces are too small by
about one factor (B. Deng et al., npj Comput. Mater. 11, 9 (2025)), each by its own. Taken as it
is, that factor would be most of every disagreement, so each member is first multiplied by the slope
that brings it to the others. Members must be unlike: two trained on the same data with the same
architecture agree where both are wrong.
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
"""One (n_atoms, 3) per structure, eV/Å; the structures may differ in size."""
STAGE = "committee"
_ROUNDS = 50
_FLOOR = 1e-6  # eV/Å; forces below are zero


@dataclass(frozen=True, eq=False)
class Disagreement:
    """What a committee says of some structures.

    Args:
        consensus: mean of the members' corrected forces, one (n_atoms, 3) per structure, eV/Å.
        slopes: (members,), factors the members were multiplied by; of mean 1 without a reference.
        spread: (structures,), root mean square over members, atoms and directions of the corrected
            forces about their consensus, eV/Å.
        deviations: (members, structures), root mean square of each member's own, uncorrected
            forces about the consensus, eV/Å.
        size: (structures,), root mean square of the consensus, eV/Å.
    """

    consensus: Forces
    slopes: Array
    spread: Array
    deviations: Array
    size: Array


def member_forces(
    potentials: Sequence[str], structures: Sequence[Atoms], store: StageStore, context: Context
) -> list[list[Array]]:
    """Forces of every structure by every potential, eV/Å; known ones come from the store.

    Raises:
        ValueError: fewer than two potentials, or one given twice.
        OracleError: stage ``committee``; a potential is missing or fails.
    """
    if len(set(potentials)) < 2 or len(set(potentials)) < len(potentials):
        raise ValueError(
            f"got the committee {list(potentials)}; expected at least two different potentials, "
            "best of unlike families, for instance 7net-0 and chgnet"
        )
    fields = [ForceField(potential, store, context) for potential in potentials]
    return [[field.forces(atoms, STAGE) for atoms in structures] for field in fields]


def softening(member: Forces, reference: Forces) -> float:
    """The slope s of ``reference ≈ s · member`` by least squares.

    Every structure counts alike, whatever the size of its forces. Above 1 the member is too soft.

    Raises:
        ValueError: no structures, other ones, or forces that are all zero.
    """
    _check([member, reference])
    product = square = 0.0
    for own, wanted in zip(member, reference, strict=True):
        scale = max(float(np.square(wanted).mean()), _FLOOR**2) * wanted.size
        product += float((own * wanted).sum()) / scale
        square += float(np.square(own).sum()) / scale
    if square <= 0.0:
        raise ValueError("all forces are zero; give displaced supercells")
    return product / square


def disagreement(members: Sequence[Forces], slopes: Sequence[float] | None = None) -> Disagreement:
    """Correct the members for their softening and compare them.

    Args:
        members: forces of each on the same structures, as from `member_forces`.
        slopes: of each against reference labels, see `softening`; without them they are fitted to
            the members' consensus, whose own softening nothing can tell.

    Raises:
        ValueError: fewer than two members, other structures, or forces that are not finite.
    """
    if len(members) < 2:
        raise ValueError(f"got {len(members)} members; a committee needs at least 2")
    _check(members)
    factors = np.array(slopes, dtype=np.float64) if slopes is not None else _agreed(members)
    if factors.shape != (len(members),):
        raise ValueError(f"got {factors.size} slopes of {len(members)} members; give one of each")
    consensus = _mean(members, factors)
    corrected = [[f * a for a in member] for f, member in zip(factors, members, strict=True)]
    about = np.array([_apart(member, consensus) for member in corrected])
    return Disagreement(
        consensus=consensus,
        slopes=factors,
        spread=np.sqrt(np.square(about).sum(axis=0) / (len(members) - 1)),
        deviations=np.array([_apart(member, consensus) for member in members]),
        size=np.array([_rms(a) for a in consensus]),
    )


def _agreed(members: Sequence[Forces]) -> Array:
    """Slopes (members,) of mean 1 against the mean of the members corrected by them."""
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


def _apart(one: Forces, other: Forces) -> list[float]:
    return [_rms(a - b) for a, b in zip(one, other, strict=True)]


def _rms(values: Array) -> float:
    return float(np.sqrt(np.square(values).mean()))


def _check(members: Sequence[Forces]) -> None:
    """All members have finite forces of the same structures."""
    shapes = [[np.shape(a) for a in member] for member in members]
    if not shapes[0] or any(other != shapes[0] for other in shapes):
        raise ValueError("members have forces of different structures, or none; give the same ones")
    for number, member in enumerate(members):
        for at, forces in enumerate(member):
            if not np.isfinite(forces).all():
                raise ValueError(
                    f"forces of member {number} on structure {at} are not finite; leave out the "
                    "structure or the member"
                )
