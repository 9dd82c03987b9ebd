"""Quick features of a large space, shard by shard: one file each, one shard in memory at a time."""

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
from surrogate.features.kept import read_tensors, write_tensors
from surrogate.features.quick_features import VERSION, quick_features


class ShardStore(FeatureStore):
    """Exact features of any crystal, but quick ones of the shard that was loaded last.

    So the same surrogate is fitted on exact features and then asked about one shard after
    another; memory does not grow with their number.

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
        """Whether surrogates learn from a potential's features at all."""
        return self._potential != "none"

    def load(self, crystals: Sequence[Crystal]) -> None:
        """Read or compute the features of a shard, and forget those of the one before."""
        found = shard_features(self._potential, crystals, self._cache_dir)
        self._shard = {c.digest: f for c, f in zip(crystals, found, strict=True)}

    def get(self, crystals: Sequence[Crystal]) -> list[CrystalFeatures]:
        """Features in the order of the crystals, quick ones when the shard holds all of them."""
        if all(crystal.digest in self._shard for crystal in crystals):
            return [self._shard[crystal.digest] for crystal in crystals]
        return super().get(crystals)


def shard_features(
    potential: str, crystals: Sequence[Crystal], cache_dir: Path
) -> list[CrystalFeatures]:
    """`quick_features` of a list of crystals, kept on disk as a whole.

    A shard is kept under the digests of all its crystals in their order, because its numbers
    depend, in their last digits, on what was computed together.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        crystals: of the shard.
        cache_dir: folder of the cache.

    Raises:
        OracleError: stage ``read``; the potential is unknown or not installed.
    """
    path = _path(potential, crystals, cache_dir)
    known = _read(path, len(crystals))
    if known is not None:
        return known
    found = quick_features(potential, crystals)
    _write(path, found)
    return found


def _path(potential: str, crystals: Sequence[Crystal], cache_dir: Path) -> Path:
    digest = hashlib.sha256("\n".join(c.digest for c in crystals).encode()).hexdigest()
    name = f"{digest}-{weights_digest(potential)[:16]}-q{VERSION}.safetensors"
    return cache_dir / "shards" / digest[:2] / name


def _read(path: Path, count: int) -> list[CrystalFeatures] | None:
    """Kept features of a shard; None where there are none, or they are damaged."""
    found = read_tensors(path)
    if found is None:
        return None
    arrays, notes = found
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
    for k, found in enumerate(features):
        tensors |= {
            f"{k}/nodes": found.nodes,
            f"{k}/edges": found.edges,
            f"{k}/globals": found.globals,
        }
    notes = {f"{k}/note": found.note for k, found in enumerate(features) if found.note}
    write_tensors(path, tensors, notes)
