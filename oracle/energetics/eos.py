"""Energy against volume at fixed shape: lattice parameter, stiffness and an estimate of kappa.

It costs a dozen energies of the primitive cell, and so serves where a relaxation would cost too
much: to start relaxations near their end, to compare polymorphs, and for the prior of surrogates.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from scipy import constants

from oracle.formulas.kappa_models import slack_formula
from oracle.materials.crystal import Crystal
from oracle.materials.rounding import Array
from oracle.potentials.dft_settings import Potential
from oracle.potentials.table import calculator
from oracle.runtime.errors import OracleError

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

_STEP = 1.05  # ratio of successive lattice parameters in the search for the minimum
_STEPS = 7  # in either direction, thus 0.71 to 1.41 times the given lattice parameter
# Volumes of the fit relative to the minimum, wide enough to average over the noise of a potential.
_STRAINS = (0.9, 0.95, 1.0, 1.05, 1.1)
_POISSON = 0.25  # Poisson ratio of a Cauchy solid, as assumed by Toher et al.
_GRUNEISEN_RANGE = (0.5, 3.0)  # values beyond it are due to noise of the potential


@dataclass(frozen=True)
class EquationOfState:
    """Minimum and curvature of an isotropic energy-volume curve (third-order Birch-Murnaghan).

    Args:
        energy_per_atom: at the minimum, eV.
        volume_per_atom: at the minimum, Å³.
        bulk_modulus: GPa.
        bulk_modulus_derivative: with respect to pressure, dimensionless.
        scale: lattice parameter at the minimum relative to the given one.
        mean_mass: mean atomic mass, amu.
        atoms: in the primitive cell.
    """

    energy_per_atom: float
    volume_per_atom: float
    bulk_modulus: float
    bulk_modulus_derivative: float
    scale: float
    mean_mass: float
    atoms: int

    def structure(self, crystal: Crystal) -> Structure:
        """The primitive cell of the crystal that the curve belongs to, at the minimum's volume."""
        structure = crystal.structure()
        structure.scale_lattice(self.volume_per_atom * len(structure))
        return structure

    @property
    def debye_temperature(self) -> float:
        """Debye temperature of all branches, K, from the bulk modulus and a Poisson ratio of 1/4.

        Blanco, Francisco & Luaña, Comput. Phys. Commun. 158, 57 (2004), eqs. 16 and 17; tested by
        Toher et al., Phys. Rev. B 90, 174107 (2014).
        """
        s = _POISSON
        transverse = (2 / 3 * (1 + s) / (1 - 2 * s)) ** 1.5
        longitudinal = (1 / 3 * (1 + s) / (1 - s)) ** 1.5
        shape = (3 / (2 * transverse + longitudinal)) ** (1 / 3)
        volume = self.volume_per_atom * constants.angstrom**3
        mass = self.mean_mass * constants.atomic_mass
        # With volume and mass per atom, the number of atoms cancels.
        frequency = math.sqrt(self.bulk_modulus * constants.giga * volume ** (1 / 3) / mass)
        per_kelvin = constants.hbar / constants.k
        return float(per_kelvin * (6 * math.pi**2) ** (1 / 3) * shape * frequency)

    @property
    def acoustic_debye_temperature(self) -> float:
        """Debye temperature of the acoustic branches, K: ``debye_temperature / atoms^(1/3)``."""
        return self.debye_temperature / float(self.atoms ** (1 / 3))

    @property
    def gruneisen(self) -> float:
        """Mean Grüneisen parameter ``B'/2 - 5/6``, clipped to 0.5 to 3.

        Vashchenko & Zubarev, Sov. Phys. Solid State 5, 653 (1963).
        """
        low, high = _GRUNEISEN_RANGE
        return min(max(self.unclipped_gruneisen, low), high)

    @property
    def unclipped_gruneisen(self) -> float:
        """The same without limits."""
        return self.bulk_modulus_derivative / 2 - 5 / 6

    @property
    def caution(self) -> str | None:
        """That the Grüneisen parameter was clipped, or None."""
        if self.gruneisen == self.unclipped_gruneisen:
            return None
        return (
            f"Grüneisen parameter of {self.gruneisen:g} instead of the computed one: the "
            f"energy-volume curve gives {self.unclipped_gruneisen:.2f}, and values outside of "
            f"{_GRUNEISEN_RANGE[0]:g} to {_GRUNEISEN_RANGE[1]:g} are mostly due to its noise"
        )

    def slack_kappa(self, temperature: float) -> float:
        """Lattice thermal conductivity by `oracle.formulas.kappa_models.slack_formula`, W/m/K.

        Args:
            temperature: K.
        """
        return slack_formula(
            self.acoustic_debye_temperature,
            mean_mass=self.mean_mass,
            volume=self.volume_per_atom * self.atoms,
            gruneisen=self.gruneisen,
            temperature=temperature,
        )


def equation_of_state(crystal: Crystal, potential: Potential) -> EquationOfState:
    """The energy-volume curve of a crystal at fixed shape and fractional coordinates.

    The lattice parameter of the crystal may be wrong by a third: the minimum is bracketed by the
    sign of the pressure, then fitted.

    Args:
        crystal: any crystal; its primitive cell is scaled.
        potential: as for `oracle.potentials.table.calculator`.

    Raises:
        OracleError: stage ``eos``; no minimum within the range searched, or no bulk modulus.
    """
    structure = crystal.structure()
    symbols, positions = list(crystal.species), list(crystal.positions)

    @functools.cache
    def evaluated(scale: float) -> tuple[float, float]:
        """Energy (eV) and pressure (eV/Å³) of the cell with its vectors scaled."""
        atoms = Atoms(
            symbols,
            scaled_positions=positions,
            cell=structure.lattice.matrix * scale,
            pbc=True,
            calculator=calculator(potential),
        )
        energy = float(atoms.get_potential_energy())
        return energy, -float(atoms.get_stress()[:3].sum()) / 3

    centre = _zero_pressure(lambda scale: evaluated(scale)[1], crystal.formula)
    scales = [centre * strain ** (1 / 3) for strain in _STRAINS]
    n = len(symbols)
    volumes = np.array([structure.volume * scale**3 for scale in scales]) / n
    energies, pressures = np.array([evaluated(scale) for scale in scales]).T
    fit = _birch_murnaghan(volumes, energies / n, pressures)
    if fit is None:
        raise OracleError(
            "eos",
            f"{crystal.formula}: its energy-volume curve has no smooth minimum with {potential}; "
            "expected a solid: check the structure or use another potential",
        )
    energy, volume, modulus, derivative = fit
    return EquationOfState(
        energy_per_atom=energy,
        volume_per_atom=volume,
        bulk_modulus=modulus * constants.eV / constants.angstrom**3 / constants.giga,
        bulk_modulus_derivative=derivative,
        scale=float((volume * n / structure.volume) ** (1 / 3)),
        mean_mass=float(structure.composition.weight) / n,
        atoms=n,
    )


def _zero_pressure(pressure: Callable[[float], float], formula: str) -> float:
    """Scale of the lattice vectors at which the pressure vanishes; of several, one near 1."""
    outwards = [*range(_STEPS), *range(-1, -_STEPS - 1, -1)]
    inwards = [*range(-1, -_STEPS - 1, -1), *range(_STEPS)]
    for k in outwards if pressure(1.0) > 0 else inwards:
        low, high = _STEP**k, _STEP ** (k + 1)
        if pressure(low) > 0 >= pressure(high):
            break
    else:
        raise OracleError(
            "eos",
            f"{formula}: the pressure does not vanish between {_STEP**-_STEPS:.2f} and "
            f"{_STEP**_STEPS:.2f} times the given lattice parameter; expected a bound crystal: "
            "check the structure",
        )
    # The scaled pressure is almost linear in V^(-2/3), as in `_birch_murnaghan`.
    p, q = pressure(low) * low**5, pressure(high) * high**5
    return float((low**-2 + (high**-2 - low**-2) * p / (p - q)) ** -0.5)


def _birch_murnaghan(
    volumes: Array, energies: Array, pressures: Array
) -> tuple[float, float, float, float] | None:
    """Energy, volume, bulk modulus and its derivative at the minimum, or None without one.

    The third-order curve is a cubic polynomial in ``x = V^(-2/3)`` (Birch, Phys. Rev. 71, 809
    (1947)), so that ``3/2 P V^(5/3)`` is its derivative. Fitting the pressures keeps the rounding
    of single-precision energies out of the bulk modulus.

    Args:
        volumes: (n,), Å³ per atom.
        energies: (n,), eV per atom.
        pressures: (n,), eV/Å³.
    """
    x = volumes ** (-2 / 3)
    slope = np.polynomial.Polynomial.fit(x, 1.5 * pressures * volumes ** (5 / 3), 2).convert()
    lowest = lowest_energy(slope, float(x.min()), float(x.max()))
    if lowest is None:
        return None
    at, volume, modulus, derivative = lowest
    curve = slope.integ()
    energy = float(np.mean(energies - curve(x)) + curve(at))
    return energy, volume, modulus, derivative


def lowest_energy(
    slope: np.polynomial.Polynomial, low: float, high: float
) -> tuple[float, float, float, float] | None:
    """The minimum of a third-order Birch-Murnaghan curve, or None where it does not have just one.

    Args:
        slope: derivative of the energy in eV per atom by ``x = V^(-2/3)``, V in Å³ per atom.
        low: lower end of the range of x.
        high: its upper end.

    Returns:
        x in Å⁻², volume in Å³ per atom, bulk modulus in eV/Å³, and its derivative by pressure.
    """
    curvature = slope.deriv()
    minima = [
        float(root.real)
        for root in slope.roots()
        if abs(root.imag) < 1e-12 and low < float(root.real) < high and curvature(root.real) > 0
    ]
    if len(minima) != 1:
        return None
    at = minima[0]
    modulus = 4 / 9 * at**3.5 * float(curvature(at))
    derivative = 4 + 2 / 3 * at * float(curvature.deriv()(at)) / float(curvature(at))
    return at, at**-1.5, modulus, derivative
