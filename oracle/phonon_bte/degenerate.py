"""Averages over degenerate modes in phono3py, for all wave vectors or triples of them at once.

phono3py 4.10 takes these averages in Python loops over wave vectors and triples, and does so again
for each irreducible wave vector: 85,000 calls for scattering by isotopes on an 11x11x11 mesh, a
fifth of the time of an evaluation. The function that it calls can take all averages in one call if
the bands of all wave vectors are numbered consecutively.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phono3py.other.isotope import Isotope
from phono3py.phonon.degeneracy import average_over_degenerate_sets
from phono3py.phonon3 import triplets as triples

Array = NDArray[np.float64]
_AT_ONCE = 50_000_000  # bytes of weights that are averaged together, which takes four times as many


@contextmanager
def averages_at_once() -> Iterator[None]:
    """Make phono3py take all averages at once; its numbers do not change."""
    of_isotopes = Isotope._finalize_integration_weights
    of_triples = triples._average_weights_over_degenerate_sets
    Isotope._finalize_integration_weights = _finalized
    triples._average_weights_over_degenerate_sets = _average_of_triples
    try:
        yield
    finally:
        Isotope._finalize_integration_weights = of_isotopes
        triples._average_weights_over_degenerate_sets = of_triples


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


def _average_of_triples(
    weights: Array,
    vanishing: NDArray[np.byte] | None,
    triples: NDArray[np.int64],
    degenerate_ids: NDArray[np.int64],
) -> None:
    """Replaces phono3py's function `_average_weights_over_degenerate_sets`, in place.

    Args:
        weights: (2 or 3, n_triples, n_bands0, n_bands, n_bands).
        vanishing: (n_triples, n_bands0, n_bands, n_bands), 1 where all weights vanish, or None.
        triples: (n_triples, 3), points of the mesh.
        degenerate_ids: (n_q, n_bands), the first band of the degenerate set of each band.
    """
    kinds, _, n_bands0, n_bands, _ = weights.shape
    for axis, points in ((3, triples[:, 1]), (4, triples[:, 2])):
        ids = degenerate_ids[points]
        some = np.flatnonzero((ids != np.arange(n_bands)).any(axis=1))
        if not len(some):
            continue
        per_triple = weights[:, 0].nbytes
        for few in np.array_split(some, 1 + len(some) * per_triple // _AT_ONCE):
            part = np.swapaxes(weights[:, few], axis, 4)
            rows = part.swapaxes(0, 1).reshape(len(few), -1, n_bands)
            means = averaged(rows, ids[few]).reshape(len(few), kinds, n_bands0, n_bands, n_bands)
            weights[:, few] = np.swapaxes(means.swapaxes(0, 1), axis, 4)
    if vanishing is not None:
        vanishing &= (weights == 0).all(axis=0)
