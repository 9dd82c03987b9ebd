"""A Gaussian process on descriptors, with scales fitted by BoTorch."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gpytorch
import numpy as np
import torch
from botorch.models import SingleTaskGP
from botorch.optim.fit import fit_gpytorch_mll_scipy
from gpytorch.likelihoods import FixedNoiseGaussianLikelihood
from gpytorch.priors import NormalPrior
from linear_operator.utils.errors import NotPSDError
from numpy.typing import NDArray
from torch import Tensor

from surrogate.contract.protocol import Output
from surrogate.contract.settings import GaussianProcessSettings, MultiFidelitySettings
from surrogate.features.feature_store import FeatureStore
from surrogate.features.inputs import Inputs
from surrogate.kernels.block_kernel import SCALE_SPREAD, BlockKernel, mirror_of
from surrogate.kernels.random_features import RandomFeatures
from surrogate.models.base import BaseSurrogate
from surrogate.models.stability import StabilityModel
from surrogate.training_data.problem import Model, Prediction, Problem, StabilityProblem
from surrogate.training_data.scaling import Descriptors, InputScale, joined

Array = NDArray[np.float64]
_NOISE = -2.0  # prior mean of the logarithm of the noise, in units of the target's spread
_JITTER = 1e-6  # of variances, in units of the target's
_ITERATIONS = 60  # of L-BFGS
_SCALED = 300  # most labels that scales are fitted to; the posterior uses all
_CHUNK = 8192
_DEFAULTS = GaussianProcessSettings()


@dataclass(frozen=True)
class ProcessModel:
    """A fitted process; see `surrogate.models.base.Model`.

    Up to `exact_limit` materials the root is the Cholesky factor of the posterior covariance.
    Beyond, it is that of a Nyström approximation on `rank` of the materials, evenly spaced, each
    row scaled to the exact posterior variance.
    """

    kernel: gpytorch.kernels.Kernel
    descriptors: Callable[[Inputs, Array], Array]
    train_x: Tensor
    lower: Tensor
    weights: Tensor
    noise: float
    settings: GaussianProcessSettings | MultiFidelitySettings

    def predict(self, inputs: Inputs, extras: Array) -> Prediction:
        """See `surrogate.models.base.Model`."""
        with torch.no_grad():
            x = torch.from_numpy(self.descriptors(inputs, extras))
            if len(x) <= self.settings.exact_limit:
                mean, explained = self._explained(x)
                covariance = self.kernel.forward(x, x) - explained.T @ explained
                root = cholesky(covariance)
            else:
                mean, root = self._approximate(x)
        aleatoric = np.full(len(x), self.noise)
        return Prediction(mean.numpy(), root.numpy(), aleatoric)

    def _explained(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (n,), and V (labels, n) such that VᵀV is what the labels take off the covariance."""
        cross = self.kernel.forward(self.train_x, x)
        explained = torch.linalg.solve_triangular(self.lower, cross, upper=False)
        return cross.T @ self.weights, explained

    def _approximate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        at = torch.linspace(0, len(x) - 1, self.settings.rank, dtype=torch.float64).long()
        landmarks = x[at]
        _, known = self._explained(landmarks)
        inner = cholesky(self.kernel.forward(landmarks, landmarks) - known.T @ known)
        means, roots = [], []
        for start in range(0, len(x), _CHUNK):
            part = x[start : start + _CHUNK]
            mean, explained = self._explained(part)
            cross = self.kernel.forward(landmarks, part) - known.T @ explained
            root = torch.linalg.solve_triangular(inner, cross, upper=False).T
            variance = self.kernel.forward(part, part, diag=True) - explained.square().sum(dim=0)
            had = root.square().sum(dim=1).clamp_min(1e-30)
            roots.append(root * (variance.clamp_min(_JITTER) / had).sqrt()[:, None])
            means.append(mean)
        return torch.cat(means), torch.cat(roots)


@dataclass(frozen=True)
class ProcessStability:
    """Logistic regression on random features of the descriptors."""

    descriptors: Descriptors
    features: RandomFeatures
    head: StabilityModel

    @classmethod
    def fit(cls, problem: StabilityProblem, scale: InputScale, seed: int) -> ProcessStability:
        """Learn from outcomes; the seed draws the random features."""
        descriptors = Descriptors(scale)
        blocks = joined(descriptors.blocks(problem.inputs))
        features = RandomFeatures.draw(blocks.shape[1], seed)
        columns = features(blocks[problem.rows], problem.extras)
        head = StabilityModel.fit(columns, problem.stable, problem.confidence)
        return cls(descriptors, features, head)

    def probability(self, inputs: Inputs, extras: Array) -> Array:
        """See `surrogate.models.base.StabilityPredictor`."""
        blocks = joined(self.descriptors.blocks(inputs))
        return self.head.probability(self.features(blocks, extras))


class GaussianProcess(BaseSurrogate):
    """A Gaussian process around the physical prior mean.

    Args:
        outputs: what can be predicted.
        fidelity: at which.
        seed: of the stability model's random features; the process itself has no randomness.
        store: features of crystals.
        settings: limits of the exact covariance.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        fidelity: str,
        *,
        seed: int,
        store: FeatureStore,
        settings: GaussianProcessSettings | MultiFidelitySettings = _DEFAULTS,
    ) -> None:
        super().__init__(outputs, fidelity, seed=seed, store=store)
        self._settings = settings

    def _learn(self, problem: Problem, scale: InputScale, seed: int) -> Model:
        inputs = problem.inputs.take(problem.rows)
        descriptors = Descriptors(scale)
        widths = [block.shape[1] for block in descriptors.blocks(problem.inputs)]
        kernel = BlockKernel(widths, problem.extras.shape[1] // 3, mirror_of(problem.inputs))
        x = torch.from_numpy(descriptors(inputs, problem.extras))
        y = torch.from_numpy(problem.targets)
        stated = torch.from_numpy(np.square(problem.noise) + _JITTER)
        extra = fit_scales(kernel, x, y, stated)
        with torch.no_grad():
            covariance = kernel.forward(x, x) + torch.diag(stated + extra)
            lower = cholesky(covariance)
            weights = torch.cholesky_solve(y[:, None], lower)[:, 0]
        return ProcessModel(
            kernel, descriptors, x, lower, weights, float(np.sqrt(extra)), self._settings
        )

    def _learn_stability(
        self, problem: StabilityProblem, scale: InputScale, model: Model, seed: int
    ) -> ProcessStability:
        return ProcessStability.fit(problem, scale, seed)


def fit_scales(kernel: gpytorch.kernels.Kernel, x: Tensor, y: Tensor, stated: Tensor) -> float:
    """Maximise the posterior of the kernel's scales; the noise variance beyond the stated one."""
    start = float(np.exp(2 * _NOISE))
    if len(y) < 2:
        return start
    if len(y) > _SCALED:  # evenly through the history: a dozen scales need no more
        chosen = torch.linspace(0, len(y) - 1, _SCALED).round().long()
        x, y, stated = x[chosen], y[chosen], stated[chosen]
    likelihood = FixedNoiseGaussianLikelihood(noise=stated, learn_additional_noise=True)
    likelihood.second_noise_covar.register_prior(
        "noise_prior",
        NormalPrior(_NOISE, SCALE_SPREAD),
        lambda module: 0.5 * module.noise.log(),
    )
    likelihood.second_noise = start
    with warnings.catch_warnings():
        # The targets have their own scale, and a fit that stops early is still a fit.
        warnings.simplefilter("ignore")
        model = SingleTaskGP(
            x,
            y[:, None],
            likelihood=likelihood,
            covar_module=kernel,
            mean_module=gpytorch.means.ZeroMean(),
            outcome_transform=None,
            input_transform=None,
        )
        evidence = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
        # Once, from where it stands: BoTorch's own way to fit begins again from random scales after
        # a line search that failed, as it does on a table without noise, and ends in an error.
        evidence.train()
        before = copy.deepcopy(evidence.state_dict())
        try:
            fit_gpytorch_mll_scipy(evidence, options={"maxiter": _ITERATIONS})
        except NotPSDError:  # scales ran away where the data say nothing of noise
            evidence.load_state_dict(before)
        evidence.eval()
    kernel.eval()
    return float(likelihood.second_noise.detach())


def cholesky(covariance: Tensor) -> Tensor:
    """Factor of a covariance that rounding may have made slightly indefinite."""
    if not len(covariance):
        return covariance
    scale = float(covariance.diagonal().clamp_min(1e-12).max())
    identity = torch.eye(len(covariance), dtype=covariance.dtype)
    for power in range(-7, 0):
        factor = torch.linalg.cholesky_ex(covariance + scale * 10.0**power * identity)
        lower: Tensor = factor.L
        if not factor.info:
            return lower
    raise ValueError("the posterior covariance is not positive; are there NaN among the inputs?")
