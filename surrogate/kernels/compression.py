"""Roots of covariances with fewer columns, for pools whose full covariance is too large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Compressor:
    """Projects the rows of a root on its leading directions; variances stay exact.

    Args:
        directions: (r, k), orthonormal.
    """

    directions: Floats

    @classmethod
    def of(cls, sample: Floats, rank: int) -> Compressor:
        """The `rank` directions that hold most of the variance of sampled rows (m, r)."""
        _, vectors = np.linalg.eigh(sample.T @ sample)
        return cls(np.ascontiguousarray(vectors[:, ::-1][:, :rank]))

    def __call__(self, root: Floats) -> Floats:
        """Rows (n, k) whose lengths are those of the given rows (n, r).

        Correlations are those of the projections, so they are approximate; no row is shortened,
        because a candidate's own spread decides whether it is asked about.
        """
        short = root @ self.directions
        had = np.sqrt(np.square(root).sum(axis=1))
        has = np.sqrt(np.square(short).sum(axis=1))
        return np.asarray(short * (had / np.maximum(has, 1e-30))[:, None])
