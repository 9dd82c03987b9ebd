"""From a relaxed crystal to its force constants of second order, and whether they are stable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py

from oracle.phonons import harmonic, supercells
from oracle.phonons.harmonic import Stability
from oracle.phonons.relax import Relaxed
from oracle.phonons.settings import PhononSettings
from oracle.potentials.forces import ForceField

Array = NDArray[np.float64]
_T = TypeVar("_T")


class Timed(Protocol):
    """Runs a named stage, and may take its time and look at deadlines."""

    def __call__(self, stage: str, work: Callable[[], _T]) -> _T:
        """What the work returns."""
        ...


@dataclass(frozen=True)
class Harmonic:
    """A crystal whose constants of second order are known.

    Args:
        phonons: phono3py's description with both supercells.
        fc2: compact, eV/Å².
        dynamics: phonopy's object with these constants.
        stability: of its modes.
    """

    phonons: Phono3py
    fc2: Array
    dynamics: Any
    stability: Stability


def second_order(
    relaxed: Relaxed, settings: PhononSettings, forces: ForceField, timed: Timed
) -> Harmonic:
    """Second order and stability, in a wider supercell where one too small may be what is unstable.

    Args:
        relaxed: the conventional cell.
        settings: of the oracle.
        forces: gives forces and stores them.
        timed: runs the stages ``fc2`` and ``stability``.

    Raises:
        OracleError: a stage cannot be completed.
    """
    found = gated(relaxed, settings, forces, timed)
    if _interpolated(found.stability, settings):
        return gated(relaxed, settings.widened(), forces, timed)
    return found


def gated(relaxed: Relaxed, settings: PhononSettings, forces: ForceField, timed: Timed) -> Harmonic:
    """The same in the supercell that the settings say, whatever comes of it."""
    phonons = supercells.phonons3(relaxed, settings, second=True)

    def constants() -> Array:
        moved = supercells.second_order_displacements(phonons, settings.displacement)
        found = forces.many(moved, "fc2", lambda share: forces.context.progress("fc2", share))
        return supercells.second_order(phonons, found)

    return judged(phonons, timed("fc2", constants), settings, timed)


def judged(phonons: Phono3py, fc2: Array, settings: PhononSettings, timed: Timed) -> Harmonic:
    """Stability of given constants (compact, eV/Å²)."""
    dynamics = harmonic.dynamics(
        phonons.unitcell,
        phonons.phonon_supercell_matrix,
        phonons.phonon_primitive,
        fc2,
        phonons.nac_params,
    )
    stability = timed(
        "stability",
        lambda: harmonic.stability(
            dynamics, settings.stability_tolerance, settings.stability_spacing
        ),
    )
    return Harmonic(phonons, fc2, dynamics, stability)


def _interpolated(stability: Stability, settings: PhononSettings) -> bool:
    """Whether modes are imaginary only where the supercell does not determine them.

    Between commensurate points a supercell that is too small interpolates, and may make a
    soft acoustic branch imaginary: CsCl in 3x3x3 cells does (7net-0), in 4x4x4 it does not.
    """
    exact = stability.softest >= -settings.stability_tolerance
    return not stability.stable and exact and settings.fc2_supercell is None
