"""Descriptors from the frequencies of a doubled cell: whether a crystal is soft, and how stiff."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oracle.materials.crystal import Crystal
from oracle.phonons.commensurate import commensurate_frequencies
from oracle.potentials.table import weights_digest
from oracle.runtime.errors import raise_if_of_the_machine, recurring
from surrogate.features.kept import read_tensors, write_tensors

Array = NDArray[np.float64]

SMALL_PHONONS = {
    "log_mean_frequency": 0.2,
    "log_mean_inverse_square": 0.3,
    "log_boundary_frequency": 0.2,
    "softness": 0.3,
}
"""Names of the descriptors, with the rough standard deviation of each among simple compounds.

Frequencies in THz, logarithms to base 10. The mean inverse square is what mean square
displacements follow at high temperature; boundary frequencies are those of the three lowest
branches where the zone ends; softness is the lowest mode over the mean one, negative where the
crystal gives way."""
VERSION = 1
"""Raised whenever the numbers change, so that files of older versions are not read."""
_FLOOR = 0.3  # THz; slower modes count as that slow where a logarithm or an inverse is taken
_NOISE = 0.05  # THz; acoustic modes at the zone's centre below it are its three zeros
UNKNOWN: Array = np.full(len(SMALL_PHONONS), np.nan)


def small_phonons(
    potential: str, crystal: Crystal, volume_per_atom: float, cache_dir: Path | None
) -> Array:
    """The numbers named in `SMALL_PHONONS` (4,); NaN where the look is dear or fails.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        crystal: any crystal.
        volume_per_atom: at the potential's minimum, Å³; NaN where there is none.
        cache_dir: folder of the cache, or None to compute only.
    """
    path = None if cache_dir is None else path_of(potential, crystal, cache_dir)
    known = None if path is None else read_tensors(path)
    if known is not None and "phonons" in known[0]:
        return np.asarray(known[0]["phonons"])
    found = _computed(potential, crystal, volume_per_atom)
    if path is not None:
        write_tensors(path, {"phonons": found}, {})
    return found


def path_of(potential: str, crystal: Crystal, cache_dir: Path) -> Path:
    """Where the cache keeps the descriptors of a crystal."""
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
        # Potentials refuse elements they do not know, each in its own way.
        return UNKNOWN.copy()
    return UNKNOWN.copy() if frequencies is None else summary(frequencies)


def summary(frequencies: Array) -> Array:
    """The descriptors (4,) of frequencies (n_q, n_bands), THz, whose first point is the centre."""
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
