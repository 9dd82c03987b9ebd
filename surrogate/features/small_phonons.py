"""Descriptors of stiffness and stability from the phonon frequencies of a doubled cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oracle.materials.crystal import Crystal
from oracle.phonons.commensurate import commensurate_frequencies
from oracle.potentials.table import weights_digest
from oracle.runtime.errors import raise_if_of_the_machine, recurring
from surrogate.features.tensor_files import read_tensors, write_tensors

Array = NDArray[np.float64]

SMALL_PHONONS = {
    "log_mean_frequency": 0.2,
    "log_mean_inverse_square": 0.3,
    "log_boundary_frequency": 0.2,
    "softness": 0.3,
}
"""Names of the descriptors, with the rough standard deviation of each among simple compounds.

Frequencies are in THz, logarithms to base 10. Mean square displacements at high temperature are
proportional to the mean inverse square; boundary frequencies are those of the three lowest branches
at the zone boundary; softness is the lowest frequency over the root mean square, negative where
modes are imaginary."""
VERSION = 1
"""Increased whenever the numbers change, so that files of older versions are not read."""
_FLOOR = 0.3  # THz; lower limit of frequencies before a logarithm or an inverse is taken
_NOISE = 0.05  # THz; acoustic modes at Gamma may differ from zero by this much
UNKNOWN: Array = np.full(len(SMALL_PHONONS), np.nan)


def small_phonons(
    potential: str, crystal: Crystal, volume_per_atom: float, cache_dir: Path | None
) -> Array:
    """The descriptors (4,) named in `SMALL_PHONONS`; NaN where they cost too much or fail.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        crystal: any crystal.
        volume_per_atom: at the potential's energy minimum, Å³; NaN where there is none.
        cache_dir: folder of the cache, or None to compute without a cache.
    """
    path = None if cache_dir is None else path_of(potential, crystal, cache_dir)
    stored = None if path is None else read_tensors(path)
    if stored is not None and "phonons" in stored[0]:
        return np.asarray(stored[0]["phonons"])
    descriptors = _computed(potential, crystal, volume_per_atom)
    if path is not None:
        write_tensors(path, {"phonons": descriptors}, {})
    return descriptors


def path_of(potential: str, crystal: Crystal, cache_dir: Path) -> Path:
    """Path of a crystal's descriptors in the cache."""
    name = f"{crystal.digest}-{weights_digest(potential)[:16]}-phonons-v{VERSION}.safetensors"
    return cache_dir / crystal.digest[:2] / name


def _computed(potential: str, crystal: Crystal, volume_per_atom: float) -> Array:
    if not np.isfinite(volume_per_atom):
        return UNKNOWN.copy()
    structure = crystal.structure()
    structure.scale_lattice(volume_per_atom * len(structure))
    try:
        frequencies = recurring(lambda: commensurate_frequencies(structure, potential))
    except (ArithmeticError, ValueError, RuntimeError, KeyError) as error:
        raise_if_of_the_machine(error)
        # Each potential raises a different error for elements it does not support.
        return UNKNOWN.copy()
    return UNKNOWN.copy() if frequencies is None else summary(frequencies)


def summary(frequencies: Array) -> Array:
    """The descriptors (4,) from frequencies (n_q, n_bands) in THz; the first q-point is Gamma."""
    ordered = np.sort(frequencies, axis=1)
    centre, boundary = ordered[0], ordered[1:]
    modes = np.concatenate([boundary.ravel(), centre[3:]])
    mean = np.sqrt(max(float(np.mean(modes * np.abs(modes))), _FLOOR**2))
    slow = np.maximum(np.abs(modes), _FLOOR)
    lowest = min(float(ordered.min()), 0.0)
    softest = lowest if lowest < -_NOISE else float(modes.min())
    return np.array(
        [
            np.log10(mean),
            np.log10(np.mean(slow**-2.0)),
            np.log10(np.mean(np.maximum(boundary[:, :3], _FLOOR))),
            softest / mean,
        ]
    )
