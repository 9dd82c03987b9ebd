"""Quick features of a large space in shards: one file per shard, one shard in memory at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from oracle.materials.crystal import Crystal
from oracle.potentials.table import weights_digest
from oracle.runtime.files import report_damage
from surrogate.features.crystal_features import CrystalFeatures
from surrogate.features.feature_store import FeatureStore
from surrogate.features.quick_features import VERSION, quick_features
from surrogate.features.tensor_files import read_tensors, write_tensors


class ShardStore(FeatureStore):
    """Quick features of the crystals in the shard loaded last, and exact features of all others.

    A surrogate can thus be fitted on exact features and then predict one shard after another;
    memory does not grow with the number of shards.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        cache_dir: folder of the cache on disk.
    """

    def __init__(self, potential: str, cache_dir: Path) -> None:
        super().__init__(potential, cache_dir)
        self._cache_dir = cache_dir
        self._shard: dict[str, CrystalFeatures] = {}

    @property
    def is_needed(self) -> bool:
        """Whether the surrogate learns from a potential's features at all."""
        return self._potential != "none"

    def load(self, crystals: Sequence[Crystal]) -> None:
        """Read or compute the features of a shard, and discard those of the previous one."""
        features = shard_features(self._potential, crystals, self._cache_dir)
        self._shard = {c.digest: f for c, f in zip(crystals, features, strict=True)}

    def get(self, crystals: Sequence[Crystal]) -> list[CrystalFeatures]:
        """Features in the order of the crystals; quick ones if the shard holds all of them."""
        if all(crystal.digest in self._shard for crystal in crystals):
            return [self._shard[crystal.digest] for crystal in crystals]
        return super().get(crystals)


def shard_features(
    potential: str, crystals: Sequence[Crystal], cache_dir: Path
) -> list[CrystalFeatures]:
    """`quick_features` of a list of crystals, cached on disk as one file.

    The file is named by the digests of all crystals in order, because the last digits of the
    numbers depend on which crystals are computed together.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        crystals: the members of the shard.
        cache_dir: folder of the cache.

    Raises:
        OracleError: stage ``read``; the potential is unknown or not installed.
    """
    path = _path(potential, crystals, cache_dir)
    stored = _read(path, len(crystals))
    if stored is not None:
        return stored
    features = quick_features(potential, crystals)
    _write(path, features)
    return features


def _path(potential: str, crystals: Sequence[Crystal], cache_dir: Path) -> Path:
    digest = hashlib.sha256("\n".join(c.digest for c in crystals).encode()).hexdigest()
    name = f"{digest}-{weights_digest(potential)[:16]}-q{VERSION}.safetensors"
    return cache_dir / "shards" / digest[:2] / name


def _read(path: Path, count: int) -> list[CrystalFeatures] | None:
    """Cached features of a shard; None where there are none, or the file is damaged."""
    stored = read_tensors(path)
    if stored is None:
        return None
    arrays, notes = stored
    if len(arrays) != 3 * count:
        report_damage(path, f"it holds {len(arrays)} arrays, not {3 * count}")
        return None
    return [
        CrystalFeatures(
            arrays[f"{k}/nodes"],
            arrays[f"{k}/edges"],
            arrays[f"{k}/globals"],
            notes.get(f"{k}/note", ""),
        )
        for k in range(count)
    ]


def _write(path: Path, features: Sequence[CrystalFeatures]) -> None:
    tensors: dict[str, NDArray[Any]] = {}
    for k, crystal_features in enumerate(features):
        tensors |= {
            f"{k}/nodes": crystal_features.nodes,
            f"{k}/edges": crystal_features.edges,
            f"{k}/globals": crystal_features.globals,
        }
    notes = {
        f"{k}/note": crystal_features.note
        for k, crystal_features in enumerate(features)
        if crystal_features.note
    }
    write_tensors(path, tensors, notes)
