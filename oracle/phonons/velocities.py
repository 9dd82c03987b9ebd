"""Group velocities of phonons at many wave vectors at once.

phonopy computes them one wave vector after the other, in Python, 0.7 ms each, which was a third of
the time that solving the Boltzmann equation of NaCl took. Here the same steps are taken for many
wave vectors together, in a fifth of the time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.derivative_dynmat import DerivativeOfDynamicalMatrix
from phonopy.harmonic.dynamical_matrix import (
    DynamicalMatrixNAC,
    get_dynamical_matrices_at_qpoints,
)

Array = NDArray[np.float64]
_DEGENERATE = 1e-4  # THz, as in phonopy
_STANDING = 1e-4  # THz; modes of lower frequency get no velocity, as in phonopy
_DIRECTION = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
"""Cartesian direction along which degenerate modes are told apart, as in phonopy."""
_STEP = 1e-6  # 1/Å; beside the zone centre, the dipoles' part varies as quickly as the direction
_TOGETHER = 2_000_000  # elements of the dynamical matrices that are held at once


def group_velocities(phonons: Phonopy, points: Array) -> Array:
    """Group velocities (n_q, n_bands, 3), Cartesian, THz Å.

    By the Hellmann-Feynman theorem they are the expectation values of the derivative of the
    dynamical matrix, divided by twice the frequency. Of degenerate modes, those combinations are
    taken that the derivative along one direction does not mix. They are averaged over the
    operations that leave the wave vector where it is.

    Args:
        phonons: with force constants.
        points: (n_q, 3), wave vectors in reciprocal lattice vectors of the primitive cell.
    """
    bands = 3 * len(phonons.primitive)
    chunks = -(-len(points) * bands**2 // _TOGETHER)
    return np.concatenate([_velocities(phonons, few) for few in np.array_split(points, chunks)])


def _velocities(phonons: Phonopy, points: Array) -> Array:
    factor = float(phonons.unit_conversion_factor)
    matrices = get_dynamical_matrices_at_qpoints(phonons.dynamical_matrix, points)
    eigenvalues, vectors = np.linalg.eigh(matrices)
    frequencies = np.sqrt(np.abs(eigenvalues)) * np.sign(eigenvalues) * factor
    derivatives = _derivatives(phonons, points)  # (n_q, 3, n_bands, n_bands)
    vectors = vectors @ _told_apart(
        vectors.conj().swapaxes(1, 2) @ np.einsum("i,qiab->qab", _DIRECTION, derivatives) @ vectors,
        frequencies,
    )
    expected = np.stack(
        [
            np.sum(vectors.conj() * (derivatives[:, axis] @ vectors), axis=1).real
            for axis in range(3)
        ],
        axis=-1,
    )
    moving = frequencies > _STANDING
    halves = np.divide(factor**2 / 2, frequencies, where=moving, out=np.zeros(moving.shape))
    return _averaged(phonons, points, expected * halves[..., None])


def _derivatives(phonons: Phonopy, points: Array) -> NDArray[np.complex128]:
    """Cartesian derivatives of the dynamical matrices (n_q, 3, n_bands, n_bands)."""
    dynamical = phonons.dynamical_matrix
    if isinstance(dynamical, DynamicalMatrixNAC):
        return _differences(phonons, points)
    derivative = DerivativeOfDynamicalMatrix(dynamical, lang=dynamical.lang)
    found = []
    for point in points:
        derivative.run(point)
        found.append(np.asarray(derivative.d_dynamical_matrix))
    return np.array(found)


def _differences(phonons: Phonopy, points: Array) -> NDArray[np.complex128]:
    """The same by central differences, where phonopy differentiates the dipoles' part slowly."""
    cell = np.asarray(phonons.primitive.cell)
    found = []
    for axis in range(3):
        step = _STEP * cell[:, axis]  # in reduced coordinates
        ahead, behind = (
            get_dynamical_matrices_at_qpoints(phonons.dynamical_matrix, points + sign * step)
            for sign in (1, -1)
        )
        found.append((ahead - behind) / (2 * _STEP))
    return np.stack(found, axis=1)


def _told_apart(perturbation: NDArray[np.complex128], frequencies: Array) -> NDArray[np.complex128]:
    """Unitary matrices (n_q, n_bands, n_bands) that mix degenerate modes only.

    Within each set of degenerate modes, they diagonalise the perturbation, which is given in the
    basis of all modes. Sets are shifted against each other so that they keep their order.
    """
    steps = np.diff(frequencies, axis=1, prepend=frequencies[:, :1]) >= _DEGENERATE
    sets = np.cumsum(steps, axis=1)
    blocks = np.where(sets[:, :, None] == sets[:, None, :], perturbation, 0.0)
    apart = 4 * np.abs(blocks).sum(axis=2).max(axis=1) + 1e-12  # bounds all eigenvalues
    shifts = apart[:, None] * sets
    bands = np.arange(frequencies.shape[1])
    blocks[:, bands, bands] += shifts
    _, mixed = np.linalg.eigh(blocks)
    return np.asarray(mixed)


def _averaged(phonons: Phonopy, points: Array, velocities: Array) -> Array:
    """Velocities averaged over the operations that leave their wave vectors where they are."""
    symmetry = phonons.primitive_symmetry
    cell = np.asarray(phonons.primitive.cell)
    inside = points - np.rint(points)
    total, number = np.zeros_like(velocities), np.zeros(len(points))
    for operation in np.asarray(symmetry.reciprocal_operations):
        stays = (np.abs(inside - inside @ operation.T) < symmetry.tolerance).all(axis=1)
        # Reduced components times the reciprocal vectors, the rows of inv(cell).T, are Cartesian.
        turn = np.linalg.inv(cell) @ operation @ cell
        total[stays] += velocities[stays] @ turn.T
        number += stays
    return np.asarray(total / number[:, None, None])
