"""Elastic constants and sound velocities from the long acoustic waves of a harmonic crystal.

An acoustic wave of small wave vector ``q = |q| n`` obeys Christoffel's equation

    rho v² e_i = C_ijkl n_j n_l e_k

(Born and Huang, Dynamical Theory of Crystal Lattices, section 26), so that the elastic tensor,
internal relaxation included, follows from the acoustic modes of second-order force constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import constants

Array = NDArray[np.float64]
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Components of Voigt's notation in their order."""
_LENGTH = 0.01  # of q, 1/Å with 2π: waves longer than any cell, frequencies well above rounding
_DIRECTIONS = 48
_THZ_ANGSTROM = 100.0  # m/s
_CONSTANTS = tuple((i, j) for i in range(6) for j in range(i, 6))


@dataclass(frozen=True)
class Elasticity:
    """Elastic properties of a crystal and of the isotropic polycrystal made of it.

    Args:
        stiffness: (6, 6), GPa, Voigt notation (xx, yy, zz, yz, xz, xy).
        density: kg/m³.
    """

    stiffness: Array
    density: float

    @property
    def bulk_modulus(self) -> float:
        """Voigt-Reuss-Hill average, GPa: Hill, Proc. Phys. Soc. A 65, 349 (1952)."""
        c, s = self.stiffness, np.linalg.inv(self.stiffness)
        return float((c[:3, :3].sum() / 9 + 1 / s[:3, :3].sum()) / 2)

    @property
    def shear_modulus(self) -> float:
        """Voigt-Reuss-Hill average, GPa."""
        c, s = self.stiffness, np.linalg.inv(self.stiffness)
        voigt = (3 * np.trace(c[:3, :3]) - c[:3, :3].sum()) / 30 + np.trace(c[3:, 3:]) / 5
        reuss = 15 / (6 * np.trace(s[:3, :3]) - 2 * s[:3, :3].sum() + 3 * np.trace(s[3:, 3:]))
        return float((voigt + reuss) / 2)

    @property
    def young_modulus(self) -> float:
        """Young's modulus of the polycrystal, GPa."""
        k, g = self.bulk_modulus, self.shear_modulus
        return 9 * k * g / (3 * k + g)

    @property
    def longitudinal_velocity(self) -> float:
        """Longitudinal sound velocity of the polycrystal, m/s."""
        stiffness = self.bulk_modulus + 4 / 3 * self.shear_modulus
        return float(np.sqrt(stiffness * constants.giga / self.density))

    @property
    def transverse_velocity(self) -> float:
        """Transverse sound velocity of the polycrystal, m/s."""
        return float(np.sqrt(self.shear_modulus * constants.giga / self.density))

    @property
    def lowest_eigenvalue(self) -> float:
        """Of the stiffness, GPa; negative if some strain lowers the energy."""
        return float(np.linalg.eigvalsh(self.stiffness).min())

    @property
    def stable(self) -> bool:
        """Whether every strain costs energy (Born's criterion)."""
        return self.lowest_eigenvalue > 0


def density_of(cell: Any) -> float:
    """Density of a cell of phonopy's, kg/m³."""
    return float(cell.masses.sum()) * constants.atomic_mass / cell.volume / 1e-30


def elasticity(dynamics: Any) -> Elasticity:
    """Elastic constants of a crystal from its second-order force constants.

    Where a long wave has an imaginary frequency, the stiffness is not positive (`stable`).

    Args:
        dynamics: a Phonopy object with force constants.
    """
    cell = dynamics.primitive
    units = directions(_DIRECTIONS)
    # Reduced coordinates; phonopy's do not include the factor 2π of `_LENGTH`.
    points = units * _LENGTH / (2 * np.pi) @ np.asarray(cell.cell).T
    modes = dynamics.run_qpoints(points, with_eigenvectors=True)
    frequencies = np.asarray(modes.frequencies)[:, :3]
    # Christoffel's equation gives the square of a velocity, negative for imaginary frequencies.
    squares = frequencies * np.abs(frequencies) * (2 * np.pi / _LENGTH * _THZ_ANGSTROM) ** 2
    density = density_of(cell)
    polarisations = _polarisations(np.asarray(modes.eigenvectors), np.asarray(cell.masses))
    tensors = np.einsum("qs,qsi,qsk->qik", squares, polarisations, polarisations.conj())
    christoffel = density * tensors.real / constants.giga
    design = np.array([_christoffel(c, units).ravel() for c in _CONSTANTS]).T
    fitted = np.linalg.lstsq(design, christoffel.ravel(), rcond=None)[0]
    stiffness = np.zeros((6, 6))
    for (i, j), value in zip(_CONSTANTS, fitted, strict=True):
        stiffness[i, j] = stiffness[j, i] = value
    return Elasticity(stiffness, density)


def directions(count: int) -> Array:
    """Unit vectors (count, 3) spread evenly over half the sphere (a Fibonacci lattice)."""
    n = np.arange(count) + 0.5
    z, angle = n / count, np.pi * (1 + np.sqrt(5)) * n
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def _polarisations(eigenvectors: NDArray[np.complex128], masses: Array) -> NDArray[np.complex128]:
    """Unit vectors (n_q, 3, 3) along which the cell moves as a whole in the acoustic modes.

    Args:
        eigenvectors: (n_q, 3 n_atoms, n_bands) of the dynamical matrix.
        masses: (n_atoms,).
    """
    n_q, size, _ = eigenvectors.shape
    modes = eigenvectors[:, :, :3].reshape(n_q, size // 3, 3, 3)
    moved = np.einsum("a,qais->qsi", np.sqrt(masses), modes)
    return np.asarray(moved / np.linalg.norm(moved, axis=2, keepdims=True))


def _christoffel(constant: tuple[int, int], directions: Array) -> Array:
    """``C_ijkl n_j n_l`` (n_directions, 3, 3) where one Voigt constant is 1 and others vanish."""
    tensor = np.zeros((3, 3, 3, 3))
    for a, b in {constant, constant[::-1]}:
        for i, j in {VOIGT[a], VOIGT[a][::-1]}:
            for k, m in {VOIGT[b], VOIGT[b][::-1]}:
                tensor[i, j, k, m] = 1.0
    return np.asarray(np.einsum("ijkl,qj,ql->qik", tensor, directions, directions))
