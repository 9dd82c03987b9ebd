"""Averages over degenerate modes in phono3py's isotope scattering, for all wave vectors at once.

phono3py 4.10 takes these averages in a Python loop over wave vectors, and does so again for each
irreducible one: 85,000 calls on an 11x11x11 mesh, a fifth of the time of an evaluation. The
function that it calls can take all averages in one call if the bands of all wave vectors are
numbered consecutively.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phono3py.other.isotope import Isotope
from phono3py.phonon.degeneracy import average_over_degenerate_sets

Array = NDArray[np.float64]


@contextmanager
def averages_at_once() -> Iterator[None]:
    """Make phono3py's isotope scattering take all averages at once; its numbers do not change."""
    original = Isotope._finalize_integration_weights
    Isotope._finalize_integration_weights = _finalized
    try:
        yield
    finally:
        Isotope._finalize_integration_weights = original


def averaged(weights: Array, degenerate_ids: NDArray[np.int64]) -> Array:
    """Means over the degenerate bands of each wave vector.

    Args:
        weights: (n_q, n_bands0, n_bands).
        degenerate_ids: (n_q, n_bands), the first band of the degenerate set of each band.

    Returns:
        (n_q, n_bands0, n_bands).
    """
    n_q, n_bands = degenerate_ids.shape
    numbered = degenerate_ids + n_bands * np.arange(n_q)[:, None]
    flat = weights.transpose(1, 0, 2).reshape(-1, n_q * n_bands)
    means = average_over_degenerate_sets(flat, numbered.ravel(), 1)
    return np.ascontiguousarray(means.reshape(-1, n_q, n_bands).transpose(1, 0, 2))


def _finalized(isotope: Any, weights: Array) -> Array:
    """Replaces phono3py's method `_finalize_integration_weights`."""
    if not isotope._averaging:
        return weights
    ids = isotope._phonons.degenerate_ids
    if isotope._average_over_initial_bands():
        weights = average_over_degenerate_sets(weights, ids[isotope._grid_point], 1)
    return averaged(weights, ids[isotope._grid_points])
