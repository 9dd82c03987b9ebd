"""Forces of displaced supercells as linear functions of the third-order force constants.

symfc's function for this sets up every atom of the supercell anew at each call: for 96 atoms that
took longer than all forces. Here, only the atoms of the primitive cell are set up, once per basis:
the force on any other atom is that on its image in the primitive cell when all displacements are
moved by the same lattice translation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

Array = NDArray[np.float64]
_PATTERNS = 64  # computed at once; for 120 atoms their products take 66 MB
_CONSTANTS = 27  # components of the force constants of three atoms


class Design:
    """The map from coefficients of a basis to the forces ``-1/2 fc3 u u``.

    Args:
        space: symfc's basis set of third order, `symfc.basis_sets.FCBasisSetO3`.
        n_atoms: in the supercell.
    """

    def __init__(self, space: Any, n_atoms: int) -> None:
        self._space = space
        self._n_atoms = n_atoms
        # symfc's index of three atoms is that of their images in compact force constants.
        images = np.asarray(space.atomic_decompr_idx).reshape((n_atoms,) * 3)
        self._images = images
        self._home = images[:, 0, 0] // n_atoms**2
        # (n, n): for each atom, which atoms the translation takes to the places of all others.
        self._origins = np.argsort(images[:, :, 0] // n_atoms % n_atoms, axis=1)
        n_primitive = space.compact_compression_matrix.shape[0] // (_CONSTANTS * n_atoms**2)
        self._maps = [self._map(atom) for atom in range(n_primitive)]

    def _map(self, atom: int) -> csr_array:
        """From products of displacements (9 n²) to the features of the force (3 n_compressed)."""
        constants = np.arange(self._n_atoms**2 * _CONSTANTS).reshape(-1, 3, _CONSTANTS // 3)
        constants += atom * constants.size
        compression = csr_array(self._space.compact_compression_matrix)
        parts = [compression[constants[:, axis].ravel()].T for axis in range(3)]
        return vstack(parts, format="csr") * -0.5

    def blocks(self, displacements: Array, forces: Array) -> Iterator[tuple[Array, Array]]:
        """The equations, in parts.

        Args:
            displacements: (n_pairs, n_atoms, 3).
            forces: (n_pairs, n_atoms, 3).

        Yields:
            Features (size, n) of n equations, and their right-hand sides (n,).
        """
        for atom, features in enumerate(self._maps):
            images = np.flatnonzero(self._home == atom)
            seen = displacements[:, self._origins[images]].reshape(-1, self._n_atoms, 3)
            right = forces[:, images].reshape(-1, 3)
            for start in range(0, len(seen), _PATTERNS):
                part = slice(start, start + _PATTERNS)
                yield self._projected(features, seen[part]), right[part].T.ravel()

    def _projected(self, features: csr_array, patterns: Array) -> Array:
        """Features (size, 3 n) of the force on one atom for n patterns (n, n_atoms, 3)."""
        u = np.ascontiguousarray(patterns.transpose(1, 2, 0))
        products = (u[:, None, :, None] * u[None, :, None, :]).reshape(-1, len(patterns))
        compressed = (features @ products).reshape(3, -1, len(patterns))
        columns = compressed.transpose(1, 0, 2).reshape(compressed.shape[1], -1)
        return np.asarray(self._space.blocked_basis_set.T @ columns)

    def right_hand_side(self, displacements: Array, forces: Array) -> Array:
        """Sum of features times right-hand sides (size,), without computing the features.

        It is the gradient of ``sum F · (-1/2 fc3 u u)`` with respect to the coefficients, which
        follows from ``-1/2 sum F u u`` by the transposes of the maps from coefficients to compact
        and from compact to all force constants.

        Args:
            displacements: (n_pairs, n_atoms, 3).
            forces: (n_pairs, n_atoms, 3).
        """
        n_atoms = self._n_atoms
        compression = self._space.compact_compression_matrix
        compact = np.zeros((compression.shape[0] // _CONSTANTS, _CONSTANTS))
        flat = displacements.reshape(len(displacements), -1)
        products = (flat[:, :, None] * flat[:, None, :]).reshape(len(flat), -1)
        for atom in range(n_atoms):
            block = -0.5 * forces[:, atom].T @ products
            by_pair = block.reshape(3, n_atoms, 3, n_atoms, 3).transpose(1, 3, 0, 2, 4)
            # No two pairs of other atoms have the same image.
            compact[self._images[atom].ravel()] += by_pair.reshape(-1, _CONSTANTS)
        return np.asarray(self._space.blocked_basis_set.T @ (compression.T @ compact.ravel()))
