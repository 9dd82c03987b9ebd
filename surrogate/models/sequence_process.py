"""A Gaussian process over layer sequences, averaged over the scales that labels leave possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from surrogate.contract.protocol import Output
from surrogate.contract.settings import SequenceProcessSettings
from surrogate.features.feature_store import FeatureStore
from surrogate.features.inputs import Inputs
from surrogate.features.layer_features import LayerFeatures
from surrogate.kernels.label_warping import Squeeze
from surrogate.kernels.layer_kernel import LayerKernel, products_of, squares_of
from surrogate.kernels.scale_samples import scale_samples
from surrogate.models.base import BaseSurrogate
from surrogate.models.gaussian_process import ProcessStability, cholesky
from surrogate.training_data.problem import Model, Prediction, Problem, StabilityProblem
from surrogate.training_data.scaling import InputScale

Array = NDArray[np.float64]
_JITTER = 1e-6  # of variances, in units of the target's
_SCALED = 160  # most labels that scales are drawn for; the posterior uses all
_CHUNK = 2048
_DEFAULTS = SequenceProcessSettings()


@dataclass(frozen=True)
class _Known:
    """Labelled sequences as blocks of descriptors; `squares` are their rows' squared lengths."""

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
    """Equally probable processes, one per row of scales; a `Model` of `training_data.problem`.

    The mixture is stated by its mean and covariance. Up to `exact_limit` sequences the root is
    exact. Beyond, it is that of a Nyström approximation on `rank` of them, evenly spaced, each
    row scaled to the exact variance.
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
        asked = _Known.of(self.features, inputs, extras)
        n = inputs.n
        at = np.arange(n)
        if n > self.settings.exact_limit:
            at = np.unique(np.linspace(0, n - 1, self.settings.rank).astype(np.int64))
        chosen = asked.part(at)
        near, explained = self._explained(chosen)
        middle = near.mean(axis=0)
        inner = self._covariance(chosen, chosen, explained, explained, near - middle, near - middle)
        factor = cholesky(torch.from_numpy(inner))
        noise = np.full(n, float(np.sqrt(self.kernel.noise(self.scales).mean())))
        if n <= self.settings.exact_limit:
            return Prediction(middle, factor.numpy(), noise)
        means, roots = [], []
        for start in range(0, n, _CHUNK):
            part = asked.part(slice(start, start + _CHUNK))
            each, taken = self._explained(part)
            mean = each.mean(axis=0)
            cross = self._covariance(chosen, part, explained, taken, near - middle, each - mean)
            root = torch.linalg.solve_triangular(factor, torch.from_numpy(cross), upper=False)
            short = root.numpy().T
            squares = np.square(part.extras).sum(axis=1)
            variance = self.kernel.diagonal(self.scales, part.squares, squares)
            variance = variance - np.square(taken).sum(axis=1)
            spread = np.maximum(variance, _JITTER).mean(axis=0) + each.var(axis=0)
            had = np.maximum(np.square(short).sum(axis=1), 1e-30)
            roots.append(short * np.sqrt(spread / had)[:, None])
            means.append(mean)
        return Prediction(np.concatenate(means), np.concatenate(roots), noise)

    def _explained(self, asked: _Known) -> tuple[Array, Array]:
        """Means (m, n) of each process, and V (m, labels, n) as in `ProcessModel`."""
        products = self.known.products(asked)
        cross = self.kernel(self.scales, products, self.known.squares, asked.squares)
        lower = torch.from_numpy(self.lower)
        solved = torch.linalg.solve_triangular(lower, torch.from_numpy(cross), upper=False)
        return np.einsum("mln,ml->mn", cross, self.weights), solved.numpy()

    def _covariance(
        self, a: _Known, b: _Known, va: Array, vb: Array, da: Array, db: Array
    ) -> Array:
        """Covariance (n1, n2) of the mixture: mean covariance plus covariance of the means."""
        prior = self.kernel(self.scales, a.products(b), a.squares, b.squares)
        left = prior - va.transpose(0, 2, 1) @ vb
        return np.asarray(left.mean(axis=0) + da.T @ db / len(da))


@dataclass(frozen=True)
class Squeezed:
    """Processes of squeezed labels, stated on the scale of the labels themselves."""

    process: MixedProcess
    squeeze: Squeeze

    def predict(self, inputs: Inputs, extras: Array) -> Prediction:
        """See `surrogate.training_data.problem.Model`."""
        seen = self.process.predict(inputs, extras)
        mean = self.squeeze.back(seen.mean)
        stretch = self.squeeze.stretch(mean)
        return Prediction(mean, seen.root * stretch[:, None], seen.aleatoric * stretch)


class SequenceProcess(BaseSurrogate):
    """A Gaussian process for layer sequences.

    It compares sequences by `LayerFeatures`, so that designs equal by declared symmetry are equal
    to it, and averages over draws of its scales instead of trusting the most probable ones. A long
    tail of the labels is squeezed first, see `Squeeze`.

    Args:
        outputs: what can be predicted.
        fidelity: at which.
        seed: of the draws.
        store: features of crystals; not asked.
        settings: number of draws, limits of the exact covariance.
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
                "sequence-process learns from layer sequences, given crystals; "
                "choose surrogate.kind: graph-ensemble or gaussian-process"
            )
        own = problem.inputs.take(problem.rows)
        features = LayerFeatures.of(own if own.n else problem.inputs)
        kernel = LayerKernel(features.names)
        blocks = [block[problem.rows] for block in features(problem.inputs)]
        known = _Known(blocks, problem.extras, squares_of(blocks))
        squeeze = Squeeze.of(problem.targets, self._settings.sought)
        seen = squeeze(problem.targets)
        stated = np.square(problem.noise / squeeze.stretch(problem.targets)) + _JITTER
        rng = np.random.default_rng([seed, own.n])
        rows = np.unique(np.linspace(0, own.n - 1, min(own.n, _SCALED)).round().astype(np.int64))
        scales = scale_samples(
            _likelihood(kernel, known.part(rows), seen[rows], stated[rows]),
            kernel.prior,
            labels=own.n,
            particles=self._settings.particles,
            rng=rng,
        )
        scales = scales[:: max(1, len(scales) // self._settings.draws)]
        lower, _ = _factors(kernel, scales, known, stated)
        targets = torch.from_numpy(seen)[:, None].expand(len(scales), -1, 1)
        weights = torch.cholesky_solve(targets, lower)[..., 0]
        mixed = MixedProcess(
            features, kernel, scales, known, lower.numpy(), weights.numpy(), self._settings
        )
        return Squeezed(mixed, squeeze)

    def _learn_stability(
        self, problem: StabilityProblem, scale: InputScale, model: Model, seed: int
    ) -> ProcessStability:
        return ProcessStability.fit(problem, scale, seed)


def _likelihood(
    kernel: LayerKernel, known: _Known, targets: Array, stated: Array
) -> Callable[[Array], Array]:
    """Logarithm (m,) of the evidence for m rows of scales, up to a constant."""
    y = torch.from_numpy(targets)[:, None]

    def value(scales: Array) -> Array:
        lower, bad = _factors(kernel, scales, known, stated)
        white = torch.linalg.solve_triangular(lower, y.expand(len(scales), -1, 1), upper=False)
        logs = torch.diagonal(lower, dim1=1, dim2=2).log().sum(dim=1)
        found = -0.5 * white.square().sum(dim=(1, 2)) - logs
        return np.where(bad.numpy(), -np.inf, found.numpy())

    return value


def _factors(
    kernel: LayerKernel, scales: Array, known: _Known, stated: Array
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cholesky factors (m, n, n) of the labels' covariances, and where there is none (m,)."""
    covariance = kernel(scales, known.products(known), known.squares, known.squares)
    diagonal = np.arange(len(stated))
    covariance[:, diagonal, diagonal] += kernel.noise(scales)[:, None] + stated
    factor = torch.linalg.cholesky_ex(torch.from_numpy(covariance))
    bad = factor.info > 0
    identity = torch.eye(len(stated), dtype=torch.float64)
    return torch.where(bad[:, None, None], identity, factor.L), bad
