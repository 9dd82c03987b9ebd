"""Features of a crystal from a frozen universal potential, computed once and cached on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.energetics.eos import EquationOfState, equation_of_state
from oracle.materials.crystal import Crystal
from oracle.potentials.table import calculator, weights_digest
from oracle.runtime.errors import OracleError, raise_if_of_the_machine, recurring
from oracle.runtime.files import report_damage
from oracle.runtime.threads import pinned_threads
from surrogate.features.descriptors import GLOBALS, edge_descriptors, global_descriptors
from surrogate.features.node_features import node_features
from surrogate.features.small_phonons import path_of as phonons_path
from surrogate.features.small_phonons import small_phonons
from surrogate.features.tensor_files import read_tensors, write_tensors

VERSION = 2
"""Increased whenever the numbers change, so that files of older versions are not read."""


@dataclass(frozen=True)
class CrystalFeatures:
    """Inputs of the surrogates for one crystal at its equilibrium volume.

    Args:
        nodes: (a, l, d), invariant features of each atom after each of the potential's last l
            interactions; properties of its element where the potential offers no features.
        edges: (a, a, b), radial basis of the distances, summed over periodic images.
        globals: (g,), named by `surrogate.features.descriptors.GLOBALS`; NaN where unknown.
        note: why something is missing, or empty.
        phonons: (4,), named by `surrogate.features.small_phonons.SMALL_PHONONS`; None unless
            requested.
    """

    nodes: NDArray[np.float32]
    edges: NDArray[np.float32]
    globals: NDArray[np.float64]
    note: str = ""
    phonons: NDArray[np.float64] | None = None


def features_of(
    potential: str, crystal: Crystal, cache_dir: Path | None, *, phonons: bool = False
) -> CrystalFeatures:
    """The features of one crystal, read from the cache or computed and written there.

    The result does not depend on which other crystals are computed. A crystal without an
    energy-volume minimum keeps the features of its given cell, with NaN for the descriptors that
    need the equation of state; one that the potential cannot compute at all has NaN in all nodes.
    Surrogates replace NaN by the mean of their training set, so such a crystal still contributes
    what is known of it.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        crystal: any crystal.
        cache_dir: folder of the cache, or None to compute without a cache.
        phonons: whether phonon frequencies of a doubled cell are included, which takes a few force
            calculations.

    Raises:
        OracleError: stage ``read``; the potential is unknown or not installed.
    """
    features = _static(potential, crystal, cache_dir)
    if not phonons:
        return features
    volume = 10.0 ** float(features.globals[GLOBALS.index("log_volume")])
    has_curve = np.isfinite(features.globals[GLOBALS.index("log_bulk_modulus")])
    with pinned_threads():
        frequencies = small_phonons(potential, crystal, volume if has_curve else np.nan, cache_dir)
    return replace(features, phonons=frequencies)


def _static(potential: str, crystal: Crystal, cache_dir: Path | None) -> CrystalFeatures:
    path = None if cache_dir is None else _path(potential, crystal, cache_dir)
    cached = None if path is None else _read(path)
    if cached is not None:
        return cached
    calculator(potential)  # a potential that is missing is the user's error, not the crystal's
    with pinned_threads():
        features = _computed(potential, crystal)
    if path is not None:
        _write(path, features)
    return features


def is_cached(potential: str, crystal: Crystal, cache_dir: Path, *, phonons: bool = False) -> bool:
    """Whether the cache holds the features of a crystal and, with `phonons`, its frequencies."""
    if phonons and not phonons_path(potential, crystal, cache_dir).is_file():
        return False
    return _path(potential, crystal, cache_dir).is_file()


def _computed(potential: str, crystal: Crystal) -> CrystalFeatures:
    eos: EquationOfState | None = None
    structure, note = crystal.structure(), ""
    try:
        eos = recurring(lambda: equation_of_state(crystal, potential))
        structure = eos.structure(crystal)
    except OracleError as error:
        raise_if_of_the_machine(error)
        note = str(error)
    except (ArithmeticError, ValueError, RuntimeError, KeyError) as error:
        raise_if_of_the_machine(error)
        # Each potential raises a different error for elements it does not support.
        note = f"eos: {potential} failed on {crystal.formula}: {error}"
    try:
        nodes = recurring(lambda: node_features(potential, structure))
    except (ArithmeticError, ValueError, RuntimeError, KeyError) as error:
        raise_if_of_the_machine(error)
        note = note or f"features: {potential} failed on {crystal.formula}: {error}"
        nodes = np.full((len(structure), 1, 1), np.nan, dtype=np.float32)
    return CrystalFeatures(
        nodes, edge_descriptors(structure), global_descriptors(structure, eos), note
    )


def _path(potential: str, crystal: Crystal, cache_dir: Path) -> Path:
    digest = crystal.digest
    name = f"{digest}-{weights_digest(potential)[:16]}-v{VERSION}.safetensors"
    return cache_dir / digest[:2] / name


def _read(path: Path) -> CrystalFeatures | None:
    """Cached features; None where there are none, or the file is damaged."""
    stored = read_tensors(path)
    if stored is None:
        return None
    arrays, notes = stored
    try:
        nodes, edges, values = (arrays[key] for key in ("nodes", "edges", "globals"))
    except KeyError as error:
        report_damage(path, f"it holds no {error}")
        return None
    return CrystalFeatures(nodes, edges, values, notes.get("note", ""))


def _write(path: Path, features: CrystalFeatures) -> None:
    tensors: dict[str, NDArray[Any]] = {
        "nodes": features.nodes,
        "edges": features.edges,
        "globals": features.globals,
    }
    write_tensors(path, tensors, {"note": features.note, "globals": ",".join(GLOBALS)})
