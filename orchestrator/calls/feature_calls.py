"""Features of crystals, computed and stored by workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from oracle.materials.crystal import Crystal
from orchestrator.executors.protocol import CallContext, Executor
from surrogate.contract.settings import SurrogateSettings
from surrogate.features.crystal_features import CrystalFeatures, features_of, is_cached
from surrogate.features.feature_store import FeatureStore, Mapper

_SHARD = 8
"""Crystals per call: a second or two of work, so that all workers finish at about the same time."""


@dataclass(frozen=True)
class FeatureRequest:
    """Crystals whose features are to be computed.

    Args:
        potential: the potential from which the features are computed.
        crystals: a few crystals.
        cache: folder where features are stored.
        phonons: whether the features include phonon frequencies of a doubled cell.
    """

    potential: str
    crystals: tuple[Crystal, ...]
    cache: Path
    phonons: bool

    @property
    def work_items(self) -> int:
        """Number of crystals."""
        return len(self.crystals)


def features(request: FeatureRequest, context: CallContext) -> int:
    """Compute and store the surrogate's features of some crystals; returns their number."""
    for crystal in request.crystals:
        features_of(request.potential, crystal, request.cache, phonons=request.phonons)
    return len(request.crystals)


def build_features(settings: SurrogateSettings, cache: Path, executor: Executor) -> FeatureStore:
    """A store of the crystal features that a surrogate's settings ask for; all workers compute."""
    potential, phonons = settings.features, settings.phonons
    mapper = _parallel(executor, potential, cache, phonons=phonons)
    return FeatureStore(potential, cache, mapper, phonons=phonons)


def _parallel(executor: Executor, potential: str, cache: Path, *, phonons: bool) -> Mapper:
    """A mapper that computes missing features on all workers, then reads them from the cache."""

    def mapped(
        function: Callable[[Crystal], CrystalFeatures], crystals: list[Crystal]
    ) -> Iterable[CrystalFeatures]:
        missing = [c for c in crystals if not is_cached(potential, c, cache, phonons=phonons)]
        requests = [
            FeatureRequest(potential, tuple(missing[i : i + _SHARD]), cache, phonons)
            for i in range(0, len(missing), _SHARD)
        ]
        for _ in executor.map(features, requests):
            pass
        return map(function, crystals)

    return mapped
