"""The random forest's errors on labels that trees were not trained on."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from surrogate.models.forests import _out_of_bag


@pytest.mark.parametrize(("labels", "trees"), [(4, 5), (6, 200), (60, 200)])
def test_out_of_bag_predictions_are_those_of_scikit_learn(labels: int, trees: int) -> None:
    random = np.random.default_rng(labels)
    columns, targets = random.normal(size=(labels, 7)), random.normal(size=labels)
    forest = RandomForestRegressor(trees, oob_score=True, random_state=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some labels are in the samples of all trees
        forest.fit(columns, targets, sample_weight=0.3 + random.random(labels))
    each = np.stack([tree.predict(columns) for tree in forest.estimators_])
    found = _out_of_bag(each, forest.estimators_samples_)
    assert found == pytest.approx(forest.oob_prediction_, abs=1e-12)
