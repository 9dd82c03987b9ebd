"""Training of the networks by maximising the evidence of their Bayesian last layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from surrogate.models.graph.network import Graphs, Networks, Scales, Shape, features

# Prior means of the logarithms of the scales, in units of the target's spread, and their prior
# standard deviation.
_WAVE, _LENGTH, _SLOPE, _EXTRA, _NOISE = -0.5, 0.5, -0.5, -1.0, -2.0
_SCALE_SPREAD = 0.7
_SCALE_RATE = 0.05  # Adam's step for logarithms of scales
_JITTER = 1e-3  # smallest label noise, in units of the target's spread


@dataclass(frozen=True)
class Training:
    """Settings of the training.

    Args:
        steps: number of Adam steps.
        rate: learning rate for the networks' weights.
        anchoring: strength of the pull towards the random initial weights, relative to their prior.
    """

    steps: int
    rate: float
    anchoring: float


@dataclass(frozen=True)
class LastLayer:
    """Gaussian posterior of the last layer's weights, per member.

    Args:
        mean: (e, r).
        root: (e, r, r), matrix square root of the covariance, ``root @ root.T``.
        noise: (e,), standard deviation of label noise in addition to the stated errors.
    """

    mean: Tensor
    root: Tensor
    noise: Tensor


def start_scales(shape: Shape) -> Scales:
    """The most probable scales under the prior."""

    def full(value: float, *size: int) -> Tensor:
        return torch.full((shape.members, *size), value, dtype=torch.float64)

    parts = 1 + len(shape.blocks)
    return Scales(
        full(_WAVE),
        full(_LENGTH, parts),
        full(_SLOPE, parts),
        full(_EXTRA, max(1, shape.extras // 3)),
        full(_NOISE),
    )


def train(
    networks: Networks,
    scales: Scales,
    inputs: Graphs,
    targets: Tensor,
    noise: Tensor,
    how: Training,
    generator: torch.Generator,
) -> tuple[Networks, Scales]:
    """Train networks and scales.

    For each member, the loss is the negative log evidence of its last layer on a bootstrap of the
    labels, plus the negative log priors of weights and scales: Gaussians around the random initial
    weights (anchored ensembles: Pearce et al., AISTATS 2020) and around the prior scales above.

    Args:
        networks: with random initial weights.
        scales: initial scales.
        inputs: of n labelled materials.
        targets: (n,), standardised labels.
        noise: (n,), standard errors of the targets.
        how: settings of the training.
        generator: of the bootstraps.
    """
    if not len(targets) or not how.steps:
        return networks, scales
    weights = [p.clone().requires_grad_() for p in networks.trained]
    logs = [p.clone().requires_grad_() for p in scales.all]
    shares = bootstrap(len(logs[0]), len(targets), generator)
    optimizer = torch.optim.Adam(
        [{"params": weights, "lr": how.rate}, {"params": logs, "lr": _SCALE_RATE}]
    )
    starts = [p.detach().clone() for p in (*networks.trained, *scales.all)]
    widths = [_prior_spread(p) for p in networks.trained] + [_SCALE_SPREAD] * len(logs)
    strengths = [how.anchoring] * len(weights) + [1.0] * len(logs)
    for _ in range(how.steps):
        optimizer.zero_grad()
        current = networks.with_trained(weights)
        phi = features(current, Scales(*logs), inputs)
        loss = negative_log_evidence(phi, targets, noise, logs[-1], shares).sum()
        for p, start, width, strength in zip(
            [*weights, *logs], starts, widths, strengths, strict=True
        ):
            loss = loss + 0.5 * strength * ((p - start) / width).square().sum()
        torch.autograd.backward(loss)
        optimizer.step()
    return (
        networks.with_trained([p.detach() for p in weights]),
        Scales(*(p.detach() for p in logs)),
    )


def bootstrap(members: int, n: int, generator: torch.Generator) -> Tensor:
    """Weights (e, n) of the labels, mean 1: Rubin's Bayesian bootstrap, which omits no label."""
    draws = torch.rand(members, n, generator=generator, dtype=torch.float64).log().neg()
    return draws / draws.mean(dim=1, keepdim=True)


def negative_log_evidence(
    phi: Tensor, targets: Tensor, noise: Tensor, log_noise: Tensor, shares: Tensor
) -> Tensor:
    """Minus the log evidence (e,) of Bayesian linear regression with standard normal weights.

    Bishop, Pattern Recognition and Machine Learning (2006), eq. 3.86. A label of weight s has
    its noise variance divided by s.

    Args:
        phi: (e, n, r).
        targets: (n,).
        noise: (n,), stated standard errors.
        log_noise: (e,), logarithm of the noise in addition to those.
        shares: (e, n), weights of the labels.
    """
    variance = _variance(noise, log_noise) / shares
    if phi.shape[1] < phi.shape[2]:  # in the space of labels, which is smaller
        lower = torch.linalg.cholesky(torch.matmul(phi, phi.mT) + torch.diag_embed(variance))
        white = torch.linalg.solve_triangular(
            lower, targets.expand_as(variance)[:, :, None], upper=False
        )
        determinant = 2.0 * lower.diagonal(dim1=1, dim2=2).log().sum(dim=1)
        return 0.5 * (white.square().sum(dim=(1, 2)) + determinant)
    scaled = phi / variance.sqrt()[:, :, None]
    aimed = targets / variance.sqrt()
    lower, projected = _factor(scaled, aimed)
    quadratic = aimed.square().sum(dim=1) - projected.square().sum(dim=1)
    determinant = 2.0 * lower.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    return 0.5 * (quadratic + determinant + variance.log().sum(dim=1))


def last_layer(phi: Tensor, targets: Tensor, noise: Tensor, log_noise: Tensor) -> LastLayer:
    """The exact posterior of the last layer given all labels; without labels, the prior."""
    variance = _variance(noise, log_noise)
    lower, projected = _factor(phi / variance.sqrt()[:, :, None], targets / variance.sqrt())
    identity = torch.eye(phi.shape[2], dtype=phi.dtype).expand_as(lower)
    root = torch.linalg.solve_triangular(lower, identity, upper=False).mT.contiguous()
    mean = torch.matmul(root, projected[:, :, None])[:, :, 0]
    return LastLayer(mean, root, log_noise.exp())


def _factor(scaled: Tensor, aimed: Tensor) -> tuple[Tensor, Tensor]:
    """Cholesky factor L of ``1 + XᵀX`` (e, r, r), and ``L⁻¹Xᵀy`` (e, r)."""
    identity = torch.eye(scaled.shape[2], dtype=scaled.dtype)
    lower = torch.linalg.cholesky(identity + torch.matmul(scaled.mT, scaled))
    moment = torch.matmul(scaled.mT, aimed[:, :, None])
    return lower, torch.linalg.solve_triangular(lower, moment, upper=False)[:, :, 0]


def _variance(noise: Tensor, log_noise: Tensor) -> Tensor:
    return noise.square() + log_noise.exp().square()[:, None] + _JITTER**2


def _prior_spread(parameters: Tensor) -> float:
    """Standard deviation of the distribution from which these parameters were drawn."""
    return float(parameters.square().mean().sqrt())
