"""Descriptors of the baselines, and the error message without matminer."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.crystal import Crystal
from surrogate.contract.protocol import Output
from surrogate.contract.settings import RandomForestSettings
from surrogate.features import composition
from surrogate.features.composition import CompositionStore, described
from surrogate.features.feature_store import FeatureStore
from surrogate.models.forests import RandomForest

KAPPA = Output("kappa", 300.0)


def rocksalt(a: str, b: str, length: float) -> Crystal:
    sites = [[0.0] * 3, [0.5] * 3]
    return Crystal.from_structure(
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(length), [a, b], sites)
    )


@pytest.fixture(autouse=True)
def _fresh() -> None:
    composition._featurizer.cache_clear()
    composition._magpie.cache_clear()


def test_descriptors_tell_elements_structure_and_size() -> None:
    salt, larger = rocksalt("Na", "Cl", 5.6), rocksalt("Na", "Cl", 6.0)
    row, other = described(salt), described(larger)
    assert row.shape == (142,)
    assert np.isfinite(row).all()
    assert row[:3].tolist() == [11.0, 17.0, 6.0]  # least, largest and range of the atomic number
    assert row[132] == 225
    assert np.array_equal(row[:133], other[:133])
    assert other[133] > row[133]  # the volume


def test_inputs_are_one_block_for_any_crystals() -> None:
    crystals = [rocksalt("Na", "Cl", 5.6), rocksalt("K", "Br", 6.6)]
    inputs = CompositionStore().inputs(crystals)
    assert inputs.n == 2
    assert inputs.blocks[0].shape == (2, 142)
    assert inputs.blocks[0][0].tolist() == described(crystals[0]).tolist()


def test_forest_on_real_descriptors() -> None:
    """Heavier alkali halides conduct less; the forest learns it from the elements alone."""
    kappas = {("Li", "F"): 15.0, ("Na", "F"): 12.0, ("Na", "Cl"): 6.0, ("K", "Cl"): 5.0,
              ("K", "Br"): 3.0, ("Rb", "Br"): 2.0, ("Rb", "I"): 1.5, ("Cs", "I"): 1.0}  # fmt: skip
    labels = [
        Measured(
            material=rocksalt(*pair, 5.0 + 0.2 * k), fidelity="bte", method="m", cost_s=1.0,
            stage="bte", temperature=(300.0,),
            properties={"kappa": Quantity(value=v, unit="W/m/K")},
        )
        for k, (pair, v) in enumerate(kappas.items())
    ]  # fmt: skip
    settings = RandomForestSettings(trees=60)
    forest = RandomForest(
        [KAPPA], "bte", seed=0, store=FeatureStore("7net-0"), settings=settings
    )  # the potential is never used
    forest.fit(labels)
    queried = [rocksalt("Li", "Cl", 5.1), rocksalt("Rb", "Cl", 6.6), rocksalt("K", "I", 7.0)]
    mean = forest.posterior(queried, outputs=[KAPPA], fidelity="bte").mean[:, 0]
    assert mean[0] > mean[1]
    assert mean[0] > mean[2]


def test_without_matminer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matminer.featurizers.composition", None)
    with pytest.raises(ValueError, match=r"need matminer; pip install 'phonoscout\[baselines\]'"):
        described(rocksalt("Na", "Cl", 5.6))
