"""Transmission through many sequences at once by recursive Green's functions.

Sequences that begin alike share the surface functions of their left parts, and those that end alike
share the surface functions of their right parts. Where both meet, Caroli's formula (Caroli,
Combescot, Nozieres and Saint-James, J. Phys. C 4, 916, 1971) needs the two surface functions and
the block between them:

    T = Tr[Gamma Q A Q^+],  Q = (1 - g_R Sigma)^-1,  Sigma = V^+ g_L V,
    Gamma = i (Sigma - Sigma^+),  A = i (g_R - g_R^+).

Only atoms that couple to the next principal layer enter, on either side of the cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

Tensor = torch.Tensor


@dataclass(frozen=True)
class Chain:
    """A design as a sequence of block keys, from the left lead to the right lead.

    Args:
        onsite: keys of the principal layers between the leads, left to right.
        coupling: keys of the blocks to the right of the left lead and of each of these.
    """

    onsite: tuple[str, ...]
    coupling: tuple[str, ...]


@dataclass(frozen=True)
class Blocks:
    """Blocks of the dynamical matrix by key, at one or more points, the first dimension.

    Args:
        squared: (p,), squared frequencies.
        onsite: key to (1 or p, n, n).
        coupling: key to (1 or p, r, c), between `rows` of a principal layer and `columns` of the
            next.
        rows: degrees of freedom that couple to the right.
        columns: degrees of freedom that couple to the left.
        left: (p, r, r), surface function of the left lead at `rows`.
        right: (p, c, c), surface function of the right lead at `columns`.
    """

    squared: Tensor
    onsite: dict[str, Tensor]
    coupling: dict[str, Tensor]
    rows: Tensor
    columns: Tensor
    left: Tensor
    right: Tensor


def transmission(chains: Sequence[Chain], blocks: Blocks, limit: int = 200_000_000) -> Tensor:
    """Transmission (n_chains, p) of chains of equal length.

    Args:
        chains: the designs between the leads.
        blocks: at p points.
        limit: largest size of an intermediate result, bytes; points are processed in portions.
    """
    schedule = _Schedule(chains)
    size = max(next(iter(blocks.onsite.values())).shape[-1], 1)
    each = 16 * (schedule.widest * size * size + 6 * len(chains) * len(blocks.columns) ** 2)
    step = max(1, limit // each)
    parts = []
    for start in range(0, len(blocks.squared), step):
        parts.append(_portion(schedule, _points(blocks, slice(start, start + step))))
    return torch.cat(parts, dim=1)


@dataclass(frozen=True)
class _Level:
    """One step of the recursion: the states from which it starts, and the blocks that it adds."""

    source: Tensor
    onsite: Tensor
    coupling: Tensor


class _Schedule:
    """The distinct left parts, right parts and junctions of many chains, each computed once."""

    def __init__(self, chains: Sequence[Chain]) -> None:
        length = len(chains[0].onsite)
        if any(len(c.onsite) != length or len(c.coupling) != length + 1 for c in chains):
            raise ValueError(
                "chains: expected all of the same length, each with one coupling more than layers"
            )
        meeting = (length + 1) // 2  # the coupling at which both parts meet
        self.onsite = sorted({key for chain in chains for key in chain.onsite})
        self.coupling = sorted({key for chain in chains for key in chain.coupling})
        on = {key: i for i, key in enumerate(self.onsite)}
        across = {key: i for i, key in enumerate(self.coupling)}
        forward = [
            [(across[c.coupling[i]], on[c.onsite[i]]) for i in range(meeting)] for c in chains
        ]
        backward = [
            [
                (across[c.coupling[i + 1]], on[c.onsite[i]])
                for i in range(length - 1, meeting - 1, -1)
            ]
            for c in chains
        ]
        self.left, left = _levels(forward)
        self.right, right = _levels(backward)
        pairs = [(s, across[c.coupling[meeting]]) for s, c in zip(left, chains, strict=True)]
        distinct = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}
        self.ends = torch.tensor([pair[0] for pair in distinct])
        self.across = torch.tensor([pair[1] for pair in distinct])
        self.pairs = torch.tensor([distinct[pair] for pair in pairs])
        self.partners = torch.tensor(right)
        self.widest = max([len(x.source) for x in (*self.left, *self.right)], default=1)


def _levels(steps: list[list[tuple[int, int]]]) -> tuple[list[_Level], list[int]]:
    """Levels of the tree that all lists of steps form, and the leaf in which each list ends."""
    states = [0] * len(steps)
    levels = []
    for i in range(len(steps[0])):
        names = [(state, *step[i]) for state, step in zip(states, steps, strict=True)]
        distinct = {name: k for k, name in enumerate(dict.fromkeys(names))}
        source, coupling, onsite = torch.tensor(list(distinct)).T
        levels.append(_Level(source, onsite, coupling))
        states = [distinct[name] for name in names]
    return levels, states


def _points(blocks: Blocks, part: slice) -> Blocks:
    """The blocks at some of the points."""

    def cut(x: Tensor) -> Tensor:
        return x if len(x) == 1 else x[part]

    return Blocks(
        blocks.squared[part],
        {key: cut(x) for key, x in blocks.onsite.items()},
        {key: cut(x) for key, x in blocks.coupling.items()},
        blocks.rows,
        blocks.columns,
        blocks.left[part],
        blocks.right[part],
    )


def _portion(schedule: _Schedule, blocks: Blocks) -> Tensor:
    """Transmission (n_chains, p) at the points of `blocks`."""
    onsite = torch.stack([blocks.onsite[key] for key in schedule.onsite], dim=1)
    coupling = torch.stack([blocks.coupling[key] for key in schedule.coupling], dim=1)
    left = blocks.left[:, None]
    for level in schedule.left:
        across = coupling[:, level.coupling]
        energy = across.mH @ left[:, level.source] @ across
        left = _added(blocks, onsite[:, level.onsite], energy, blocks.columns, blocks.rows)
    right = blocks.right[:, None]
    for level in schedule.right:
        across = coupling[:, level.coupling]
        energy = across @ right[:, level.source] @ across.mH
        right = _added(blocks, onsite[:, level.onsite], energy, blocks.rows, blocks.columns)
    across = coupling[:, schedule.across]
    sigma = across.mH @ left[:, schedule.ends] @ across
    gamma = 1j * (sigma - sigma.mH)
    spectral = 1j * (right - right.mH)
    partners = right[:, schedule.partners]
    eye = torch.eye(partners.shape[-1], dtype=partners.dtype, device=partners.device)
    q = torch.linalg.inv(eye - partners @ sigma[:, schedule.pairs])
    emitted = gamma[:, schedule.pairs] @ q
    received = q @ spectral[:, schedule.partners]
    return (emitted * received.conj()).sum(dim=(-2, -1)).real.T


def _added(blocks: Blocks, onsite: Tensor, energy: Tensor, near: Tensor, far: Tensor) -> Tensor:
    """Surface function at the `far` side after one more principal layer."""
    size = onsite.shape[-1]
    eye = torch.eye(size, dtype=onsite.dtype, device=onsite.device)
    matrix = blocks.squared[:, None, None, None] * eye - onsite
    matrix[..., near[:, None], near] -= energy
    return torch.linalg.solve(matrix, eye[:, far].expand(*matrix.shape[:2], -1, -1))[..., far, :]
