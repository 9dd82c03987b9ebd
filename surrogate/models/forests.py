"""Baselines: tree ensembles on descriptors of composition and structure, without a potential.

They show whether a network on a potential's features is worth its cost.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from surrogate.contract.protocol import Output
from surrogate.contract.settings import GradientBoostingSettings, RandomForestSettings
from surrogate.features.composition import CompositionStore
from surrogate.features.feature_store import FeatureStore
from surrogate.features.inputs import Inputs
from surrogate.models.base import BaseSurrogate
from surrogate.models.stability import PRIOR_STABLE
from surrogate.training_data.problem import (
    Model,
    Prediction,
    Problem,
    StabilityPredictor,
    StabilityProblem,
)
from surrogate.training_data.scaling import InputScale, joined

Array = NDArray[np.float64]
_FOREST = RandomForestSettings()
_BOOSTING = GradientBoostingSettings()
_FEW = 4  # with fewer labels, the prior predicts better than trees
_LEAST = 0.05  # smallest aleatoric standard deviation, standardised scale
_PSEUDO = 2.0  # number of outcomes that the prior probability of stability counts as


@dataclass(frozen=True)
class TreesModel:
    """Several regressors whose disagreement is the epistemic uncertainty.

    Args:
        scale: standardises descriptors.
        members: each predicts (n,) from columns (n, g).
        aleatoric: standard deviation that more labels would not reduce, standardised scale.
        labels: number of labels they were trained on.
    """

    scale: InputScale
    members: tuple[Any, ...]
    aleatoric: float
    labels: int = 0

    def predict(self, inputs: Inputs, extras: Array) -> Prediction:
        """See `surrogate.training_data.problem.Model`; without members, the prior."""
        if not self.members:
            return Prediction(np.zeros(inputs.n), np.ones((inputs.n, 1)), np.full(inputs.n, 0.1))
        columns = _columns(self.scale, inputs, extras)
        each = np.stack([member.predict(columns) for member in self.members], axis=1)
        mean = each.mean(axis=1)
        # Trees cannot disagree about the mean of their labels, so its uncertainty is added here.
        level = np.full((inputs.n, 1), 1.0 / np.sqrt(self.labels))
        root = np.hstack([level, (each - mean[:, None]) / np.sqrt(len(self.members))])
        return Prediction(mean, root, np.full(inputs.n, self.aleatoric))


@dataclass(frozen=True)
class TreesStability:
    """A classifier's probability, shrunk towards the prior while there are few outcomes.

    Args:
        scale: standardises descriptors.
        classifier: None where all outcomes were the same.
        outcomes: number of outcomes, weighted by their confidence.
        share: fraction of stable outcomes.
    """

    scale: InputScale
    classifier: Any
    outcomes: float
    share: float

    def probability(self, inputs: Inputs, extras: Array) -> Array:
        """See `surrogate.training_data.problem.StabilityPredictor`."""
        share = np.full(inputs.n, self.share)
        if self.classifier is not None:
            share = self.classifier.predict_proba(_columns(self.scale, inputs, extras))[:, 1]
        prior = _PSEUDO * PRIOR_STABLE
        return np.asarray((self.outcomes * share + prior) / (self.outcomes + _PSEUDO))


class _Trees(BaseSurrogate):
    """Common base of both baselines; the store of a potential's features is not used."""

    def __init__(
        self, outputs: Sequence[Output], fidelity: str, *, seed: int, store: FeatureStore
    ) -> None:
        super().__init__(outputs, fidelity, seed=seed, store=self._descriptors(store))

    def _descriptors(self, store: FeatureStore) -> FeatureStore:
        """Where the descriptors come from, given the store of the campaign."""
        return CompositionStore()

    @abstractmethod
    def _members(
        self, columns: Array, targets: Array, weights: Array, seed: int
    ) -> tuple[tuple[Any, ...], float]:
        """Fitted regressors, and the standard deviation of residuals on labels not trained on."""

    @abstractmethod
    def _classifier(self, seed: int) -> Any:
        """A new classifier, not yet fitted."""

    def _learn(self, problem: Problem, scale: InputScale, seed: int) -> Model:
        if len(problem.rows) < _FEW:
            return TreesModel(scale, (), 0.0)
        columns = _columns(scale, problem.inputs.take(problem.rows), problem.extras)
        weights = 1.0 / (1.0 + np.square(problem.noise))
        members, residual_spread = self._members(columns, problem.targets, weights, seed)
        return TreesModel(scale, members, max(residual_spread, _LEAST), len(problem.rows))

    def _learn_stability(
        self, problem: StabilityProblem, scale: InputScale, model: Model, seed: int
    ) -> StabilityPredictor:
        outcomes = float(problem.confidence.sum())
        if not len(problem.rows):
            return TreesStability(scale, None, 0.0, PRIOR_STABLE)
        share = float(np.average(problem.stable, weights=problem.confidence))
        if len(set(problem.stable.tolist())) < 2:
            return TreesStability(scale, None, outcomes, share)
        columns = _columns(scale, problem.inputs.take(problem.rows), problem.extras)
        classifier = self._classifier(seed)
        classifier.fit(columns, problem.stable, sample_weight=problem.confidence)
        return TreesStability(scale, classifier, outcomes, share)


class RandomForest(_Trees):
    """Breiman's random forest; trees disagree far from labels, and out-of-bag errors give noise.

    Args:
        outputs: properties that can be predicted.
        fidelity: the fidelity that is predicted.
        seed: of the bootstraps.
        store: not used.
        settings: of the forest.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        fidelity: str,
        *,
        seed: int,
        store: FeatureStore,
        settings: RandomForestSettings = _FOREST,
    ) -> None:
        super().__init__(outputs, fidelity, seed=seed, store=store)
        self._settings = settings

    def _members(
        self, columns: Array, targets: Array, weights: Array, seed: int
    ) -> tuple[tuple[Any, ...], float]:
        forest = RandomForestRegressor(
            self._settings.trees, max_features=1 / 3, random_state=seed, n_jobs=1
        )
        forest.fit(columns, targets, sample_weight=weights)
        trees = np.stack([tree.predict(columns) for tree in forest.estimators_])
        residuals = targets - _out_of_bag(trees, forest.estimators_samples_)
        disagreement = float(trees.var(axis=0).mean())
        # Out-of-bag errors include the disagreement of the trees, which is counted separately.
        spread = float(
            np.sqrt(
                max(np.square(residuals).mean() - disagreement, 0.25 * np.square(residuals).mean())
            )
        )
        return tuple(forest.estimators_), spread

    def _classifier(self, seed: int) -> Any:
        return RandomForestClassifier(self._settings.trees, random_state=seed, n_jobs=1)


def _out_of_bag(trees: Array, samples: Sequence[NDArray[np.intp]]) -> Array:
    """Mean prediction (n,) of each label by the trees that were not trained on it.

    Of few labels, one may be in the samples of all trees. It then counts as predicted by the mean
    of labels, which is zero. Scikit-learn's own `oob_score` warns of it, which cannot be silenced
    in one thread alone.

    Args:
        trees: (t, n), predictions of the labels by each tree.
        samples: for each tree, the labels that it was trained on.
    """
    unseen = np.ones(trees.shape, dtype=bool)
    for row, sample in zip(unseen, samples, strict=True):
        row[sample] = False
    return np.asarray((trees * unseen).sum(axis=0) / np.maximum(unseen.sum(axis=0), 1))


class PlainForest(RandomForest):
    """The random forest on descriptors that need no potential, for choosing from a large space.

    Args:
        outputs: properties that can be predicted.
        fidelity: the fidelity that is predicted.
        seed: of the bootstraps.
        store: of the descriptors.
    """

    def _descriptors(self, store: FeatureStore) -> FeatureStore:
        return store


class GradientBoosting(_Trees):
    """Several gradient-boosted tree models, each trained on a bootstrap sample of the labels.

    Args:
        outputs: properties that can be predicted.
        fidelity: the fidelity that is predicted.
        seed: of the bootstraps.
        store: not used.
        settings: of the boosting.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        fidelity: str,
        *,
        seed: int,
        store: FeatureStore,
        settings: GradientBoostingSettings = _BOOSTING,
    ) -> None:
        super().__init__(outputs, fidelity, seed=seed, store=store)
        self._settings = settings

    def _members(
        self, columns: Array, targets: Array, weights: Array, seed: int
    ) -> tuple[tuple[Any, ...], float]:
        rng = np.random.default_rng(seed)
        n, members, residuals = len(targets), [], []
        for k in range(self._settings.members):
            drawn = rng.integers(n, size=n)
            member = self._booster(GradientBoostingRegressor, seed + k)
            member.fit(columns[drawn], targets[drawn], sample_weight=weights[drawn])
            members.append(member)
            out_of_bag = np.setdiff1d(np.arange(n), drawn)
            if len(out_of_bag):
                residuals.append(targets[out_of_bag] - member.predict(columns[out_of_bag]))
        errors = np.concatenate(residuals) if residuals else targets
        # Half of the variance: a single member's error includes its own scatter, which is counted
        # separately.
        return tuple(members), float(np.sqrt(np.square(errors).mean() / 2))

    def _classifier(self, seed: int) -> Any:
        return self._booster(GradientBoostingClassifier, seed)

    def _booster(self, kind: Any, seed: int) -> Any:
        settings = self._settings
        return kind(
            n_estimators=settings.trees,
            learning_rate=settings.learning_rate,
            max_depth=settings.depth,
            subsample=0.8,
            max_features=1 / 3,
            random_state=seed,
        )


def _columns(scale: InputScale, inputs: Inputs, extras: Array) -> Array:
    """Input columns of the trees: (n, g + c)."""
    return joined([*scale.globals(inputs), extras])
