"""Models of the lattice thermal conductivity that need no third-order force constants.

They are cheap, and right within a factor of a few. Calculations are in SI units; the units of
arguments are stated with each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import constants, integrate

from oracle.formulas.bose_einstein import mode_capacity

Array = NDArray[np.float64]
_KB, _HBAR = constants.k, constants.hbar


@dataclass(frozen=True)
class Acoustics:
    """What the models need to know about a crystal.

    Args:
        longitudinal: velocity of sound, m/s.
        transverse: velocity of sound, m/s.
        volume_per_atom: Å³.
        mean_mass: mean atomic mass, amu.
        atoms: in the primitive cell.
        gruneisen: Grüneisen parameter; the root mean square of the modes, since the rates of
            scattering go as its square.
        young_modulus: GPa.
        mass_variance: relative variance of the mass of an atom due to natural isotopes, see
            `mass_variance`; 0 without scattering by isotopes.
    """

    longitudinal: float
    transverse: float
    volume_per_atom: float
    mean_mass: float
    atoms: int
    gruneisen: float
    young_modulus: float
    mass_variance: float = 0.0

    @property
    def branches(self) -> tuple[float, float, float]:
        """Velocities of the acoustic branches, m/s."""
        return self.transverse, self.transverse, self.longitudinal

    @property
    def mean_velocity(self) -> float:
        """Debye's mean velocity, m/s."""
        return float(np.mean([v**-3 for v in self.branches]) ** (-1 / 3))

    def debye_temperature(self, velocity: float, atoms: int = 1) -> float:
        """``hbar/k_B v (6 pi² n / V)^(1/3)``, K.

        Args:
            velocity: m/s.
            atoms: 1 for all modes; those of the primitive cell for the acoustic modes alone.
        """
        volume = self.volume_per_atom * constants.angstrom**3 * atoms
        return float(_HBAR / _KB * velocity * (6 * np.pi**2 / volume) ** (1 / 3))


def slack(crystal: Acoustics, temperature: float) -> float:
    """Slack's formula for a crystal whose sound velocities are known, W/m/K.

    Args:
        crystal: acoustic properties.
        temperature: K, above about half the acoustic Debye temperature.
    """
    return slack_formula(
        crystal.debye_temperature(crystal.mean_velocity, crystal.atoms),
        mean_mass=crystal.mean_mass,
        volume=crystal.volume_per_atom * crystal.atoms,
        gruneisen=crystal.gruneisen,
        temperature=temperature,
    )


def slack_formula(
    theta: float, *, mean_mass: float, volume: float, gruneisen: float, temperature: float
) -> float:
    """Lattice thermal conductivity, W/m/K; right within a factor of 3.

    ``A m θ³ δ n^(1/3) / (γ² T)`` with δ³ the volume per atom: Morelli and Slack, in High Thermal
    Conductivity Materials (Springer 2006), eqs. 2.10 and 2.11, with A by Julian, Phys. Rev. 137,
    A128 (1965).

    Args:
        theta: acoustic Debye temperature, K.
        mean_mass: mean atomic mass, amu.
        volume: of the primitive cell, n δ³ in Å³.
        gruneisen: mean Grüneisen parameter.
        temperature: K.
    """
    prefactor = 2.43e-6 / (1 - 0.514 / gruneisen + 0.228 / gruneisen**2)
    return float(
        prefactor * mean_mass * theta**3 * volume ** (1 / 3) / (gruneisen**2 * temperature)
    )


def cahill(crystal: Acoustics, temperature: float) -> float:
    """Minimum conductivity of modes that lose their energy within half a period, W/m/K.

    ``(π/6)^(1/3) k_B n^(2/3) sum_i v_i (T/θ_i)² ∫ x³ e^x / (e^x - 1)² dx``, the integral from 0 to
    θ_i/T: Cahill, Watson and Pohl, Phys. Rev. B 46, 6131 (1992), eq. 3.

    Args:
        crystal: acoustic properties.
        temperature: K.
    """
    density = 1 / (crystal.volume_per_atom * constants.angstrom**3)
    total = 0.0
    for velocity in crystal.branches:
        theta = crystal.debye_temperature(velocity)
        integral = integrate.quad(lambda x: float(mode_capacity(x)) * x, 0, theta / temperature)[0]
        total += velocity * (temperature / theta) ** 2 * integral
    return float((np.pi / 6) ** (1 / 3) * _KB * density ** (2 / 3) * total)


def clarke(crystal: Acoustics) -> float:
    """Minimum conductivity at high temperature, W/m/K.

    ``0.87 k_B m^(-2/3) E^(1/2) ρ^(1/6)`` with the mean atomic mass m, Young's modulus E and the
    mass density ρ: Clarke, Surf. Coat. Technol. 163, 67 (2003), eq. 11.

    Args:
        crystal: acoustic properties.
    """
    mass = crystal.mean_mass * constants.atomic_mass
    density = mass / (crystal.volume_per_atom * constants.angstrom**3)
    stiffness = crystal.young_modulus * constants.giga
    return float(0.87 * _KB * mass ** (-2 / 3) * stiffness**0.5 * density ** (1 / 6))


def mass_variance(masses: Array, variances: Array) -> float:
    """Relative variance of atomic mass due to isotopes of a crystal of several elements.

    ``Γ = sum_i c_i (m_i / m)² g_i`` with fractions c, mean mass m and variances g of the elements:
    Yang, Meisner and Chen, Appl. Phys. Lett. 85, 1140 (2004), eqs. 2 and 3.

    Args:
        masses: (n_atoms,), of the atoms in the primitive cell.
        variances: (n_atoms,), relative variance of each atom's own mass.
    """
    return float(np.mean((masses / np.mean(masses)) ** 2 * variances))


def debye_callaway(crystal: Acoustics, temperature: float) -> float:
    """Conductivity of three acoustic branches, W/m/K.

    Scattering is normal, umklapp and by isotopes. Callaway, Phys. Rev. 113, 1046 (1959), with rates
    of Morelli, Heremans and Slack, Phys. Rev. B 66, 195304 (2002), eqs. 6 to 12, and one Grüneisen
    parameter for all branches. The rate of isotopes is ``V Γ ω⁴ / (4 π v³)`` with V the volume per
    atom: Klemens, Proc. Phys. Soc. A 68, 1113 (1955).

    Args:
        crystal: acoustic properties.
        temperature: K.
    """
    return sum(
        _branch(crystal, velocity, temperature, longitudinal=i == 2)
        for i, velocity in enumerate(crystal.branches)
    )


def _branch(crystal: Acoustics, v: float, temperature: float, *, longitudinal: bool) -> float:
    theta = crystal.debye_temperature(v, crystal.atoms)
    mass = crystal.mean_mass * constants.atomic_mass
    volume = crystal.volume_per_atom * constants.angstrom**3
    squared = crystal.gruneisen**2
    common = _KB**5 * squared * volume / (mass * _HBAR**4 * v**5) * temperature**5
    x = np.linspace(0.0, theta / temperature, 2001)[1:]
    normal = common * (x**2 if longitudinal else x)
    frequency = _KB * temperature * x / _HBAR
    umklapp = _HBAR * squared * frequency**2 * temperature / (mass * v**2 * theta)
    umklapp *= np.exp(-theta / (3 * temperature))
    isotopes = volume * crystal.mass_variance * frequency**4 / (4 * np.pi * v**3)
    resistive = umklapp + isotopes
    weight = mode_capacity(x) * x**2
    total_time = 1 / (normal + resistive)
    direct, normal_part, resistive_part = (
        float(np.trapezoid(rate * weight, x))
        for rate in (total_time, total_time * normal, total_time * normal * resistive)
    )
    prefactor = _KB**4 * temperature**3 / (2 * np.pi**2 * _HBAR**3 * v) / 3
    return prefactor * (direct + normal_part**2 / resistive_part)
