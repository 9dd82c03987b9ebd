"""The networks of an ensemble, evaluated together: from a crystal graph to random features.

Every tensor of parameters has the members of the ensemble as its first dimension, e.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from surrogate.features.inputs import Inputs
from surrogate.training_data.scaling import InputScale

_RESIDUAL = 0.5  # size of the update of an atom's features by message passing


@dataclass(frozen=True)
class Shape:
    """Sizes of the networks.

    Args:
        members: networks, e.
        nodes: input features per atom and layer, d.
        edges: radial basis functions, b.
        width: hidden features per atom, w.
        blocks: columns of each block of global descriptors.
        waves: random frequencies per member, q.
        extras: columns from lower fidelities, c.
    """

    members: int
    nodes: int
    edges: int
    width: int
    blocks: tuple[int, ...]
    waves: int
    extras: int

    @property
    def features(self) -> int:
        """Columns of the last layer, r."""
        return 1 + 2 * self.waves + self.width + sum(self.blocks) + self.extras


@dataclass(frozen=True)
class Graphs:
    """Standardised inputs as tensors of one dtype.

    Args:
        n: materials.
        rows: of each group, (m,).
        nodes: of each group, (m, a, l, d).
        edges: of each group, (m or 1, a, a, b).
        blocks: global descriptors, (n, g_k) each.
        extras: (n, c).
    """

    n: int
    rows: tuple[Tensor, ...]
    nodes: tuple[Tensor, ...]
    edges: tuple[Tensor, ...]
    blocks: tuple[Tensor, ...]
    extras: Tensor


def graphs(
    inputs: Inputs, scale: InputScale, extras: NDArray[np.float64], dtype: torch.dtype
) -> Graphs:
    """Standardised tensors of n materials; unknown node features are replaced by the mean."""
    centre = np.stack([layer.centre for layer in scale.nodes]).astype(np.float32)
    spread = np.stack([layer.spread for layer in scale.nodes])
    divisor = (spread * np.sqrt(scale.features[1])).astype(np.float32)
    nodes = []
    for group in inputs.groups:
        if group.nodes.shape[2:] == scale.features:
            scaled = np.nan_to_num((group.nodes - centre) / divisor)
        else:
            scaled = np.zeros((*group.nodes.shape[:2], *scale.features), dtype=np.float32)
        nodes.append(torch.from_numpy(scaled).to(dtype))
    return Graphs(
        inputs.n,
        tuple(torch.from_numpy(group.rows) for group in inputs.groups),
        tuple(nodes),
        tuple(
            torch.from_numpy(group.edges / np.float32(scale.edges)).to(dtype)
            for group in inputs.groups
        ),
        tuple(torch.from_numpy(block).to(dtype) for block in scale.globals(inputs)),
        torch.from_numpy(extras).to(dtype),
    )


@dataclass(frozen=True)
class Networks:
    """Parameters of all members.

    Args:
        project: (e, d, w), projection of input features to hidden features.
        radial: (e, b, w), weights of neighbours by distance.
        mix: (e, w, w), weights of an atom's own features.
        bias: (e, w).
        waves: (e, w + sum g_k, q), random frequencies, which are not trained.
    """

    project: Tensor
    radial: Tensor
    mix: Tensor
    bias: Tensor
    waves: Tensor

    @classmethod
    def random(cls, shape: Shape, generator: torch.Generator) -> Networks:
        """Random networks; random projections preserve distances, so they work even untrained."""

        def normal(*size: int) -> Tensor:
            draws = torch.randn(shape.members, *size, generator=generator, dtype=torch.float64)
            return draws

        w = shape.width
        return cls(
            project=normal(shape.nodes, w) / w**0.5,
            radial=normal(shape.edges, w) / shape.edges**0.5,
            mix=normal(w, w) / w**0.5,
            bias=normal(w),
            waves=normal(w + sum(shape.blocks), shape.waves),
        )

    def to(self, dtype: torch.dtype) -> Networks:
        """The same parameters in another precision."""
        changed = replace(self, waves=self.waves.to(dtype))
        return changed.with_trained([p.detach().to(dtype) for p in self.trained])

    def with_trained(self, trained: Sequence[Tensor]) -> Networks:
        """The networks with other values of the parameters that training changes."""
        project, radial, mix, bias = trained
        return Networks(project, radial, mix, bias, self.waves)

    @property
    def trained(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The parameters that training changes."""
        return self.project, self.radial, self.mix, self.bias

    def embed(self, inputs: Graphs) -> Tensor:
        """Hidden features of each material, the mean over its atoms: (e, n, w).

        One round of message passing adds to an atom's projected features a bounded function of its
        own features and those of its neighbours, weighted by distance. For the layer of the
        potential that each member uses see `depths`.
        """
        members, _, width = self.project.shape
        embedded = torch.zeros(members, inputs.n, width, dtype=self.project.dtype)
        for rows, nodes, edges in zip(inputs.rows, inputs.nodes, inputs.edges, strict=True):
            m, a, layers, _ = nodes.shape
            flat = nodes.reshape(m * a, layers, -1)
            shares = torch.split(self.project, np.bincount(depths(members, layers)).tolist())
            projected = [flat[:, -1 - depth] @ share for depth, share in enumerate(shares)]
            hidden = torch.cat(projected).reshape(members, m, a, width)
            message = _collected(edges, self.radial, hidden)
            own = torch.matmul(hidden.reshape(members, -1, width), self.mix).reshape(hidden.shape)
            inner = (message + own) * width**0.5 + self.bias[:, None, None]
            hidden = hidden + _RESIDUAL / width**0.5 * torch.tanh(inner)
            embedded = embedded.index_copy(1, rows, hidden.mean(dim=2))
        return embedded


def depths(members: int, layers: int) -> list[int]:
    """The potential's layer that each member uses, counted backwards from the last one (0).

    The last layer describes best what the energy depends on, earlier layers describe more of an
    atom and its neighbours. Members that use different layers disagree where that matters.
    """
    return [k * layers // members for k in range(members)]


def _collected(edges: Tensor, radial: Tensor, hidden: Tensor) -> Tensor:
    """What each atom receives from its neighbours, weighted by distance: (e, m, a, w).

    Args:
        edges: (m or 1, a, a, b).
        radial: (e, b, w).
        hidden: (e, m, a, w).
    """
    members, m, a, width = hidden.shape
    weights = torch.matmul(edges.reshape(-1, edges.shape[3]), radial)
    weights = weights.reshape(members, len(edges), a, a, width)
    if len(edges) < m:
        return torch.einsum("eijw,emjw->emiw", weights[:, 0], hidden)
    return (weights * hidden[:, :, None]).sum(dim=3)


@dataclass(frozen=True)
class Scales:
    """Logarithms of the scales of the last layer's prior, one set per member.

    Args:
        wave: (e,), amplitude of the random Fourier features.
        lengths: (e, 1 + blocks), length scales of the hidden features and of each block.
        slopes: (e, 1 + blocks), of the linear part.
        extra: (e, max(1, fidelities)), weight of the columns of each lower fidelity.
        noise: (e,), label noise in addition to the stated errors.
    """

    wave: Tensor
    lengths: Tensor
    slopes: Tensor
    extra: Tensor
    noise: Tensor

    def to(self, dtype: torch.dtype) -> Scales:
        """The same scales in another precision."""
        return Scales(*(p.detach().to(dtype) for p in self.all))

    @property
    def all(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """All scales, in the order of the constructor."""
        return self.wave, self.lengths, self.slopes, self.extra, self.noise


def features(networks: Networks, scales: Scales, inputs: Graphs) -> Tensor:
    """Features (e, n, r) of the last layer, scaled so that its weights are standard normal.

    A constant, random Fourier features of hidden features and descriptors (which approximate a
    squared-exponential kernel: Rahimi & Recht, NeurIPS 2007), both linearly, and the columns of
    lower fidelities. The scalar product of two materials' features is their prior covariance.
    """
    members = len(networks.bias)
    parts = [
        networks.embed(inputs),
        *(block.expand(members, *block.shape) for block in inputs.blocks),
    ]
    over = scales.lengths.neg().exp()
    slope = scales.slopes.exp()
    stretched = torch.cat([p * over[:, k, None, None] for k, p in enumerate(parts)], dim=2)
    phase = torch.matmul(stretched, networks.waves)
    amplitude = (scales.wave.exp() / phase.shape[2] ** 0.5)[:, None, None]
    linear = [p * slope[:, k, None, None] for k, p in enumerate(parts)]
    constant = torch.ones(members, inputs.n, 1, dtype=phase.dtype)
    columns = inputs.extras.shape[1]
    weight = scales.extra.exp().repeat_interleave(3, dim=1)[:, None, :columns]
    return torch.cat(
        [
            constant,
            amplitude * phase.cos(),
            amplitude * phase.sin(),
            *linear,
            inputs.extras * weight,
        ],
        dim=2,
    )
