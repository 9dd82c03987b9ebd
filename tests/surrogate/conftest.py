from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from oracle.materials.crystal import Crystal
from surrogate.features.crystal_features import CrystalFeatures
from surrogate.features.descriptors import GLOBALS
from surrogate.features.feature_store import FeatureStore


class SyntheticStore(FeatureStore):
    """Synthetic features computed from a material's digest, with a smooth target function."""

    def __init__(self) -> None:
        super().__init__("none")

    def get(self, crystals: Sequence[Crystal]) -> list[CrystalFeatures]:
        return [self.features(crystal) for crystal in crystals]

    @staticmethod
    def hidden(crystal: Crystal) -> NDArray[np.float64]:
        """Three numbers between 0 and 1 on which the truth depends."""
        digest = crystal.digest
        return np.array([int(digest[8 * k : 8 * k + 8], 16) / 16**8 for k in range(3)])

    @classmethod
    def features(cls, crystal: Crystal) -> CrystalFeatures:
        u = cls.hidden(crystal)
        a = len(crystal.species)
        mix = np.random.default_rng(0).standard_normal((3, 16))
        nodes = np.tile((u - 0.5) @ mix, (a, 1)) + 0.01 * np.arange(a)[:, None]
        values = np.full(len(GLOBALS), 1.0)
        values[GLOBALS.index("log_slack")] = 1.0 + u[0]
        values[GLOBALS.index("log_volume")] = 1.2 + 0.3 * u[1]
        edges = np.ones((a, a, 8)) * u[2]
        return CrystalFeatures(nodes[:, None].astype(np.float32), edges.astype(np.float32), values)

    @classmethod
    def truth(cls, crystal: Crystal) -> float:
        """log10 of kappa."""
        u = cls.hidden(crystal)
        return float(1.0 + u[0] + 0.5 * np.sin(3.0 * u[1]) + 0.3 * u[2])


@pytest.fixture
def synthetic() -> SyntheticStore:
    return SyntheticStore()
