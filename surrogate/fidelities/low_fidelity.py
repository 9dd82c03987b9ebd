"""What a cheaper fidelity says of any material: measured there, or guessed from its neighbours."""

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
_WHITE = 0.3  # share of a value's variance that descriptors do not explain
_CHUNK = 8192


@dataclass(frozen=True)
class Similarity:
    """Prior covariance of functions of the descriptors, about 1 on the diagonal.

    That of the Gaussian process at its most probable scales, without its constant.

    Args:
        kernel: never fitted.
        descriptors: what it compares.
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
        """What is compared, (n, g)."""
        return self.descriptors(inputs, np.zeros((inputs.n, 0)))

    def __call__(self, first: Array, second: Array) -> Array:
        """Covariance (n1, n2) of rows of `columns`."""
        with torch.no_grad():
            found = self.kernel.forward(torch.from_numpy(first), torch.from_numpy(second))
        return np.asarray(found.numpy() - 1.0)


@dataclass(frozen=True)
class Cheaper:
    """One cheaper fidelity of one output.

    Args:
        trust: how far it is believed.
        known: by digest, its value less the prior mean and the mean of all.
        spread: size of those.
        similarity: of materials.
        rows: (k, g), descriptors of the materials it knows.
        lower: (k, k), factor of their covariance.
        weights: (k,), from which values elsewhere are guessed.
    """

    trust: Trust
    known: Mapping[str, float]
    spread: float
    similarity: Similarity
    rows: Array
    lower: Array
    weights: Array

    def says(self, materials: Sequence[Material], inputs: Inputs) -> tuple[Array, Array]:
        """Values (n,) less prior mean and mean of all, and their standard errors (n,).

        Where nothing was measured, for instance because the material is unstable there, the value
        is guessed from similar materials and has the error of a guess.
        """
        values, errors = np.zeros(len(materials)), np.zeros(len(materials))
        open_ = np.array([m.digest not in self.known for m in materials], dtype=bool)
        for k in np.flatnonzero(~open_):
            values[k] = self.known[materials[int(k)].digest]
        blank = np.flatnonzero(open_)
        if len(blank):
            columns = self.similarity.columns(inputs)[blank]
            for start in range(0, len(blank), _CHUNK):
                part = slice(start, start + _CHUNK)
                values[blank[part]], errors[blank[part]] = self._guessed(columns[part])
        return values, errors

    def _guessed(self, columns: Array) -> tuple[Array, Array]:
        cross = (1.0 - _WHITE) * self.similarity(self.rows, columns)
        explained = np.square(np.linalg.solve(self.lower, cross)).sum(axis=0)
        variance = np.maximum(1.0 - explained, _WHITE)
        return cross.T @ self.weights, self.spread * np.sqrt(variance)


def cheaper(
    found: Labels,
    residuals: Array,
    at: NDArray[np.int64],
    inputs: Inputs,
    similarity: Similarity,
) -> Cheaper:
    """A fidelity that nothing is known of but its values.

    Args:
        found: its k labels, at least one.
        residuals: (k,), those less their prior mean.
        at: (k,), rows of its materials among the inputs.
        inputs: of all materials.
        similarity: of materials.
    """
    centre = float(residuals.mean())
    values = residuals - centre
    spread = max(float(np.sqrt(np.square(values).sum() / len(values))), 1e-6)
    rows = similarity.columns(inputs)[at]
    shape = (1.0 - _WHITE) * similarity(rows, rows) + _WHITE * np.eye(len(rows))
    lower = np.linalg.cholesky(shape + 1e-6 * np.eye(len(rows)))
    weights = np.linalg.solve(lower.T, np.linalg.solve(lower, values))
    known = {m.digest: float(v) for m, v in zip(found.materials, values, strict=True)}
    return Cheaper(PRIOR, known, spread, similarity, rows, np.asarray(lower), np.asarray(weights))
