"""Values of any material at a lower fidelity: measured, or estimated from similar materials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from oracle.materials.material import Material
from surrogate.features.inputs import Inputs
from surrogate.fidelities.trust import PRIOR, Trust
from surrogate.kernels.block_kernel import BlockKernel, mirror_of
from surrogate.training_data.labels import Labels
from surrogate.training_data.scaling import Descriptors, InputScale

Array = NDArray[np.float64]
_WHITE = 0.3  # fraction of the variance that descriptors do not explain
_CHUNK = 8192  # materials at a time


@dataclass(frozen=True)
class Similarity:
    """Prior covariance of functions of the descriptors, about 1 on the diagonal.

    The covariance of the Gaussian process at the prior mean of its hyperparameters, without the
    constant.

    Args:
        kernel: with its initial hyperparameters; it is never fitted.
        descriptors: inputs of the kernel.
    """

    kernel: BlockKernel
    descriptors: Descriptors

    @classmethod
    def of(cls, inputs: Inputs, scale: InputScale) -> Similarity:
        """The covariance for materials described like `inputs`."""
        descriptors = Descriptors(scale)
        widths = [block.shape[1] for block in descriptors.blocks(inputs)]
        return cls(BlockKernel(widths, 0, mirror_of(inputs)), descriptors)

    def columns(self, inputs: Inputs) -> Array:
        """Standardised descriptors (n, g), the inputs of the kernel."""
        return self.descriptors(inputs, np.zeros((inputs.n, 0)))

    def __call__(self, first: Array, second: Array) -> Array:
        """Covariance (n1, n2) of rows of `columns`."""
        with torch.no_grad():
            covariance = self.kernel.forward(torch.from_numpy(first), torch.from_numpy(second))
        return np.asarray(covariance.numpy() - 1.0)


@dataclass(frozen=True)
class LowFidelity:
    """One lower fidelity of one output.

    Args:
        trust: how far it is trusted.
        known: by digest, its values minus the prior mean, centred.
        spread: root mean square of those values.
        similarity: prior covariance between materials.
        rows: (k, g), descriptors of the k materials measured at it.
        lower: (k, k), Cholesky factor of their covariance.
        weights: (k,), weights from which values of other materials are estimated.
    """

    trust: Trust
    known: Mapping[str, float]
    spread: float
    similarity: Similarity
    rows: Array
    lower: Array
    weights: Array

    def values_of(self, materials: Sequence[Material], inputs: Inputs) -> tuple[Array, Array]:
        """Values (n,) minus the prior mean, centred, and their standard errors (n,).

        A measured value has the error 0. Where nothing was measured, for instance because the
        material is unstable at this fidelity, the value is estimated from similar materials.
        """
        values, errors = np.zeros(len(materials)), np.zeros(len(materials))
        is_unmeasured = np.array([m.digest not in self.known for m in materials], dtype=bool)
        for k in np.flatnonzero(~is_unmeasured):
            values[k] = self.known[materials[int(k)].digest]
        unmeasured = np.flatnonzero(is_unmeasured)
        if len(unmeasured):
            columns = self.similarity.columns(inputs)[unmeasured]
            for start in range(0, len(unmeasured), _CHUNK):
                part = slice(start, start + _CHUNK)
                values[unmeasured[part]], errors[unmeasured[part]] = self._estimated(columns[part])
        return values, errors

    def _estimated(self, columns: Array) -> tuple[Array, Array]:
        cross = (1.0 - _WHITE) * self.similarity(self.rows, columns)
        explained = np.square(np.linalg.solve(self.lower, cross)).sum(axis=0)
        variance = np.maximum(1.0 - explained, _WHITE)
        return cross.T @ self.weights, self.spread * np.sqrt(variance)


def low_fidelity(
    labels: Labels,
    residuals: Array,
    rows_at: NDArray[np.int64],
    inputs: Inputs,
    similarity: Similarity,
) -> LowFidelity:
    """A lower fidelity with prior trust, before it is compared with any labels.

    Args:
        labels: its k values, at least one.
        residuals: (k,), those values minus their prior mean.
        rows_at: (k,), rows of its materials in the inputs.
        inputs: of all materials.
        similarity: prior covariance between materials.
    """
    centre = float(residuals.mean())
    values = residuals - centre
    spread = max(float(np.sqrt(np.square(values).sum() / len(values))), 1e-6)
    rows = similarity.columns(inputs)[rows_at]
    shape = (1.0 - _WHITE) * similarity(rows, rows) + _WHITE * np.eye(len(rows))
    lower = np.linalg.cholesky(shape + 1e-6 * np.eye(len(rows)))
    weights = np.linalg.solve(lower.T, np.linalg.solve(lower, values))
    known = {m.digest: float(v) for m, v in zip(labels.materials, values, strict=True)}
    return LowFidelity(
        PRIOR, known, spread, similarity, rows, np.asarray(lower), np.asarray(weights)
    )
