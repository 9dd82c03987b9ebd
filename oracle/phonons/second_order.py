"""Second-order force constants of a relaxed crystal, and whether it is dynamically stable."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py
from phonopy import Phonopy
from pymatgen.core.periodic_table import Element

from oracle.phonons import harmonic, supercells
from oracle.phonons.dipoles import Dipoles, fitted_dipoles
from oracle.phonons.harmonic import Stability
from oracle.phonons.relax import Relaxed
from oracle.phonons.settings import PhononSettings
from oracle.potentials.forces import ForceField

Array = NDArray[np.float64]
_T = TypeVar("_T")
_ONLY_DIPOLES = 0.9
"""Share of the far force constants that dipoles explain, above which smaller supercells suffice."""
_IONIC = 1.2
"""Difference of electronegativities (Pauling) from which this is worth a try."""


class Timed(Protocol):
    """Runs a named stage; may measure its duration and check deadlines."""

    def __call__(self, stage: str, work: Callable[[], _T]) -> _T:
        """Return what `work` returns."""
        ...


@dataclass(frozen=True)
class Harmonic:
    """A crystal with its second-order force constants.

    Args:
        phonons: phono3py's description with both supercells.
        fc2: compact, eV/Å².
        dynamics: a Phonopy object with these force constants.
        stability: of its modes.
        rest_force: largest force on an atom at rest, eV/Å, which was subtracted.
        dipoles: found in the force constants, whose interaction is not cut off at the supercell;
            None where there are none, they were not asked for, or charges are given.
    """

    phonons: Phono3py
    fc2: Array
    dynamics: Any
    stability: Stability
    rest_force: float = 0.0
    dipoles: Dipoles | None = None

    @property
    def only_dipoles(self) -> bool:
        """Whether almost nothing but dipoles interacts at a distance."""
        return self.dipoles is not None and self.dipoles.explained > _ONLY_DIPOLES


def second_order(
    relaxed: Relaxed, settings: PhononSettings, forces: ForceField, timed: Timed
) -> Harmonic:
    """Second-order force constants and stability.

    A crystal of ions is first tried in a smaller supercell, which suffices if almost nothing but
    dipoles interacts at a distance. Force constants are computed again in a wider supercell if the
    instability may be due to the supercell.

    Args:
        relaxed: the conventional cell.
        settings: of the oracle.
        forces: computes and stores forces.
        timed: runs the stages ``fc2``, ``dipoles`` and ``stability``.

    Raises:
        OracleError: a stage cannot be completed.
    """
    narrowed = settings.narrowed()
    if narrowed is not None and ionic(relaxed.symbols):
        tried = gated(relaxed, narrowed, forces, timed)
        if tried.only_dipoles and not _interpolated(tried.stability, narrowed):
            return tried
    harmonic_crystal = gated(relaxed, settings, forces, timed)
    if _interpolated(harmonic_crystal.stability, settings):
        return gated(relaxed, settings.widened(), forces, timed)
    return harmonic_crystal


def ionic(symbols: Sequence[str]) -> bool:
    """Whether the electronegativities of some elements in a crystal differ as those of ions do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # noble gases have none
        values = [float(Element(symbol).X) for symbol in set(symbols)]
    known = [value for value in values if not math.isnan(value)]
    return len(known) > 1 and max(known) - min(known) > _IONIC


def gated(relaxed: Relaxed, settings: PhononSettings, forces: ForceField, timed: Timed) -> Harmonic:
    """Second-order force constants and stability in the supercell of the settings."""
    phonons = supercells.phonons3(relaxed, settings, second=True)

    def constants() -> tuple[Array, float]:
        moved = supercells.second_order_displacements(phonons, settings.displacement)
        rest = forces.at_rest(supercells.as_atoms(phonons.unitcell), "fc2")
        computed = forces.many(moved, "fc2", lambda share: forces.context.progress("fc2", share))
        computed -= supercells.rest_forces(phonons.phonon_supercell, rest)
        largest = float(np.linalg.norm(rest, axis=1).max())
        return supercells.second_order(phonons, computed), largest

    fc2, largest = timed("fc2", constants)
    dipoles = None
    if settings.fitted_charges and settings.born is None:
        dipoles = timed("dipoles", lambda: fitted_dipoles(_dynamics(phonons, fc2)))
    if dipoles is not None:
        phonons.nac_params = dipoles.parameters
    return replace(judged(phonons, fc2, settings, timed, dipoles), rest_force=largest)


def judged(
    phonons: Phono3py,
    fc2: Array,
    settings: PhononSettings,
    timed: Timed,
    dipoles: Dipoles | None = None,
) -> Harmonic:
    """The stability of a crystal with given force constants (compact, eV/Å²)."""
    dynamics = _dynamics(phonons, fc2)
    stability = timed(
        "stability",
        lambda: harmonic.stability(
            dynamics, settings.stability_tolerance, settings.stability_spacing
        ),
    )
    return Harmonic(phonons, fc2, dynamics, stability, dipoles=dipoles)


def _dynamics(phonons: Phono3py, fc2: Array) -> Phonopy:
    return harmonic.dynamics(
        phonons.unitcell,
        phonons.phonon_supercell_matrix,
        phonons.phonon_primitive,
        fc2,
        phonons.nac_params,
    )


def _interpolated(stability: Stability, settings: PhononSettings) -> bool:
    """Whether modes are imaginary only where the supercell does not determine them.

    Between commensurate points, frequencies are interpolated. If the supercell is too small, this
    may make a soft acoustic branch imaginary, as in CsCl with 3x3x3 cells but not with 4x4x4
    (7net-0).
    """
    exact = stability.softest >= -settings.stability_tolerance
    return not stability.stable and exact and settings.fc2_supercell is None
