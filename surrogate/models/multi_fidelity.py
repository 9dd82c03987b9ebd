"""One Gaussian process for all materials and fidelities together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from surrogate.features.inputs import Inputs
from surrogate.fidelities.trust import PRIOR, Trust
from surrogate.kernels.block_kernel import BlockKernel, mirror_of
from surrogate.kernels.coregional_kernel import CoregionalKernel
from surrogate.models.gaussian_process import GaussianProcess, ProcessModel, cholesky, fit_scales
from surrogate.training_data.problem import Model, Prediction, Problem
from surrogate.training_data.scaling import Descriptors, InputScale

Array = NDArray[np.float64]
_JITTER = 1e-6
_CORRELATIONS = np.array([0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97])


@dataclass(frozen=True)
class FidelityColumn:
    """Descriptors with the fidelity in the last column: 0 for the highest one.

    Args:
        descriptors: all other columns.
    """

    descriptors: Descriptors

    def __call__(self, inputs: Inputs, extras: Array) -> Array:
        """All columns (n, g + c + 1)."""
        return np.pad(self.descriptors(inputs, extras), ((0, 0), (0, 1)))


@dataclass(frozen=True)
class MultiFidelityModel:
    """Two processes weighted by their evidence; see `surrogate.training_data.problem.Model`.

    The prediction is the mean and covariance of their mixture.

    Args:
        joint: trained on all fidelities.
        high_only: trained on the highest fidelity only; None where there is no other.
        weight: probability of the joint process.
        trusts: how far each lower fidelity is trusted.
    """

    joint: ProcessModel
    high_only: ProcessModel | None
    weight: float
    trusts: dict[str, Trust]

    def predict(self, inputs: Inputs, extras: Array) -> Prediction:
        """See `surrogate.training_data.problem.Model`."""
        first = self.joint.predict(inputs, extras)
        if self.high_only is None:
            return first
        second = self.high_only.predict(inputs, extras)
        p, q = self.weight, 1.0 - self.weight
        disagreement = np.sqrt(p * q) * (first.mean - second.mean)
        return Prediction(
            p * first.mean + q * second.mean,
            np.concatenate(
                [np.sqrt(p) * first.root, np.sqrt(q) * second.root, disagreement[:, None]], axis=1
            ),
            np.sqrt(p * np.square(first.aleatoric) + q * np.square(second.aleatoric)),
        )


class MultiFidelityProcess(GaussianProcess):
    """A Gaussian process over all fidelities, whose correlations are learned.

    Low-fidelity values are observations of a function that is correlated with the high-fidelity
    one. Each fidelity is standardised separately, so that only differences between materials count.
    A second process is trained on the highest fidelity alone. The two are weighted by how well the
    joint process predicts the high-fidelity labels (its evidence), so a misleading fidelity is
    detected and ignored. Vibrational properties from evaluations at lower fidelities (sound
    velocities, Debye temperature, mean square displacement, anharmonicity) are descriptors, see
    `surrogate.fidelities.low_fidelity_descriptors`.

    For the arguments see `GaussianProcess`.
    """

    joint = True

    def _learn(self, problem: Problem, scale: InputScale, seed: int) -> Model:
        descriptors = FidelityColumn(Descriptors(scale))
        x, y, stated = _observations(problem, descriptors)
        labels = len(problem.targets)
        names = [labels_.fidelity for labels_ in problem.lower]
        joint = self._process(problem, scale, x, y, stated, len(names))
        if not names:
            return MultiFidelityModel(joint, None, 1.0, {})
        high = slice(0, labels)
        high_only = self._process(problem, scale, x[high], y[high], stated[high], len(names))
        with torch.no_grad():
            gain = _evidence(joint, x, y, stated)
            gain -= _evidence(joint, x[labels:], y[labels:], stated[labels:])
            gain -= _evidence(high_only, x[high], y[high], stated[high])
            profiles = [_profile(joint, level, x, y, stated) for level in range(len(names))]
        odds = PRIOR.weight / (1.0 - PRIOR.weight) * np.exp(np.clip(gain, -50.0, 50.0))
        weight = float(odds / (1.0 + odds))
        trusts = {
            name: Trust.given(_CORRELATIONS, shares, weight)
            for name, shares in zip(names, profiles, strict=True)
        }
        return MultiFidelityModel(joint, high_only, weight, trusts)

    def _process(
        self,
        problem: Problem,
        scale: InputScale,
        x: Tensor,
        y: Tensor,
        stated: Tensor,
        fidelities: int,
    ) -> ProcessModel:
        """A process conditioned on some observations, with scales fitted to them."""
        descriptors = Descriptors(scale)
        widths = [block.shape[1] for block in descriptors.blocks(problem.inputs)]
        inner = BlockKernel(widths, problem.extras.shape[1] // 3, mirror_of(problem.inputs))
        kernel = CoregionalKernel(inner, fidelities)
        extra = fit_scales(kernel, x, y, stated)
        with torch.no_grad():
            lower = cholesky(kernel.forward(x, x) + torch.diag(stated + extra))
            weights = torch.cholesky_solve(y[:, None], lower)[:, 0]
        return ProcessModel(
            kernel,
            FidelityColumn(descriptors),
            x,
            lower,
            weights,
            float(np.sqrt(extra)),
            self._settings,
        )

    @property
    def trusts(self) -> dict[str, Trust]:
        """How far each lower fidelity is trusted for the first output; empty before a fit."""
        if self._fitted is None:
            return {}
        model = self._fitted.models[self._outputs[0]][0]
        assert isinstance(model, MultiFidelityModel)
        return model.trusts


def _observations(problem: Problem, descriptors: FidelityColumn) -> tuple[Tensor, Tensor, Tensor]:
    """Columns, values and noise variances at all fidelities, the highest one first."""
    columns = [descriptors(problem.inputs.take(problem.rows), problem.extras)]
    values, noise = [problem.targets], [problem.noise]
    for level, labels in enumerate(problem.lower, start=1):
        rows = descriptors(problem.inputs.take(labels.rows), labels.extras)
        rows[:, -1] = level
        columns.append(rows)
        values.append(labels.targets)
        noise.append(labels.noise)
    return (
        torch.from_numpy(np.concatenate(columns)),
        torch.from_numpy(np.concatenate(values)),
        torch.from_numpy(np.square(np.concatenate(noise)) + _JITTER),
    )


def _profile(process: ProcessModel, level: int, x: Tensor, y: Tensor, stated: Tensor) -> Array:
    """Probabilities of the `_CORRELATIONS` of one lower fidelity, all other scales as fitted."""
    kernel = process.kernel
    assert isinstance(kernel, CoregionalKernel)
    fitted = kernel.logit_correlation.detach().clone()
    logs = []
    for value in _CORRELATIONS:
        kernel.logit_correlation[level] = float(np.log(value / (1.0 - value)))
        logs.append(_evidence(process, x, y, stated))
    kernel.logit_correlation.copy_(fitted)
    shares = np.exp(np.array(logs) - max(logs))
    return np.asarray(shares / shares.sum())


def _evidence(process: ProcessModel, x: Tensor, y: Tensor, stated: Tensor) -> float:
    """Log evidence of observations under the process's prior, up to a constant."""
    noise = torch.diag(stated + process.noise**2)
    lower = cholesky(process.kernel.forward(x, x) + noise)
    white = torch.linalg.solve_triangular(lower, y[:, None], upper=False)
    return float(-0.5 * white.square().sum() - lower.diagonal().log().sum())
