"""Strengths of three-phonon processes by Fourier transform, ten times as fast as triple by triple.

phono3py 4.10 transforms third-order force constants to reciprocal space for each triple (q0, q1,
q2) of wave vectors anew: a sum over all pairs of atoms in the supercell, four fifths of the time of
the Boltzmann equation. Since the vectors of a triple add up to a reciprocal lattice vector, that of
the third atom can be eliminated. With phases by lattice vectors L of the cells, not by positions,

    Phi(q0, q1) = sum over M, N of V(M, N) exp(2 pi i (q0 M + q1 N)),  M = L0 - L2,  N = L1 - L2,

where V(M, N) collects all triples of atoms with these differences, of all three choices of the atom
from which distances are measured (phono3py's ``make_r0_average``), and the positions within the
cell enter through the eigenvectors. For each q0, the sum over M leaves a function of N, contracted
with the eigenvectors of q0, and a fast Fourier transform gives all q1 of the mesh at once. The
numbers are those of phono3py but for rounding.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from phono3py.conductivity.scattering_solvers import RTAScatteringSolver
from phono3py.phonon3.interaction import Interaction
from scipy.sparse import csr_array

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Integers = NDArray[np.int64]
_MOST_BYTES = 1e9
"""Memory for what one wave vector needs, beyond which phono3py does with less."""
_PER_TERM = 700  # bytes for each pair of atoms and images, while they are collected
_IS_INTEGER = 1e-3  # lattice vectors follow from positions that are symmetric within 1e-5 Å


@contextmanager
def interactions_by_transform() -> Iterator[None]:
    """Make phono3py compute strengths by Fourier transform; its numbers do not change."""
    strengths, full = Interaction._run_rust, RTAScatteringSolver._requires_full_gamma_path
    known: weakref.WeakKeyDictionary[Any, RealSpace] = weakref.WeakKeyDictionary()

    def run(interaction: Any, g_zero: NDArray[np.byte] | None) -> None:
        if not is_transformed(interaction):
            strengths(interaction, g_zero)
            return
        if interaction not in known:
            known[interaction] = RealSpace.of(interaction)
        interaction._interaction_strength[:] = known[interaction].strengths(interaction)
        interaction._g_zero = g_zero

    def by_parts(solver: Any) -> bool:
        return full(solver) or is_transformed(solver._pp)

    Interaction._run_rust = run
    RTAScatteringSolver._requires_full_gamma_path = by_parts
    try:
        yield
    finally:
        Interaction._run_rust = strengths
        RTAScatteringSolver._requires_full_gamma_path = full


def is_transformed(interaction: Any) -> bool:
    """Whether this module serves a case: a plain mesh, the usual settings and enough memory.

    On meshes with fewer triples than the crystal has bands, nothing is gained.
    """
    grid, multiplicities = interaction.bz_grid, interaction._multi[:, :, 0]
    points, bands = float(np.prod(grid.D_diag)), 3 * len(interaction.primitive)
    triples = points / 2 + 1
    images = multiplicities.sum(axis=0)
    differences = min(points, 8.0 * images.max() / len(interaction.primitive))
    return bool(
        interaction.make_r0_average
        and not interaction.symmetrize_fc3q
        and interaction.constant_averaged_interaction is None
        and len(interaction.band_indices) == bands
        and np.array_equal(grid.Q, np.eye(3))
        and triples >= bands
        and 4 * 8 * triples * bands**3 < _MOST_BYTES
        and 3 * 16 * differences * bands**3 < _MOST_BYTES
        and 3 * _PER_TERM * np.square(images).sum() < 2 * _MOST_BYTES
    )


@dataclass(frozen=True)
class RealSpace:
    """Third-order force constants by differences of lattice vectors.

    Args:
        mesh: (3,), numbers of points.
        values: (n_terms, 27), eV/Å³, by Cartesian directions of the three atoms.
        rows: (n_terms,), which three atoms of the primitive cell and which N they belong to.
        columns: (n_terms,), which M they belong to.
        first: (n_m, 3), the differences M, modulo the mesh.
        second: (n_n,), the differences N, modulo the mesh, as flat indices.
        positions: (n_primitive, 3), fractional.
        masses: (n_primitive,), u.
    """

    mesh: Integers
    values: Array
    rows: Integers
    columns: Integers
    first: Integers
    second: Integers
    positions: Array
    masses: Array

    @classmethod
    def of(cls, interaction: Any) -> RealSpace:
        """Collect the force constants of phono3py's object."""
        primitive = interaction.primitive
        mesh = np.asarray(interaction.bz_grid.D_diag, dtype=np.int64)
        n = len(primitive)
        terms = [_of_anchor(interaction, anchor) for anchor in range(n)]
        atoms, first, second, values = (np.concatenate(part) for part in zip(*terms, strict=True))
        m_values, m_of = np.unique(_flat(first, mesh), return_inverse=True)
        n_values, n_of = np.unique(_flat(second, mesh), return_inverse=True)
        blocks = (atoms[:, 0] * n + atoms[:, 1]) * n + atoms[:, 2]
        keys, inverse = np.unique(
            (blocks * len(n_values) + n_of) * len(m_values) + m_of, return_inverse=True
        )
        summing = csr_array((np.ones(len(inverse)), (inverse, np.arange(len(inverse)))))
        summed = summing @ values
        kept = np.any(summed != 0, axis=1)
        return cls(
            mesh=mesh,
            values=summed[kept],
            rows=keys[kept] // len(m_values),
            columns=keys[kept] % len(m_values),
            first=np.stack(np.unravel_index(m_values, tuple(mesh)), axis=1),
            second=n_values,
            positions=np.asarray(primitive.scaled_positions),
            masses=np.asarray(primitive.masses),
        )

    def strengths(self, interaction: Any) -> Array:
        """Strengths (n_triples, n_bands, n_bands, n_bands), eV², at phono3py's grid point."""
        grid, frequencies = interaction.bz_grid, interaction.phonons.frequencies
        triples = interaction.get_triplets_at_q()[0]
        q1, q2 = (self._eigenvectors(interaction, points) for points in triples.T[1:])
        at = _flat(grid.addresses[triples[:, 1]], self.mesh)
        amplitudes = np.empty((len(triples), *(q1.shape[-1:] * 3)), dtype=np.complex128)
        by_atoms = self._at_first(grid.addresses[triples[0, 0]] / self.mesh)
        # On the surface of the Brillouin zone, q0 is one of several equivalent points.
        for point in np.unique(triples[:, 0]):
            those = triples[:, 0] == point
            vectors = self._eigenvectors(interaction, np.array([point]))[0]
            for band in range(vectors.shape[1]):  # one at a time, for the sake of memory
                values = self._at_second(by_atoms @ vectors[:, band], at[those])
                amplitudes[those, band] = q1[those].swapaxes(1, 2) @ values @ q2[those]
        moving = frequencies > interaction.cutoff_frequency
        inverse = np.divide(1.0, frequencies, where=moving, out=np.zeros(frequencies.shape))
        a, b, c = (inverse[points] for points in triples.T)
        squares = np.square(amplitudes.real) + np.square(amplitudes.imag)
        return np.asarray(
            squares
            * (a[:, :, None, None] * b[:, None, :, None] * c[:, None, None, :])
            * interaction.unit_conversion_factor
        )

    def _eigenvectors(self, interaction: Any, points: Integers) -> Complex:
        """Eigenvectors (n, n_bands, n_bands) by masses, with the phases of the positions."""
        q = interaction.bz_grid.addresses[points] / self.mesh
        factors = np.exp(2j * np.pi * q @ self.positions.T) / np.sqrt(self.masses)
        by_direction = np.repeat(factors, 3, axis=1)
        return np.asarray(interaction.phonons.eigenvectors[points] * by_direction[:, :, None])

    def _at_first(self, q0: Array) -> Complex:
        """The sum over M, (n_bands², n_n, n_bands): by second and third atom, N, and first atom."""
        n, n_second = len(self.masses), len(self.second)
        angles = 2 * np.pi * (self.first @ q0)[self.columns]
        shape = (n**3 * n_second, len(self.rows))
        at = self.rows, np.arange(len(self.rows))
        # Two real products, since a complex one would first make all values complex.
        real, imaginary = (
            csr_array((part(angles), at), shape=shape) @ self.values for part in (np.cos, np.sin)
        )
        by_atoms = (real + 1j * imaginary).reshape(n, n, n, n_second, 3, 3, 3)
        # From (i, j, k, N, a, b, c) to (j, b, k, c, N, i, a).
        return by_atoms.transpose(1, 5, 2, 6, 3, 0, 4).reshape(9 * n * n, n_second, 3 * n)

    def _at_second(self, values: Complex, points: Integers) -> Complex:
        """The sum over N of values (n_bands², n_n), at points of the mesh (n,), flat indices.

        Returns:
            (n, n_bands, n_bands), by second and third atom.
        """
        bands = 3 * len(self.masses)
        function = np.zeros((bands**2, int(np.prod(self.mesh))), dtype=np.complex128)
        function[:, self.second] = values
        transformed = scipy.fft.ifftn(
            function.reshape(-1, *self.mesh), axes=(1, 2, 3), norm="forward", overwrite_x=True
        )
        return transformed.reshape(bands**2, -1)[:, points].T.reshape(-1, bands, bands)


def _of_anchor(interaction: Any, anchor: int) -> tuple[Integers, Integers, Integers, Array]:
    """Terms whose distances are measured from one atom of the primitive cell.

    Each pair of other atoms appears three times: the anchor is the first, second or third of the
    three atoms. Where the distances between all three are the shortest ones, all three terms would
    be equal, and phono3py counts the first of them three times.

    Returns:
        Atoms of the primitive cell (n, 3), differences M (n, 3) and N (n, 3), and values (n, 27).
    """
    primitive = interaction.primitive
    positions, to_primitive = primitive.scaled_positions, primitive.p2p_map
    home = np.array([to_primitive[atom] for atom in primitive.s2p_map])
    number, address = interaction._multi[:, anchor].T
    image = np.repeat(np.arange(len(home)), number)
    within = np.arange(len(image)) - np.repeat(np.cumsum(number) - number, number)
    vectors = interaction._svecs[address[image] + within]
    exact = vectors - positions[home[image]] + positions[anchor]
    cells = np.rint(exact).astype(np.int64)
    assert np.abs(exact - cells).max() < _IS_INTEGER  # else these are not lattice vectors
    x, y = (index.ravel() for index in np.indices((len(image), len(image))))
    constants = interaction.fc3
    row = anchor if len(constants) == len(primitive) else primitive.p2s_map[anchor]
    values = (
        constants[row, image[x], image[y]]
        / (number[image[x]] * number[image[y]] * 3.0)[:, None, None, None]
    )
    alike = interaction.all_shortest[anchor, image[x], image[y]].astype(bool)
    values[alike] *= 3.0
    here = np.full(len(x), anchor)
    a, b, left, right = home[image[x]], home[image[y]], cells[x], cells[y]
    one = np.stack([here, a, b], axis=1), -right, left - right, values
    two = np.stack([a, here, b], axis=1), left - right, -right, values.transpose(0, 2, 1, 3)
    three = np.stack([b, a, here], axis=1), right, left, values.transpose(0, 3, 2, 1)
    parts = [one, *([entry[~alike] for entry in leg] for leg in (two, three))]
    atoms, first, second, found = (np.concatenate(part) for part in zip(*parts, strict=True))
    return atoms, first, second, found.reshape(-1, 27)


def _flat(vectors: Integers, mesh: Integers) -> Integers:
    """Flat indices (n,) of integer vectors (n, 3) modulo the mesh."""
    return np.asarray(np.ravel_multi_index(tuple((vectors % mesh).T), tuple(mesh)), dtype=np.int64)
