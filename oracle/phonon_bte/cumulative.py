"""Which phonons carry the heat: cumulative conductivity by frequency and by mean free path."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.phonon_bte.conductivity import Transport

Array = NDArray[np.float64]


def cumulative(
    transport: Transport, temperatures: tuple[float, ...], points: int = 200
) -> dict[str, Any]:
    """Cumulative kappa, as JSON: `at_temperature` at the first temperature.

    The key ``each`` has a list with the same document at every temperature.
    """
    each = [at_temperature(transport, n, t, points) for n, t in enumerate(temperatures)]
    return {**each[0], "each": each}


def at_temperature(
    transport: Transport, number: int, temperature: float, points: int
) -> dict[str, Any]:
    """Cumulative kappa at one temperature.

    Only the particle part is a sum over modes, and the curves end at its value. The coherence part
    belongs to pairs of modes and is not included in the curves.

    Args:
        transport: at several temperatures.
        number: index of the temperature.
        temperature: K.
        points: number of points of each curve.

    Returns:
        ``kappa`` (W/m/K, a third of the trace) up to ``frequency`` (THz), and ``kappa_by_length``
        up to ``mean_free_path`` (nm, evenly spaced in its logarithm). ``part`` states to which part
        the curves belong; ``particle``, ``coherence`` (None where it was not computed) and
        ``total`` are a third of the trace at ``temperature`` (K), in W/m/K.
    """
    frequencies, modes = transport.frequencies.ravel(), transport.mode_kappa[number].ravel()
    grid = np.linspace(0.0, float(frequencies.max()) * 1.02, points)
    order = np.argsort(frequencies, kind="stable")
    running = np.concatenate([[0.0], np.cumsum(modes[order])])
    off = None if transport.coherence is None else float(np.trace(transport.coherence[number])) / 3
    return {
        "temperature": temperature,
        "part": "particle",
        "particle": float(np.trace(transport.particle[number])) / 3,
        "coherence": off,
        "total": float(transport.mean[number]),
        "frequency": grid.tolist(),
        "kappa": running[np.searchsorted(frequencies[order], grid, side="right")].tolist(),
        **_by_length(transport.mean_free_paths[number].ravel() / 10, modes, points),
    }


def _by_length(lengths: Array, modes: Array, points: int) -> dict[str, list[float]]:
    """Cumulative sums of `modes` (n,) by `lengths` (n,)."""
    moving = lengths > 0
    if not moving.any():
        return {"mean_free_path": [], "kappa_by_length": []}
    lengths, modes = lengths[moving], modes[moving]
    order = np.argsort(lengths, kind="stable")
    running = np.concatenate([[0.0], np.cumsum(modes[order])])
    least = max(lengths.min(), lengths.max() * 1e-6)
    grid = np.geomspace(least, lengths.max() * 1.02, points)
    return {
        "mean_free_path": grid.tolist(),
        "kappa_by_length": running[np.searchsorted(lengths[order], grid, side="right")].tolist(),
    }
