"""Features of crystals as arrays for the models; each crystal is computed only once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from oracle.materials.crystal import Crystal
from oracle.runtime.errors import SetupError
from surrogate.features.crystal_features import CrystalFeatures, features_of
from surrogate.features.descriptors import GLOBAL_SPREADS, columns
from surrogate.features.inputs import Group, Inputs
from surrogate.features.small_phonons import SMALL_PHONONS, UNKNOWN

Mapper = Callable[[Callable[[Crystal], CrystalFeatures], list[Crystal]], Iterable[CrystalFeatures]]
"""Applies a picklable function to every crystal and keeps their order; it may run in parallel."""


def serial_map(
    function: Callable[[Crystal], CrystalFeatures], crystals: list[Crystal]
) -> Iterable[CrystalFeatures]:
    """The `Mapper` that computes one crystal after another in this process."""
    return map(function, crystals)


class FeatureStore:
    """Features of crystals, computed on demand and cached in memory and on disk.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        cache_dir: folder of the cache on disk, or None for memory only.
        mapper: applies the computation to crystals that are not in the cache.
        phonons: whether phonon frequencies of a doubled cell are included, see `small_phonons`.
    """

    def __init__(
        self,
        potential: str,
        cache_dir: Path | None = None,
        mapper: Mapper = serial_map,
        *,
        phonons: bool = False,
    ) -> None:
        self._potential = potential
        self._phonons = phonons
        self._compute = partial(_compute, potential, cache_dir, phonons)
        self._mapper = mapper
        self._known: dict[str, CrystalFeatures] = {}

    def get(self, crystals: Sequence[Crystal]) -> list[CrystalFeatures]:
        """Features in the order of the crystals; equal crystals are computed once.

        Raises:
            OracleError: stage ``read``; the potential is not installed, or is ``none``.
        """
        if self._potential == "none":
            raise SetupError(
                "surrogate.features is none, but the surrogate asks for features of crystals; "
                "expected the name of a potential, for instance 7net-0"
            )
        missing = {c.digest: c for c in crystals if c.digest not in self._known}
        if missing:
            computed = self._mapper(self._compute, list(missing.values()))
            self._known.update(zip(missing, computed, strict=True))
        return [self._known[crystal.digest] for crystal in crystals]

    def inputs(self, crystals: Sequence[Crystal]) -> Inputs:
        """The features of n crystals, stacked."""
        features = self.get(crystals)
        table = np.stack([f.globals for f in features])
        blocks, spreads = [table], [GLOBAL_SPREADS]
        if self._phonons:
            blocks.append(np.stack([UNKNOWN if f.phonons is None else f.phonons for f in features]))
            spreads.append(np.array(list(SMALL_PHONONS.values())))
        return Inputs(
            n=len(features),
            groups=tuple(_grouped(features)),
            blocks=tuple(blocks),
            spreads=tuple(spreads),
            mirrors=tuple(np.arange(block.shape[1]) for block in blocks),
            descriptors=columns(table),
        )


def _compute(
    potential: str, cache_dir: Path | None, phonons: bool, crystal: Crystal
) -> CrystalFeatures:
    return features_of(potential, crystal, cache_dir, phonons=phonons)


def _grouped(features: list[CrystalFeatures]) -> Iterable[Group]:
    shapes: dict[tuple[int, ...], list[int]] = {}
    for row, feature in enumerate(features):
        shapes.setdefault(feature.nodes.shape, []).append(row)
    for shape in sorted(shapes):
        rows = shapes[shape]
        yield Group(
            np.array(rows, dtype=np.int64),
            np.stack([features[row].nodes for row in rows]),
            np.stack([features[row].edges for row in rows]),
        )
