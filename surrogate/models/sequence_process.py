"""A Gaussian process over layer sequences, averaged over the posterior of its hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from oracle.materials.orders import Order
from surrogate.contract.protocol import Output
from surrogate.contract.settings import SequenceProcessSettings
from surrogate.features.feature_store import FeatureStore
from surrogate.features.inputs import Inputs
from surrogate.features.layer_features import LayerFeatures
from surrogate.features.likely_orders import likely_orders
from surrogate.kernels.label_warping import LabelWarping
from surrogate.kernels.layer_kernel import LayerKernel, products_of, squares_of
from surrogate.kernels.scale_samples import ScaleSamples, scale_samples
from surrogate.models.base import BaseSurrogate
from surrogate.models.gaussian_process import ProcessStability, cholesky
from surrogate.training_data.problem import Model, Prediction, Problem, StabilityProblem
from surrogate.training_data.scaling import InputScale

Array = NDArray[np.float64]
Orders = tuple[Order, ...]
_JITTER = 1e-6  # of variances, in units of the target's
_SCALED = 160  # most labels that scales are sampled for; the posterior uses all labels
_CHUNK = 2048  # sequences at a time
_COMPARED = 64  # most labels by which undeclared symmetries are judged
_FEWEST = 10  # labels from which on they are looked for
_MARGIN = 3.0  # in the logarithm of the evidence
_AGAIN = 3  # times that it is estimated again before symmetries are believed
_MOST_LETTERS, _LONGEST = 4, 40  # of stacks whose symmetries are looked for
_DEFAULTS = SequenceProcessSettings()


@dataclass(frozen=True)
class _Known:
    """Sequences as blocks of descriptors; `squares` holds the squared lengths of their rows."""

    blocks: list[Array]
    extras: Array
    squares: Array

    @classmethod
    def of(cls, features: LayerFeatures, inputs: Inputs, extras: Array) -> _Known:
        blocks = features(inputs)
        return cls(blocks, extras, squares_of(blocks))

    def products(self, other: _Known) -> Array:
        return products_of([*self.blocks, self.extras], [*other.blocks, other.extras])

    def part(self, rows: slice | NDArray[np.int64]) -> _Known:
        return _Known([b[rows] for b in self.blocks], self.extras[rows], self.squares[:, rows])


@dataclass(frozen=True)
class MixedProcess:
    """A mixture of equally probable processes, one per row of scales; a `Model` of `problem`.

    The prediction is the mean and covariance of the mixture. Up to `exact_limit` sequences the root
    is exact. Above, it is that of a Nyström approximation with `rank` evenly spaced sequences as
    landmarks, with each row rescaled to the exact variance.
    """

    features: LayerFeatures
    kernel: LayerKernel
    scales: Array
    known: _Known
    lower: Array
    weights: Array
    settings: SequenceProcessSettings

    def predict(self, inputs: Inputs, extras: Array) -> Prediction:
        """See `surrogate.training_data.problem.Model`."""
        queried = _Known.of(self.features, inputs, extras)
        n = inputs.n
        rows = np.arange(n)
        if n > self.settings.exact_limit:
            rows = np.unique(np.linspace(0, n - 1, self.settings.rank).astype(np.int64))
        chosen = queried.part(rows)
        means_at, explained = self._explained(chosen)
        middle = means_at.mean(axis=0)
        inner = self._covariance(
            chosen, chosen, explained, explained, means_at - middle, means_at - middle
        )
        factor = cholesky(torch.from_numpy(inner))
        noise = np.full(n, float(np.sqrt(self.kernel.noise(self.scales).mean())))
        if n <= self.settings.exact_limit:
            return Prediction(middle, factor.numpy(), noise)
        means, roots = [], []
        for start in range(0, n, _CHUNK):
            part = queried.part(slice(start, start + _CHUNK))
            each, part_explained = self._explained(part)
            mean = each.mean(axis=0)
            cross = self._covariance(
                chosen, part, explained, part_explained, means_at - middle, each - mean
            )
            root = torch.linalg.solve_triangular(factor, torch.from_numpy(cross), upper=False)
            part_root = root.numpy().T
            extra_squares = np.square(part.extras).sum(axis=1)
            variance = self.kernel.diagonal(self.scales, part.squares, extra_squares)
            variance = variance - np.square(part_explained).sum(axis=1)
            spread = np.maximum(variance, _JITTER).mean(axis=0) + each.var(axis=0)
            squared_lengths = np.maximum(np.square(part_root).sum(axis=1), 1e-30)
            roots.append(part_root * np.sqrt(spread / squared_lengths)[:, None])
            means.append(mean)
        return Prediction(np.concatenate(means), np.concatenate(roots), noise)

    def _explained(self, queried: _Known) -> tuple[Array, Array]:
        """Means (m, n) of each process, and V (m, labels, n) as in `ProcessModel`."""
        products = self.known.products(queried)
        cross = self.kernel(self.scales, products, self.known.squares, queried.squares)
        lower = torch.from_numpy(self.lower)
        solved = torch.linalg.solve_triangular(lower, torch.from_numpy(cross), upper=False)
        return np.einsum("mln,ml->mn", cross, self.weights), solved.numpy()

    def _covariance(
        self, a: _Known, b: _Known, va: Array, vb: Array, da: Array, db: Array
    ) -> Array:
        """Covariance (n1, n2) of the mixture: mean covariance plus covariance of the means."""
        prior = self.kernel(self.scales, a.products(b), a.squares, b.squares)
        posterior = prior - va.transpose(0, 2, 1) @ vb
        return np.asarray(posterior.mean(axis=0) + da.T @ db / len(da))


@dataclass(frozen=True)
class WarpedProcess:
    """Processes trained on warped labels, whose predictions are on the scale of the labels."""

    process: MixedProcess
    warping: LabelWarping

    def predict(self, inputs: Inputs, extras: Array) -> Prediction:
        """See `surrogate.training_data.problem.Model`."""
        warped = self.process.predict(inputs, extras)
        mean = self.warping.back(warped.mean)
        stretch = self.warping.stretch(mean)
        return Prediction(mean, warped.root * stretch[:, None], warped.aleatoric * stretch)


class SequenceProcess(BaseSurrogate):
    """A Gaussian process for layer sequences.

    It compares sequences by `LayerFeatures`, so that designs that are equivalent by symmetries,
    declared or shown by the labels, get equal predictions, and averages over samples of its scales
    instead of using only the most probable ones. A long tail of the labels is warped first, see
    `LabelWarping`.

    Args:
        outputs: properties that can be predicted.
        fidelity: the fidelity that is predicted.
        seed: of the samples.
        store: gives the features of crystals; not used.
        settings: number of samples, and up to where the covariance is exact.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        fidelity: str,
        *,
        seed: int,
        store: FeatureStore,
        settings: SequenceProcessSettings = _DEFAULTS,
    ) -> None:
        super().__init__(outputs, fidelity, seed=seed, store=store)
        self._settings = settings

    def _learn(self, problem: Problem, scale: InputScale, seed: int) -> Model:
        if not problem.inputs.words:
            raise ValueError(
                "surrogate.kind: sequence-process learns from layer sequences only, but the "
                "materials are crystals; choose graph-ensemble or gaussian-process"
            )
        own = problem.inputs.take(problem.rows)
        warping = LabelWarping.of(problem.targets, self._settings.sought)
        warped = warping(problem.targets)
        stated = np.square(problem.noise / warping.stretch(problem.targets)) + _JITTER
        labels = _Labels(own if own.n else problem.inputs, problem.extras, warped, stated)
        orders = self._orders(labels, seed)
        features, kernel, known = labels.described(orders)
        rng = np.random.default_rng([seed, own.n])
        samples = labels.scales(orders, _SCALED, self._settings.particles, rng)
        scales = samples.rows[:: max(1, len(samples.rows) // self._settings.draws)]
        lower, _ = _factors(kernel, scales, known, stated)
        targets = torch.from_numpy(warped)[:, None].expand(len(scales), -1, 1)
        weights = torch.cholesky_solve(targets, lower)[..., 0]
        mixed = MixedProcess(
            features, kernel, scales, known, lower.numpy(), weights.numpy(), self._settings
        )
        return WarpedProcess(mixed, warping)

    def _orders(self, labels: _Labels, seed: int) -> Orders:
        """The declared symmetries, with those that the labels show if they are looked for.

        Each set of symmetries is a model of its own. The one with the largest evidence is taken if
        it exceeds that of the declared ones by a factor of 20 in all of several estimates, by more
        labels than the first: of many labels, the estimates scatter.
        """
        declared, n = labels.inputs.orders, len(labels.warped)
        words = labels.inputs.words
        if n < _FEWEST or not self._settings.undeclared_symmetries:
            return declared
        if len(set("".join(words))) > _MOST_LETTERS or len(words[0]) > _LONGEST:
            return declared  # it would take minutes

        def evidence(orders: Orders, most: int, turn: int) -> float:
            rng = np.random.default_rng([seed, n, turn])
            return labels.scales(orders, most, self._settings.particles, rng).evidence

        sets = (declared, *likely_orders(len(words[0]), declared))
        found = [evidence(orders, _COMPARED, turn) for turn, orders in enumerate(sets)]
        best = int(np.argmax(found))
        if found[best] < found[0] + _MARGIN:
            return declared
        turns = [len(sets) + turn for turn in range(_AGAIN)]
        lowest = min(evidence(sets[best], _SCALED, turn) for turn in turns)
        highest = max(evidence(declared, _SCALED, turn) for turn in turns)
        return sets[best] if lowest > highest + _MARGIN else declared

    def _learn_stability(
        self, problem: StabilityProblem, scale: InputScale, model: Model, seed: int
    ) -> ProcessStability:
        return ProcessStability.fit(problem, scale, seed)


@dataclass(frozen=True)
class _Labels:
    """Labelled sequences, their warped labels (n,), and the variances (n,) of these."""

    inputs: Inputs
    extras: Array
    warped: Array
    stated: Array

    def described(self, orders: Orders) -> tuple[LayerFeatures, LayerKernel, _Known]:
        """The sequences as they are compared if these permutations leave a design unchanged."""
        features = LayerFeatures.of(replace(self.inputs, orders=orders))
        return (
            features,
            LayerKernel(features.names),
            _Known.of(features, self.inputs, self.extras).part(slice(len(self.warped))),
        )

    def scales(
        self, orders: Orders, most: int, particles: int, rng: np.random.Generator
    ) -> ScaleSamples:
        """Samples of the kernel's scales by evenly spaced labels, at most so many."""
        n = len(self.warped)
        rows = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))
        _, kernel, known = self.described(orders)
        return scale_samples(
            _likelihood(kernel, known.part(rows), self.warped[rows], self.stated[rows]),
            kernel.prior,
            labels=n,
            particles=particles,
            rng=rng,
        )


def _likelihood(
    kernel: LayerKernel, known: _Known, targets: Array, stated: Array
) -> Callable[[Array], Array]:
    """A function that gives the log evidence (m,) of m rows of scales, up to a constant."""
    y = torch.from_numpy(targets)[:, None]

    def value(scales: Array) -> Array:
        lower, bad = _factors(kernel, scales, known, stated)
        white = torch.linalg.solve_triangular(lower, y.expand(len(scales), -1, 1), upper=False)
        logs = torch.diagonal(lower, dim1=1, dim2=2).log().sum(dim=1)
        values = -0.5 * white.square().sum(dim=(1, 2)) - logs
        return np.where(bad.numpy(), -np.inf, values.numpy())

    return value


def _factors(
    kernel: LayerKernel, scales: Array, known: _Known, stated: Array
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cholesky factors (m, n, n) of the labels' covariances, and a mask (m,) of failures."""
    covariance = kernel(scales, known.products(known), known.squares, known.squares)
    diagonal = np.arange(len(stated))
    covariance[:, diagonal, diagonal] += kernel.noise(scales)[:, None] + stated
    factor = torch.linalg.cholesky_ex(torch.from_numpy(covariance))
    bad = factor.info > 0
    identity = torch.eye(len(stated), dtype=torch.float64)
    return torch.where(bad[:, None, None], identity, factor.L), bad
