"""An ensemble of graph networks on features of a frozen potential, with Bayesian last layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from surrogate.contract.protocol import Output
from surrogate.contract.settings import GraphEnsembleSettings
from surrogate.features.feature_store import FeatureStore
from surrogate.features.inputs import Inputs
from surrogate.kernels.compression import Compressor
from surrogate.models.base import BaseSurrogate
from surrogate.models.graph.fitting import LastLayer, Training, last_layer, start_scales, train
from surrogate.models.graph.network import Graphs, Networks, Scales, Shape, features, graphs
from surrogate.models.stability import StabilityModel
from surrogate.training_data.problem import Model, Prediction, Problem, StabilityProblem
from surrogate.training_data.scaling import InputScale

Array = NDArray[np.float64]
_WAVES = 96  # random frequencies per member; with 24, the error at 64 labels is 6 % larger
_CHUNK = 4096  # materials in memory at a time
_EXACT = 2000  # most materials whose root is computed with all columns
_RANK = 64  # columns of the root above that
_DEFAULTS = GraphEnsembleSettings()


Chunks = list[tuple[NDArray[np.int64], Tensor]]


@dataclass(frozen=True)
class _Evaluated:
    """Features of some inputs."""

    inputs: Inputs
    extras: Array
    chunks: Chunks


@dataclass(frozen=True)
class EnsembleModel:
    """A fitted ensemble for one output; see `surrogate.training_data.problem.Model`.

    The prediction is the mean and covariance of the mixture of its members' Gaussians. The root
    has one column for each member's deviation from the mean and the columns of each member's own
    root, all divided by the square root of the number of members. The former is the disagreement
    of networks trained on the same labels; the latter grows with distance from the labels.
    """

    networks: Networks
    scales: Scales
    layer: LastLayer
    scale: InputScale
    _last_evaluated: list[_Evaluated] = field(default_factory=list, compare=False)

    def predict(self, inputs: Inputs, extras: Array) -> Prediction:
        """See `surrogate.training_data.problem.Model`."""
        compress = None
        if inputs.n > _EXACT:
            sample = np.arange(0, inputs.n, -(-inputs.n // _EXACT))
            compress = Compressor.of(self._sampled(inputs.take(sample), extras[sample]), _RANK)
        members, width, _ = self.layer.root.shape
        mean = np.empty(inputs.n)
        root = np.empty((inputs.n, _RANK if compress else members * (1 + width)))
        for rows, phi in self.last_features(inputs, extras):
            mean[rows], full = self._belief(phi)
            root[rows] = full if compress is None else compress(full)
        noise = float(self.layer.noise.square().mean().sqrt())
        return Prediction(mean, root, np.full(inputs.n, noise))

    def last_features(self, inputs: Inputs, extras: Array) -> Chunks:
        """Features of the last layer (e, m, r) in chunks, each with the rows (m,) it covers.

        Those of the latest inputs are cached, because stability is predicted for them next.
        """
        for evaluated in self._last_evaluated:
            if evaluated.inputs is inputs and np.array_equal(evaluated.extras, extras):
                return evaluated.chunks
        networks, scales = self.networks.to(torch.float32), self.scales.to(torch.float32)
        with torch.no_grad():
            chunks = [
                (rows, features(networks, scales, _tensors(part, self.scale, extras[rows])))
                for rows, part in inputs.parts(_CHUNK)
            ]
        self._last_evaluated[:] = [_Evaluated(inputs, extras, chunks)]
        return chunks

    def _sampled(self, inputs: Inputs, extras: Array) -> NDArray[np.float32]:
        """Rows (n, e (1 + r)) of the root, in any order."""
        chunks = self.last_features(inputs, extras)
        return np.concatenate([self._belief(phi)[1] for _, phi in chunks])

    def _belief(self, phi: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean (m,) and root (m, e (1 + r)) of the mixture."""
        with torch.no_grad():
            own = torch.matmul(phi, self.layer.mean.float()[:, :, None])[:, :, 0]
            mean = own.mean(dim=0)
            wide = torch.matmul(phi, self.layer.root.float()).permute(1, 0, 2)
            root = torch.cat([(own - mean).T, wide.reshape(len(mean), -1)], dim=1)
            return mean.numpy(), (root / len(own) ** 0.5).numpy()


@dataclass(frozen=True)
class EnsembleStability:
    """A logistic regression on each member's features; the probabilities are averaged."""

    model: EnsembleModel
    heads: tuple[StabilityModel, ...]

    def probability(self, inputs: Inputs, extras: Array) -> Array:
        """See `surrogate.training_data.problem.StabilityPredictor`."""
        p = np.empty(inputs.n)
        for rows, phi in self.model.last_features(inputs, extras):
            columns = phi.numpy()
            p[rows] = np.mean(
                [head.probability(columns[k]) for k, head in enumerate(self.heads)], axis=0
            )
        return p


class GraphEnsemble(BaseSurrogate):
    """Graph networks with Bayesian last layers; trained from scratch in seconds.

    Each member takes the potential's features after one of its last layers (members use different
    layers), projects them at random, passes messages once and averages over atoms. It ends in a
    linear layer over random Fourier features of the result and of the global descriptors, whose
    posterior is exact. Networks and scales maximise the evidence on a bootstrap of the labels and
    are pulled towards their random initial values, so that with few labels the ensemble stays close
    to a Gaussian process on the potential's features around the physical prior mean.

    Args:
        outputs: properties that can be predicted.
        fidelity: the fidelity that is predicted.
        seed: of all randomness.
        store: gives the features of crystals.
        settings: of the ensemble.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        fidelity: str,
        *,
        seed: int,
        store: FeatureStore,
        settings: GraphEnsembleSettings = _DEFAULTS,
    ) -> None:
        super().__init__(outputs, fidelity, seed=seed, store=store)
        self._settings = settings

    def _learn(self, problem: Problem, scale: InputScale, seed: int) -> EnsembleModel:
        settings, inputs = self._settings, problem.inputs.take(problem.rows)
        shape = Shape(
            settings.members,
            scale.features[1],
            problem.inputs.groups[0].edges.shape[3],
            settings.width,
            tuple(block.shape[1] for block in problem.inputs.blocks),
            _WAVES,
            problem.extras.shape[1],
        )
        generator = torch.Generator().manual_seed(seed)
        targets, noise = torch.from_numpy(problem.targets), torch.from_numpy(problem.noise)
        how = Training(settings.steps, settings.learning_rate, settings.anchoring)
        start = Networks.random(shape, generator)
        scales = start_scales(shape)
        tensors = graphs(inputs, scale, problem.extras, torch.float64)
        networks, scales = train(start, scales, tensors, targets, noise, how, generator)
        with torch.no_grad():
            phi = features(networks, scales, tensors)
            layer = last_layer(phi, targets, noise, scales.noise)
        return EnsembleModel(networks, scales, layer, scale)

    def _learn_stability(
        self, problem: StabilityProblem, scale: InputScale, model: Model, seed: int
    ) -> EnsembleStability:
        assert isinstance(model, EnsembleModel)
        inputs = problem.inputs.take(problem.rows)
        columns = np.empty((self._settings.members, inputs.n, model.layer.mean.shape[1]))
        for rows, phi in model.last_features(inputs, problem.extras):
            columns[:, rows] = phi.numpy()
        heads = [StabilityModel.fit(x, problem.stable, problem.confidence) for x in columns]
        return EnsembleStability(model, tuple(heads))

    def save(self, path: Path) -> None:
        """Write all weights as safetensors.

        Raises:
            ValueError: the surrogate has not been fitted yet.
        """
        from safetensors.torch import save_file

        if self._fitted is None:
            raise ValueError("the surrogate has no weights yet; fit it first")
        tensors: dict[str, Tensor] = {}
        for output, (model, delta) in self._fitted.models.items():
            assert isinstance(model, EnsembleModel)
            name = (
                output.property
                if output.temperature is None
                else (f"{output.property}@{output.temperature:g}K")
            )
            parts = {
                "network": vars(model.networks),
                "scale": vars(model.scales),
                "layer": vars(model.layer),
                "target": {
                    "centre": torch.tensor(delta.target.scale.centre),
                    "spread": torch.tensor(delta.target.scale.spread),
                },
            }
            for part, values in parts.items():
                tensors |= {f"{name}/{part}/{k}": v.contiguous() for k, v in values.items()}
        stability = self._fitted.stability
        assert isinstance(stability, EnsembleStability)
        for k, head in enumerate(stability.heads):
            tensors[f"stability/{k}/weights"] = torch.from_numpy(head.weights)
        save_file(tensors, path)


def _tensors(inputs: Inputs, scale: InputScale, extras: Array) -> Graphs:
    return graphs(inputs, scale, extras, torch.float32)
