"""A Gaussian process on descriptors, with hyperparameters (scales) fitted by BoTorch."""

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
_SCALED = 300  # most labels that scales are fitted to; the posterior uses all labels
_CHUNK = 8192  # materials at a time
_DEFAULTS = GaussianProcessSettings()


@dataclass(frozen=True)
class ProcessModel:
    """A fitted Gaussian process; see `surrogate.training_data.problem.Model`.

    Up to `exact_limit` materials the root is the Cholesky factor of the posterior covariance.
    Above, it is that of a Nyström approximation with `rank` evenly spaced materials as landmarks,
    with each row rescaled to the exact posterior variance.
    """

    kernel: gpytorch.kernels.Kernel
    descriptors: Callable[[Inputs, Array], Array]
    train_x: Tensor
    lower: Tensor
    weights: Tensor
    noise: float
    settings: GaussianProcessSettings | MultiFidelitySettings

    def predict(self, inputs: Inputs, extras: Array) -> Prediction:
        """See `surrogate.training_data.problem.Model`."""
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
        """Mean (n,), and V (labels, n), where VᵀV is the covariance removed by the labels."""
        cross = self.kernel.forward(self.train_x, x)
        explained = torch.linalg.solve_triangular(self.lower, cross, upper=False)
        return cross.T @ self.weights, explained

    def _approximate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.linspace(0, len(x) - 1, self.settings.rank, dtype=torch.float64).long()
        landmarks = x[rows]
        _, landmark_explained = self._explained(landmarks)
        inner = cholesky(
            self.kernel.forward(landmarks, landmarks) - landmark_explained.T @ landmark_explained
        )
        means, roots = [], []
        for start in range(0, len(x), _CHUNK):
            part = x[start : start + _CHUNK]
            mean, explained = self._explained(part)
            cross = self.kernel.forward(landmarks, part) - landmark_explained.T @ explained
            root = torch.linalg.solve_triangular(inner, cross, upper=False).T
            variance = self.kernel.forward(part, part, diag=True) - explained.square().sum(dim=0)
            squared_lengths = root.square().sum(dim=1).clamp_min(1e-30)
            roots.append(root * (variance.clamp_min(_JITTER) / squared_lengths).sqrt()[:, None])
            means.append(mean)
        return torch.cat(means), torch.cat(roots)


@dataclass(frozen=True)
class ProcessStability:
    """Bayesian logistic regression on random Fourier features of the descriptors."""

    descriptors: Descriptors
    features: RandomFeatures
    head: StabilityModel

    @classmethod
    def fit(cls, problem: StabilityProblem, scale: InputScale, seed: int) -> ProcessStability:
        """Learn from outcomes; the seed determines the random features."""
        descriptors = Descriptors(scale)
        blocks = joined(descriptors.blocks(problem.inputs))
        features = RandomFeatures.draw(blocks.shape[1], seed)
        columns = features(blocks[problem.rows], problem.extras)
        head = StabilityModel.fit(columns, problem.stable, problem.confidence)
        return cls(descriptors, features, head)

    def probability(self, inputs: Inputs, extras: Array) -> Array:
        """See `surrogate.training_data.problem.StabilityPredictor`."""
        blocks = joined(self.descriptors.blocks(inputs))
        return self.head.probability(self.features(blocks, extras))


class GaussianProcess(BaseSurrogate):
    """A Gaussian process around the physical prior mean.

    Args:
        outputs: properties that can be predicted.
        fidelity: the fidelity that is predicted.
        seed: of the stability model's random features; the process itself has no randomness.
        store: gives the features of crystals.
        settings: up to where the covariance is exact.
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
    """Maximise the posterior of the kernel's scales in place.

    Args:
        kernel: whose hyperparameters are fitted.
        x: (n, columns), inputs.
        y: (n,), targets.
        stated: (n,), known noise variances.

    Returns:
        The fitted noise variance in addition to the stated one.
    """
    start = float(np.exp(2 * _NOISE))
    if len(y) < 2:
        return start
    if len(y) > _SCALED:  # evenly spaced: enough for a dozen scales
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
        # BoTorch warns of targets that are not standardised and of fits that stop early.
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
        # A single fit from the present scales. BoTorch's own `fit_gpytorch_mll` restarts from
        # random scales after a failed line search, as happens for data without noise, and then
        # raises an error.
        evidence.train()
        start_state = copy.deepcopy(evidence.state_dict())
        try:
            fit_gpytorch_mll_scipy(evidence, options={"maxiter": _ITERATIONS})
        except NotPSDError:  # scales diverged because the data have no noise
            evidence.load_state_dict(start_state)
        evidence.eval()
    kernel.eval()
    return float(likelihood.second_noise.detach())


def cholesky(covariance: Tensor) -> Tensor:
    """Lower Cholesky factor of a covariance that rounding may have made slightly indefinite.

    Raises:
        ValueError: the matrix is not positive definite even with a tenth of its size added.
    """
    if not len(covariance):
        return covariance
    scale = float(covariance.diagonal().clamp_min(1e-12).max())
    identity = torch.eye(len(covariance), dtype=covariance.dtype)
    for power in range(-7, 0):
        factor = torch.linalg.cholesky_ex(covariance + scale * 10.0**power * identity)
        lower: Tensor = factor.L
        if not factor.info:
            return lower
    raise ValueError("the posterior covariance is not positive definite; check the inputs for NaN")
