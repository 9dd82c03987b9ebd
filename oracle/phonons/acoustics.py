"""Elasticity of a crystal as it is reported: by finite strain, checked against its long waves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracle.formulas.kappa_models import Acoustics, mass_variance
from oracle.phonons.atomic_data import isotope_variances
from oracle.phonons.elasticity import Elasticity, elasticity
from oracle.phonons.finite_strain import STRAIN, Strained, strained
from oracle.phonons.harmonic import Stability
from oracle.phonons.settings import PhononSettings
from oracle.potentials.forces import ForceField
from oracle.runtime.errors import OracleError

_SMALL = 0.15  # deviation of the bulk modulus beyond which the force constants are called truncated


@dataclass(frozen=True)
class CrystalElasticity:
    """Elastic constants of a crystal, and how they were obtained.

    Args:
        cell: phonopy's primitive cell.
        waves: from the long acoustic waves of the force constants, whose supercell cuts them off.
        strained: by finite strain; None where it was not computed.
        isotopes: whether natural isotopes scatter in the models of conductivity.
        reason: why it was not; empty where it was.
    """

    cell: Any
    waves: Elasticity
    strained: Strained | None
    isotopes: bool = True
    reason: str = ""

    @property
    def best(self) -> Elasticity | None:
        """The constants to report; None where they are not those of a stable crystal.

        A slab in vacuum has none either, since strain across the vacuum costs no energy.
        """
        found = self.waves if self.strained is None else self.strained.fine
        return found if found.stable else None

    @property
    def instability(self) -> str | None:
        """Which strain lowers the energy, in words; None where none does or it is not certain."""
        if self.strained is None or not self.strained.unstable:
            return None
        lowest = self.strained.fine.lowest_eigenvalue
        return f"elastic instability: the stiffness against some strain is {lowest:.1f} GPa"

    def agrees_with_stability(self, stability: Stability) -> bool:
        """Whether the crystal is stable according to its modes and its elastic constants.

        Imaginary long waves alone do not make it unstable where every strain costs energy: they are
        then due to the supercell, which cuts off force constants.
        """
        return self.instability is None and (stability.stable or self._refutes(stability))

    def doubts(self, stability: Stability) -> list[str]:
        """Cautions about the long waves of a stable crystal."""
        if stability.stable or not self._refutes(stability):
            return []
        return [
            f"long acoustic waves are imaginary ({stability.lowest:.2f} THz) only because of the "
            "second-order supercell, as strained cells are stable: raise fc2_length"
        ]

    def _refutes(self, stability: Stability) -> bool:
        """Whether strained cells show that imaginary long waves are due to the supercell."""
        found = self.strained is not None and self.best is not None
        return found and stability.only_long_waves

    def error(self, of: Callable[[Elasticity], float]) -> float | None:
        """Standard error of a scalar made of the constants; None where it is not known."""
        return None if self.strained is None else self.strained.error(of)

    def acoustics(self, gruneisen: float) -> Acoustics | None:
        """Input of the models in `oracle.formulas.kappa_models`; None without constants."""
        return None if self.best is None else self.acoustics_with(self.best, gruneisen)

    def acoustics_with(self, elastic: Elasticity, gruneisen: float) -> Acoustics:
        """The same for other elastic constants of this crystal."""
        return Acoustics(
            longitudinal=elastic.longitudinal_velocity,
            transverse=elastic.transverse_velocity,
            volume_per_atom=float(self.cell.volume) / len(self.cell),
            mean_mass=float(np.mean(self.cell.masses)),
            atoms=len(self.cell),
            gruneisen=gruneisen,
            young_modulus=elastic.young_modulus,
            mass_variance=self._mass_variance if self.isotopes else 0.0,
        )

    @property
    def _mass_variance(self) -> float:
        return mass_variance(np.asarray(self.cell.masses), isotope_variances(self.cell.symbols))

    def record(self) -> dict[str, Any]:
        """For the provenance, as JSON.

        ``deviation_of_waves`` compares the bulk modulus of the force constants with that of finite
        strain; where it is large, the second-order supercell cuts off force constants that matter.
        """
        waves = {
            "bulk_modulus": self.waves.bulk_modulus if self.waves.stable else None,
            "lowest_eigenvalue": self.waves.lowest_eigenvalue,
        }
        if self.strained is None:
            return {"method": "force constants", "reason": self.reason, "waves": waves}
        fine, coarse = self.strained.fine, self.strained.coarse
        deviation = None
        if fine.stable and self.waves.stable:
            deviation = self.waves.bulk_modulus / fine.bulk_modulus - 1
        return {
            "method": "finite strain",
            "strain": STRAIN,
            "strains": self.strained.strains,
            "calls": self.strained.calls,
            "lowest_eigenvalue": fine.lowest_eigenvalue,
            "largest_error": float(np.abs(coarse.stiffness - fine.stiffness).max()),
            "waves": waves,
            "deviation_of_waves": deviation,
            "truncated_force_constants": deviation is None or abs(deviation) > _SMALL,
        }


def crystal_elasticity(
    dynamics: Any, settings: PhononSettings, field: ForceField
) -> CrystalElasticity:
    """Elastic constants by finite strain where that is possible, and from long waves.

    Effective force constants belong to a temperature, and strained cells at rest do not. The basis
    and k-points of a DFT program may change from one strained cell to the next, so that differences
    of their stresses are not trusted.

    Args:
        dynamics: a Phonopy object with force constants.
        settings: of the oracle.
        field: computes stresses, and stores the constants.

    Raises:
        OracleError: a failure of the machine, or the deadline has passed.
    """
    cell, waves = dynamics.primitive, elasticity(dynamics)
    reason = ""
    if settings.finite_temperature is not None:
        reason = "effective force constants at a temperature"
    elif not isinstance(settings.calculator, str):
        reason = "stresses of a DFT program in different cells are not comparable"
    if reason:
        return CrystalElasticity(cell, waves, None, settings.isotope, reason)
    try:
        found = strained(dynamics, field)
    except OracleError as error:
        if error.transient and not error.unexpected:
            raise
        return CrystalElasticity(cell, waves, None, settings.isotope, error.message)
    return CrystalElasticity(cell, waves, found, settings.isotope)
