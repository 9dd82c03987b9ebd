"""Effective force constants at a temperature, by self-consistent sampling.

Thermal displacements are drawn from the phonons of the current force constants, new second-order
force constants are fitted to the resulting forces, and this is repeated until the frequencies no
longer change: the stochastic form of self-consistent harmonic theory (Shulumba, Hellman and Mahan,
Phys. Rev. B 95, 014302 (2017)). A structure that only temperature stabilises then has no imaginary
modes. Displacements come in ± pairs, which keeps odd orders of the energy out of the fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py
from phonopy import Phonopy
from phonopy.harmonic.dynmat_to_fc import DynmatToForceConstants
from scipy import constants

from oracle.phonons.harmonic import Stability
from oracle.phonons.settings import PhononSettings
from oracle.phonons.snapshots import AMPLITUDES, second_order_fit
from oracle.phonons.supercells import as_atoms, displaced, full_second_order
from oracle.phonons.third_order import Draw
from oracle.potentials.forces import ForceField
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
_SOFTEST = 0.3  # THz; displacements of imaginary and softer modes are drawn at this frequency
_MEMORY = 0.5  # weight of the previous constants in each update, so that noise averages out
_SETTLED = 0.02  # of the root mean square frequency; in SrTiO3 the noise of the fit is 0.01
_TO_THZ = np.sqrt(constants.e / constants.atomic_mass) / constants.angstrom / (2 * np.pi) * 1e-12


@dataclass(frozen=True)
class Effective:
    """Effective second-order force constants at a temperature.

    Args:
        fc2: compact, eV/Å².
        changes: root mean square change of the supercell's frequencies in each round, THz.
        converged: whether the last change is small enough.
        amplitude: root mean square displacement of an atom, Å.
    """

    fc2: Array
    changes: tuple[float, ...]
    converged: bool
    amplitude: float

    def doubts(self, at_rest: Stability, temperature: float) -> list[str]:
        """Cautions about results that rest on these force constants.

        Args:
            at_rest: stability according to the force constants of the atoms at rest.
            temperature: K.
        """
        texts = []
        if not at_rest.stable:
            texts.append(
                f"stable only by temperature: at rest a mode lies at {at_rest.lowest:.2f} THz, "
                f"effective force constants are those at {temperature:g} K"
            )
        if not self.converged:
            texts.append(
                "effective force constants have not converged: they still change by "
                f"{self.changes[-1]:.2f} THz, raise finite_temperature_rounds"
            )
        return texts


def effective_second_order(
    phonons: Phono3py,
    fc2: Array,
    settings: PhononSettings,
    field: ForceField,
    seed: str,
) -> Effective:
    """Self-consistent force constants at ``settings.finite_temperature``.

    Args:
        phonons: its `supercell` is that of second order.
        fc2: compact force constants to begin with, eV/Å²; imaginary modes are allowed.
        settings: of the oracle.
        field: computes forces.
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
        fc2 = fitted if number == 0 else _MEMORY * fc2 + (1 - _MEMORY) * fitted
        field.context.progress("fc2", (number + 1) / settings.finite_temperature_rounds)
        full = full_second_order(phonons, fc2)
        previous, frequencies = frequencies, _frequencies(full, masses)
        changes.append(float(np.sqrt(np.square(frequencies - previous).mean())))
        settled = changes[-1] < _SETTLED * float(np.sqrt(np.square(frequencies).mean()))
        if settled:
            break
        # The same normal deviates in each round, so that changes are not due to other random draws.
        drawn = _thermal(full, masses, temperature, noise)
    if not np.isfinite(frequencies).all():
        raise OracleError("fc2", "effective force constants diverge; give a lower temperature")
    amplitude = float(np.sqrt(np.square(drawn).sum(axis=2).mean()))
    return Effective(fc2, tuple(changes), settled, amplitude)


def thermal_pairs(small: Phono3py, dynamics: Phonopy, temperature: float, seed: str) -> Draw:
    """Displacements from which effective third-order force constants are fitted.

    Like those of the second order they are drawn from the phonons at the temperature, so that atoms
    which are bound to each other move together. Independent displacements of the same length would
    have several times the thermal energy: they explore parts of the energy surface that the crystal
    does not reach. Half of the pairs have 0.8 and half 1.2 times the thermal length, which on
    average is the thermal energy; the difference between them shows how much the force constants
    depend on it.

    Args:
        small: its third-order supercell is used.
        dynamics: with effective force constants.
        temperature: K.
        seed: hexadecimal digest; the displacements of a pair depend on its number and the seed.
    """
    masses = np.asarray(small.supercell.masses)
    folded = DynmatToForceConstants(small.primitive, small.supercell, is_full_fc=True)
    matrices = []
    for point in folded.commensurate_points:
        dynamics.dynamical_matrix.run(point)
        matrices.append(dynamics.dynamical_matrix.dynamical_matrix)
    folded.dynamical_matrices = np.array(matrices)
    folded.run()
    full = np.asarray(folded.force_constants).transpose(0, 2, 1, 3).reshape(3 * len(masses), -1)

    def draw(pairs: range) -> Array:
        generators = [np.random.default_rng([int(seed[:16], 16), 3, n]) for n in pairs]
        noise = np.array([rng.standard_normal(3 * len(masses)) for rng in generators])
        lengths = np.array([AMPLITUDES[n % len(AMPLITUDES)] for n in pairs])
        return _thermal(full, masses, temperature, noise) * lengths[:, None, None]

    return draw


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
    """Thermal displacements (n_pairs, n_atoms, 3) of harmonic phonons, Å.

    Each mode has the variance ``hbar / (2 ω) coth(hbar ω / 2 k_B T)`` in mass-weighted length.

    Args:
        full: (3n, 3n), eV/Å².
        masses: (n,), amu.
        temperature: K.
        noise: (n_pairs, 3n), standard normal deviates.
    """
    squares, vectors = _modes(full, masses)
    moving = np.argsort(np.abs(squares))[3:]  # without translations of the whole crystal
    omega = 2 * np.pi * 1e12 * np.maximum(np.sqrt(np.abs(squares[moving])), _SOFTEST)
    quantum = constants.hbar / (2 * omega)
    spread = np.sqrt(
        quantum / np.tanh(constants.hbar * omega / (2 * constants.k * temperature))
    ) / np.sqrt(constants.atomic_mass)
    modes = noise[:, moving] * spread / constants.angstrom
    moved = modes @ vectors[:, moving].T * np.repeat(1 / np.sqrt(masses), 3)
    return np.asarray(moved.reshape(len(noise), -1, 3))
