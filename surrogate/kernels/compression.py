"""Low-rank square roots of covariances, for pools whose full covariance is too large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Compressor:
    """Projects the rows of a root onto its leading directions and keeps the variances exact.

    Args:
        directions: (r, k), orthonormal columns.
    """

    directions: Floats

    @classmethod
    def of(cls, sample: Floats, rank: int) -> Compressor:
        """The `rank` directions with most of the variance of sampled rows (m, r)."""
        _, vectors = np.linalg.eigh(sample.T @ sample)
        return cls(np.ascontiguousarray(vectors[:, ::-1][:, :rank]))

    def __call__(self, root: Floats) -> Floats:
        """Projected rows (n, k), rescaled to the lengths of the given rows (n, r).

        Correlations between materials are approximate. Each material's own variance stays exact,
        because acquisition functions depend on it directly.
        """
        short = root @ self.directions
        full_length = np.sqrt(np.square(root).sum(axis=1))
        short_length = np.sqrt(np.square(short).sum(axis=1))
        return np.asarray(short * (full_length / np.maximum(short_length, 1e-30))[:, None])
