"""The covariance of one process over several fidelities."""

from __future__ import annotations

import torch
from gpytorch.kernels import Kernel
from gpytorch.priors import NormalPrior
from torch import Tensor

from surrogate.kernels.block_kernel import SCALE_SPREAD, BlockKernel

_CORRELATION, _CORRELATION_SPREAD = 1.5, 1.0  # logit: between 0.62 and 0.92 in two of three cases
_WHITE = -1.0  # prior mean of log w, the part that no descriptor explains


class CoregionalKernel(Kernel):  # type: ignore[misc]  # GPyTorch has no types
    """Intrinsic coregionalisation: ``B[f, f'] (k(x, x') + w² [x = x'])`` over fidelities f.

    ``B = v vᵀ + diag(1 - v²)`` with ``v = (1, r_1, r_2, ...)``: every lower fidelity has its own
    correlation r, between 0 and 1, with the highest one, and lower fidelities are correlated with
    each other no more than that implies (Bonilla, Chai & Williams, NeurIPS 2007; Álvarez, Rosasco
    & Lawrence, Found. Trends Mach. Learn. 4, 195 (2012)). The white part w is specific to each
    material: an evaluation at a lower fidelity reveals it, although no descriptor does.

    The last input column is the fidelity, 0 for the highest one.

    Args:
        process: covariance of functions of the other columns.
        fidelities: number of lower fidelities.
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
        """Correlation (fidelities,) of each lower fidelity with the highest one."""
        return torch.sigmoid(self.logit_correlation)

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **_: object) -> Tensor:
        """Covariance (..., n1, n2), or its diagonal (..., n)."""
        a, b = x1[..., :-1], x2[..., :-1]
        first, second = x1[..., -1].round().long(), x2[..., -1].round().long()
        loadings = torch.cat([torch.ones(1, dtype=x1.dtype), self.correlations])
        if diag:
            same_fidelity, same_material = first == second, torch.ones_like(first, dtype=torch.bool)
            shared, individual = loadings[first] * loadings[second], 1.0 - loadings[first].square()
        else:
            same_fidelity = first[..., :, None] == second[..., None, :]
            same_material = _equal(a, b)
            shared = loadings[first][..., :, None] * loadings[second][..., None, :]
            individual = (1.0 - loadings[first].square())[..., :, None]
        coupling = shared + individual * same_fidelity
        white = torch.exp(2.0 * self.log_white)
        return coupling * (self.process.forward(a, b, diag) + white * same_material)


def _equal(a: Tensor, b: Tensor) -> Tensor:
    """Mask (..., n1, n2) of the pairs of rows that are equal bit for bit."""
    with torch.no_grad():
        return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist") == 0.0
