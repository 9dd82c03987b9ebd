"""Baselines: trees on descriptors of composition and structure, without any potential.

A user will ask whether a network on a potential's features earns its keep; these answer.
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
_FEW = 4  # labels below which trees say less than the prior does
_LEAST = 0.05  # aleatoric spread, unit scale
_PSEUDO = 2.0  # outcomes that the prior share of stable ones counts as


@dataclass(frozen=True)
class TreesModel:
    """Several regressors whose spread is what is not known.

    Args:
        scale: standardises descriptors.
        members: each predicts (n,) from columns (n, g).
        aleatoric: spread that more labels would not remove, unit scale.
        labels: how many they learned from.
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
        # Trees cannot disagree about the level that their labels have in common.
        level = np.full((inputs.n, 1), 1.0 / np.sqrt(self.labels))
        root = np.hstack([level, (each - mean[:, None]) / np.sqrt(len(self.members))])
        return Prediction(mean, root, np.full(inputs.n, self.aleatoric))


@dataclass(frozen=True)
class TreesStability:
    """A classifier's share, drawn towards the prior while outcomes are few.

    Args:
        scale: standardises descriptors.
        classifier: None where all outcomes were the same.
        outcomes: how many there were.
        share: of stable ones among them.
    """

    scale: InputScale
    classifier: Any
    outcomes: float
    share: float

    def probability(self, inputs: Inputs, extras: Array) -> Array:
        """See `surrogate.training_data.problem.StabilityPredictor`."""
        found = np.full(inputs.n, self.share)
        if self.classifier is not None:
            found = self.classifier.predict_proba(_columns(self.scale, inputs, extras))[:, 1]
        prior = _PSEUDO * PRIOR_STABLE
        return np.asarray((self.outcomes * found + prior) / (self.outcomes + _PSEUDO))


class _Trees(BaseSurrogate):
    """What both baselines share; the store of a potential's features is not used."""

    def __init__(
        self, outputs: Sequence[Output], fidelity: str, *, seed: int, store: FeatureStore
    ) -> None:
        super().__init__(outputs, fidelity, seed=seed, store=CompositionStore())

    @abstractmethod
    def _members(
        self, columns: Array, targets: Array, weights: Array, seed: int
    ) -> tuple[tuple[Any, ...], float]:
        """Fitted regressors, and the spread of what they leave of labels they have not seen."""

    @abstractmethod
    def _classifier(self, seed: int) -> Any:
        """A classifier that is not fitted yet."""

    def _learn(self, problem: Problem, scale: InputScale, seed: int) -> Model:
        if len(problem.rows) < _FEW:
            return TreesModel(scale, (), 0.0)
        columns = _columns(scale, problem.inputs.take(problem.rows), problem.extras)
        weights = 1.0 / (1.0 + np.square(problem.noise))
        members, left = self._members(columns, problem.targets, weights, seed)
        return TreesModel(scale, members, max(left, _LEAST), len(problem.rows))

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
    """Breiman's random forest; trees disagree where labels are far (out-of-bag noise).

    Args:
        outputs: what can be predicted.
        fidelity: at which.
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
            self._settings.trees, max_features=1 / 3, oob_score=True, random_state=seed, n_jobs=1
        )
        forest.fit(columns, targets, sample_weight=weights)
        left = targets - forest.oob_prediction_
        trees = np.stack([tree.predict(columns) for tree in forest.estimators_])
        known = float(trees.var(axis=0).mean())
        # Out-of-bag errors hold what the trees disagree about as well, which is counted apart.
        spread = float(np.sqrt(max(np.square(left).mean() - known, 0.25 * np.square(left).mean())))
        return tuple(forest.estimators_), spread

    def _classifier(self, seed: int) -> Any:
        return RandomForestClassifier(self._settings.trees, random_state=seed, n_jobs=1)


class GradientBoosting(_Trees):
    """Boosted trees, several on bootstraps of the labels.

    Args:
        outputs: what can be predicted.
        fidelity: at which.
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
        n, members, left = len(targets), [], []
        for k in range(self._settings.members):
            drawn = rng.integers(n, size=n)
            member = self._booster(GradientBoostingRegressor, seed + k)
            member.fit(columns[drawn], targets[drawn], sample_weight=weights[drawn])
            members.append(member)
            unseen = np.setdiff1d(np.arange(n), drawn)
            if len(unseen):
                left.append(targets[unseen] - member.predict(columns[unseen]))
        errors = np.concatenate(left) if left else targets
        # Half of the variance: one member's error holds its own scatter, which is counted apart.
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
    """What the trees see: (n, g + c)."""
    return joined([*scale.globals(inputs), extras])
