"""The covariance of one process over several fidelities."""

from __future__ import annotations

import torch
from gpytorch.kernels import Kernel
from gpytorch.priors import NormalPrior
from torch import Tensor

from surrogate.kernels.block_kernel import SCALE_SPREAD, BlockKernel

_CORRELATION, _CORRELATION_SPREAD = 1.5, 1.0  # logit: between 0.62 and 0.92 in two of three cases
_WHITE = -1.0  # logarithm of the size of what no descriptor explains


class CoregionalKernel(Kernel):  # type: ignore[misc]  # GPyTorch has no types
    """Intrinsic coregionalisation: ``B[f, f'] (k(x, x') + w² [x = x'])`` over fidelities f.

    ``B = v vᵀ + diag(1 - v²)`` with ``v = (1, r_1, r_2, ...)``: every cheaper fidelity has its own
    correlation r, between 0 and 1, with the dear one, and cheaper ones share no more than that
    implies (Bonilla, Chai & Williams, NeurIPS 2007; Álvarez, Rosasco & Lawrence, Found. Trends
    Mach. Learn. 4, 195 (2012)). The white part w is a material's own: a cheap evaluation tells of
    it, though no descriptor does.

    Inputs have the fidelity in their last column, 0 for the dear one.

    Args:
        process: covariance of functions of the other columns.
        fidelities: how many cheaper ones.
    """

    def __init__(self, process: BlockKernel, fidelities: int) -> None:
        super().__init__()
        self.process = process
        self._logs("logit_correlation", _CORRELATION, fidelities, _CORRELATION_SPREAD)
        self._logs("log_white", _WHITE, 1, SCALE_SPREAD)

    def _logs(self, name: str, start: float, size: int, spread: float) -> None:
        value = torch.full((size,), start, dtype=torch.float64)
        self.register_parameter(name, torch.nn.Parameter(value))
        self.register_prior(
            f"{name}_prior", NormalPrior(value.clone(), spread), lambda m: getattr(m, name)
        )

    @property
    def correlations(self) -> Tensor:
        """Of each cheaper fidelity with the dear one, (fidelities,)."""
        return torch.sigmoid(self.logit_correlation)

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **_: object) -> Tensor:
        """Covariance (..., n1, n2), or its diagonal (..., n)."""
        a, b = x1[..., :-1], x2[..., :-1]
        first, second = x1[..., -1].round().long(), x2[..., -1].round().long()
        load = torch.cat([torch.ones(1, dtype=x1.dtype), self.correlations])
        if diag:
            alike, equal = first == second, torch.ones_like(first, dtype=torch.bool)
            both, own = load[first] * load[second], 1.0 - load[first].square()
        else:
            alike = first[..., :, None] == second[..., None, :]
            equal = _equal(a, b)
            both = load[first][..., :, None] * load[second][..., None, :]
            own = (1.0 - load[first].square())[..., :, None]
        share = both + own * alike
        white = torch.exp(2.0 * self.log_white)
        return share * (self.process.forward(a, b, diag) + white * equal)


def _equal(a: Tensor, b: Tensor) -> Tensor:
    """Which rows (..., n1, n2) are the same to the last bit."""
    with torch.no_grad():
        return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist") == 0.0
