"""Effective force constants at a temperature, by self-consistent sampling.

Displacements are drawn as the phonons of the present force constants make them at the temperature,
their forces are fitted by new force constants of second order, and so on until the frequencies keep
still: the self-consistent harmonic theory in its stochastic form (Shulumba, Hellman and Mahan,
Phys. Rev. B 95, 014302 (2017)). A structure that only temperature stabilises has no imaginary mode
then. As ± pairs, the displacements leave odd orders out of the fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py
from scipy import constants

from oracle.phonons.harmonic import Stability
from oracle.phonons.settings import PhononSettings
from oracle.phonons.snapshots import second_order_fit
from oracle.phonons.supercells import as_atoms, displaced, full_second_order
from oracle.potentials.forces import ForceField
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
_SOFTEST = 0.3  # THz; imaginary and softer modes are drawn as if they had this frequency
_FORGET = 0.5  # share of the last round in the fit's memory, so that noise averages out
_SETTLED = 0.02  # of the root mean square frequency; the fit's own noise in SrTiO3 is 0.01
_TO_THZ = np.sqrt(constants.e / constants.atomic_mass) / constants.angstrom / (2 * np.pi) * 1e-12


@dataclass(frozen=True)
class Effective:
    """Force constants of second order at a temperature.

    Args:
        fc2: compact, eV/Å².
        changes: root mean square change of the supercell's frequencies in each round, THz.
        converged: whether the last change is small.
        amplitude: root mean square displacement of an atom, Å.
    """

    fc2: Array
    changes: tuple[float, ...]
    converged: bool
    amplitude: float

    def doubts(self, at_rest: Stability, temperature: float) -> list[str]:
        """What a reader must know of them.

        Args:
            at_rest: stability by the constants of the atoms at rest.
            temperature: K.
        """
        found = []
        if not at_rest.stable:
            found.append(
                f"stable only by temperature: at rest a mode lies at {at_rest.lowest:.2f} THz, "
                f"effective force constants are those at {temperature:g} K"
            )
        if not self.converged:
            found.append(
                f"effective force constants still change by {self.changes[-1]:.2f} THz; raise "
                "finite_temperature_rounds"
            )
        return found


def effective_second_order(
    phonons: Phono3py,
    fc2: Array,
    settings: PhononSettings,
    field: ForceField,
    seed: str,
) -> Effective:
    """Self-consistent constants at ``settings.finite_temperature``.

    Args:
        phonons: whose `supercell` is that of second order.
        fc2: compact constants to begin with, which may have imaginary modes.
        settings: of the oracle.
        field: gives forces.
        seed: hexadecimal digest.

    Raises:
        OracleError: stage ``fc2``; a force cannot be computed.
    """
    temperature = settings.finite_temperature
    assert temperature is not None
    rest = as_atoms(phonons.supercell)
    masses = np.asarray(phonons.supercell.masses)
    rng = np.random.default_rng([int(seed[:16], 16), 2])
    noise = rng.standard_normal((settings.finite_temperature_pairs, 3 * len(rest)))
    changes: list[float] = []
    settled = False
    drawn = _thermal(full_second_order(phonons, fc2), masses, temperature, noise)
    frequencies = _frequencies(full_second_order(phonons, fc2), masses)
    for number in range(settings.finite_temperature_rounds):
        forces = field.many([displaced(rest, s * u) for u in drawn for s in (1.0, -1.0)], "fc2")
        fitted = second_order_fit(phonons, drawn, (forces[::2] - forces[1::2]) / 2)
        fc2 = fitted if number == 0 else _FORGET * fc2 + (1 - _FORGET) * fitted
        field.context.progress("fc2", (number + 1) / settings.finite_temperature_rounds)
        full = full_second_order(phonons, fc2)
        found = _frequencies(full, masses)
        changes.append(float(np.sqrt(np.square(found - frequencies).mean())))
        frequencies = found
        settled = changes[-1] < _SETTLED * float(np.sqrt(np.square(found).mean()))
        if settled:
            break
        # The same normal deviates again: what moves is the theory, not the luck of the draw.
        drawn = _thermal(full, masses, temperature, noise)
    if not np.isfinite(frequencies).all():
        raise OracleError("fc2", "effective force constants diverge; give a lower temperature")
    amplitude = float(np.sqrt(np.square(drawn).sum(axis=2).mean()))
    return Effective(fc2, tuple(changes), settled, amplitude)


def _modes(full: Array, masses: Array) -> tuple[Array, Array]:
    """Squared frequencies (3n,) in THz², signed, and eigenvectors (3n, 3n) of a supercell."""
    weights = np.repeat(1 / np.sqrt(masses), 3)
    dynamical = full * weights[:, None] * weights[None, :]
    squares, vectors = np.linalg.eigh((dynamical + dynamical.T) / 2)
    return squares * _TO_THZ**2, vectors


def _frequencies(full: Array, masses: Array) -> Array:
    """Frequencies (3n,) of a supercell, THz, imaginary ones negative."""
    squares, _ = _modes(full, masses)
    return np.asarray(np.sign(squares) * np.sqrt(np.abs(squares)))


def _thermal(full: Array, masses: Array, temperature: float, noise: Array) -> Array:
    """Displacements (n_pairs, n_atoms, 3) in Å as phonons make them.

    Each mode has the variance ``hbar / (2 ω) coth(hbar ω / 2 k_B T)`` in mass-weighted length.

    Args:
        full: (3n, 3n), eV/Å².
        masses: (n,), amu.
        temperature: K.
        noise: (n_pairs, 3n), standard normal deviates.
    """
    squares, vectors = _modes(full, masses)
    moving = np.argsort(np.abs(squares))[3:]  # the crystal as a whole stays where it is
    omega = 2 * np.pi * 1e12 * np.maximum(np.sqrt(np.abs(squares[moving])), _SOFTEST)
    quantum = constants.hbar / (2 * omega)
    spread = np.sqrt(
        quantum / np.tanh(constants.hbar * omega / (2 * constants.k * temperature))
    ) / np.sqrt(constants.atomic_mass)
    modes = noise[:, moving] * spread / constants.angstrom
    moved = modes @ vectors[:, moving].T * np.repeat(1 / np.sqrt(masses), 3)
    return np.asarray(moved.reshape(len(noise), -1, 3))
