"""The covariance of the Gaussian process."""

from __future__ import annotations

from collections.abc import Sequence

import gpytorch
import numpy as np
import torch
from gpytorch.priors import NormalPrior
from numpy.typing import NDArray
from torch import Tensor

from surrogate.features.inputs import Inputs

# Prior means of the logarithms of the hyperparameters, in units of the target's spread.
_WAVE, _LENGTH, _SLOPE, _EXTRA = -0.3, 0.5, -0.5, -1.0
SCALE_SPREAD = 0.7
"""Prior standard deviation of those logarithms."""
_MIRROR = 1.0  # prior mean of the logit of m, the similarity of a sequence and its reverse
_MIRROR_SPREAD = 1.5


class BlockKernel(gpytorch.kernels.Kernel):  # type: ignore[misc]  # GPyTorch has no types
    """Covariance of functions of descriptors that are grouped into blocks of related columns.

    ``1 + a² exp(-½ Σ_b |x_b - x'_b|² / l_b²) + Σ_b s_b² x_b · x'_b + Σ_f e_f² c_f · c'_f`` with
    blocks b and lower fidelities f. For sequences it is averaged over reflection: with R x the
    reversed sequence, ``(k(x, x') + m k(x, R x')) / (1 + m)``, where m between 0 and 1 is learned.
    Between equal leads the conductance does not depend on direction, so m tends to 1 there.

    Args:
        blocks: number of columns of each block.
        fidelities: number of lower fidelities, with three columns each.
        mirror: column order that describes the reversed sequence; None for crystals.
    """

    def __init__(
        self, blocks: Sequence[int], fidelities: int, mirror: NDArray[np.int64] | None
    ) -> None:
        super().__init__()
        ends = np.cumsum([0, *blocks])
        self._widths = torch.tensor(list(blocks))
        self._width = int(ends[-1])
        self._fidelities = fidelities
        self._mirror = None if mirror is None else torch.from_numpy(mirror.copy())
        self._logs("wave", _WAVE, 1)
        self._logs("length", _LENGTH, len(blocks))
        self._logs("slope", _SLOPE, len(blocks))
        if fidelities:
            self._logs("extra", _EXTRA, fidelities)
        if mirror is not None:
            self._logs("mirror", _MIRROR, 1, _MIRROR_SPREAD)

    def _logs(self, name: str, start: float, size: int, spread: float = SCALE_SPREAD) -> None:
        value = torch.full((size,), start, dtype=torch.float64)
        self.register_parameter(f"log_{name}", torch.nn.Parameter(value))
        self.register_prior(
            f"{name}_prior", NormalPrior(value.clone(), spread), lambda m: getattr(m, f"log_{name}")
        )

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **_: object) -> Tensor:
        """Covariance (..., n1, n2), or its diagonal (..., n)."""
        k = self._plain(x1, x2, diag)
        if self._mirror is None:
            return k
        share = torch.sigmoid(self.log_mirror)
        reverse = torch.cat([x2[..., self._mirror], x2[..., self._width :]], dim=-1)
        return (k + share * self._plain(x1, reverse, diag)) / (1.0 + share)

    def _columns(self, scales: Tensor) -> Tensor:
        """One scale per block (n_blocks,) as one per column (width,)."""
        return torch.repeat_interleave(scales, self._widths)

    def _plain(self, x1: Tensor, x2: Tensor, diag: bool) -> Tensor:
        # With columns scaled first, two matrix products suffice whatever the number of blocks.
        lengths = self._columns(torch.exp(-self.log_length))
        slopes = self._columns(torch.exp(self.log_slope))
        u, v = x1[..., : self._width], x2[..., : self._width]
        near, far = u * lengths, v * lengths
        squares = _lengths(near, far, diag) - 2.0 * _product(near, far, diag)
        linear = 1.0 + _product(u * slopes, v * slopes, diag)
        for f in range(self._fidelities):
            columns = slice(self._width + 3 * f, self._width + 3 * f + 3)
            product = _product(x1[..., columns], x2[..., columns], diag)
            linear = linear + product * torch.exp(2.0 * self.log_extra[f])
        wave = torch.exp(2.0 * self.log_wave) * torch.exp(-0.5 * squares.clamp_min(0.0))
        return wave + linear


def _product(u: Tensor, v: Tensor, diag: bool) -> Tensor:
    return (u * v).sum(dim=-1) if diag else u @ v.mT


def _lengths(u: Tensor, v: Tensor, diag: bool) -> Tensor:
    """Sum of the squared lengths of the two rows of each pair."""
    first, second = u.square().sum(dim=-1), v.square().sum(dim=-1)
    return first + second if diag else first[..., :, None] + second[..., None, :]


def mirror_of(inputs: Inputs) -> NDArray[np.int64] | None:
    """Column order, over all blocks, that describes the reversed sequences; None for crystals."""
    if inputs.descriptors:
        return None
    starts = np.cumsum([0, *(len(order) for order in inputs.mirrors)])
    return np.concatenate([m + s for m, s in zip(inputs.mirrors, starts[:-1], strict=True)])
