"""The covariance of functions of a layer stack, for many sets of hyperparameters at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_LENGTH, _SLOPE, _WAVE, _NOISE = 0.7, -1.0, 0.0, -3.0
"""Prior means of the logarithms of the hyperparameters, in units of the target's spread."""
_SPREAD, _WAVE_SPREAD, _NOISE_SPREAD = 1.0, 0.7, 1.0
_DIRECTED = 0.7  # lowers the prior weight of blocks that depend on the stack's direction
_EXTRA = 0.3  # weight of input columns from lower fidelities


@dataclass(frozen=True)
class LayerKernel:
    """``1 + a² M(√Σ_b |x_b - x'_b|² / l_b²) + Σ_b s_b² x_b · x'_b + e² c · c'``.

    M is the Matérn 5/2 function, b are blocks of descriptors and c columns from lower fidelities.
    A row of scales holds the logarithms of l, s, a and the noise, which have normal priors.

    Args:
        names: of the blocks.
    """

    names: tuple[str, ...]

    @property
    def prior(self) -> tuple[Array, Array]:
        """Means and standard deviations (p,) of the scales: l_b, s_b, a, noise."""
        blocks = len(self.names)
        sharing = 0.25 * np.log(max(blocks, 1))  # more blocks, less variance each
        directed = np.array([_DIRECTED if name.endswith("-") else 0.0 for name in self.names])
        mean = [
            _LENGTH + sharing + directed,
            _SLOPE - sharing - directed,
            np.array([_WAVE, _NOISE]),
        ]
        spread = [np.full(2 * blocks, _SPREAD), np.array([_WAVE_SPREAD, _NOISE_SPREAD])]
        return np.concatenate(mean), np.concatenate(spread)

    def noise(self, scales: Array) -> Array:
        """Noise variances (m,): what no descriptor explains."""
        return np.asarray(np.exp(2.0 * scales[:, -1]))

    def __call__(self, scales: Array, products: Array, first: Array, second: Array) -> Array:
        """Covariances (m, n1, n2) for m rows of scales.

        Args:
            scales: (m, p).
            products: (b + 1, n1, n2), scalar products of the rows in each block, extras last.
            first: (b, n1), squared lengths of the first rows.
            second: (b, n2), squared lengths of the second rows.
        """
        blocks = len(self.names)
        shape = products.shape[1:]
        flat = products.reshape(blocks + 1, -1)
        squared_distances = (first[:, :, None] + second[:, None, :]).reshape(
            blocks, -1
        ) - 2.0 * flat[:blocks]
        wave, slopes = self._parts(scales)
        squares = np.maximum(np.exp(-2.0 * scales[:, :blocks]) @ squared_distances, 0.0)
        covariance = wave * _matern(squares) + slopes @ flat[:blocks]
        return np.asarray(
            (covariance + 1.0 + _EXTRA**2 * flat[blocks]).reshape(len(scales), *shape)
        )

    def diagonal(self, scales: Array, squares: Array, extras: Array) -> Array:
        """Variances (m, n), given the squared lengths (b, n) of blocks and (n,) of extras."""
        wave, slopes = self._parts(scales)
        return np.asarray(1.0 + wave + slopes @ squares + _EXTRA**2 * extras)

    def _parts(self, scales: Array) -> tuple[Array, Array]:
        blocks = len(self.names)
        wave = np.exp(2.0 * scales[:, 2 * blocks : 2 * blocks + 1])
        return wave, np.exp(2.0 * scales[:, blocks : 2 * blocks])


def _matern(squares: Array) -> Array:
    root = np.sqrt(5.0 * squares)
    return np.asarray((1.0 + root + root * root / 3.0) * np.exp(-root))


def products_of(first: Sequence[Array], second: Sequence[Array]) -> Array:
    """Scalar products (b, n1, n2) of the rows of each block."""
    return np.stack([u @ v.T for u, v in zip(first, second, strict=True)])


def squares_of(blocks: Sequence[Array]) -> Array:
    """Squared lengths (b, n) of the rows of each block."""
    return np.stack([np.square(block).sum(axis=1) for block in blocks])
