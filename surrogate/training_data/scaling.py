"""Inputs and targets on the scale of 1, with sane statistics for very small training sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surrogate.features.inputs import Inputs

Array = NDArray[np.float64]
_CLIP = 5.0  # standard deviations; a stranger counts as far, not as infinitely far
_TRUST = 0.5  # of a physical prior mean, in units of the modelled scale
_NODE_SPREAD = 0.5  # typical spread of a node feature relative to the size of all of them


@dataclass(frozen=True)
class Columns:
    """Centre and spread (g,) of some columns, learned from a training set.

    The variance is that of the training set with one pseudo-observation of the typical one, so
    that a single material, or a column without variation, does no harm.
    """

    centre: Array
    spread: Array

    @classmethod
    def of(cls, table: Array, typical: Array) -> Columns:
        """Statistics of a table (n, g) with NaN where unknown; `typical` spreads are (g,)."""
        known = np.isfinite(table)
        count = np.maximum(known.sum(axis=0), 1)
        centre = np.where(known, table, 0.0).sum(axis=0) / count
        squares = np.where(known, np.square(table - centre), 0.0).sum(axis=0)
        spread = np.sqrt((squares + np.square(typical)) / (count + 1.0))
        return cls(centre, np.maximum(spread, 1e-12))

    def apply(self, table: Array) -> Array:
        """Standardised columns, 0 where unknown."""
        scaled = np.clip((table - self.centre) / self.spread, -_CLIP, _CLIP)
        return np.where(np.isfinite(table), scaled, 0.0)


@dataclass(frozen=True)
class InputScale:
    """Standardises everything in `Inputs`.

    Args:
        blocks: of the global descriptors.
        nodes: of the mean over atoms of the node features, one for each layer.
        edges: root mean square of the edge features.
    """

    blocks: tuple[Columns, ...]
    nodes: tuple[Columns, ...]
    edges: float

    @classmethod
    def of(cls, inputs: Inputs) -> InputScale:
        """Statistics of a training set."""
        squares = [float(np.mean(np.square(g.edges, dtype=np.float64))) for g in inputs.groups]
        return cls(
            tuple(
                Columns.of(_with_mirror(table, mirror), spreads)
                for table, mirror, spreads in zip(
                    inputs.blocks, inputs.mirrors, inputs.spreads, strict=True
                )
            ),
            tuple(_node_columns(inputs.pooled(k)) for k in range(inputs.features[0])),
            max(float(np.sqrt(np.mean(squares))), 1e-6),
        )

    def globals(self, inputs: Inputs) -> list[Array]:
        """Each block standardised and divided by the root of its width: rows of length about 1."""
        return [
            columns.apply(table) / np.sqrt(table.shape[1])
            for columns, table in zip(self.blocks, inputs.blocks, strict=True)
        ]

    def pooled(self, inputs: Inputs) -> Array:
        """Mean node features of the last layer, standardised in the same way: (n, d)."""
        width = self.features[1]
        pooled = inputs.pooled()
        if inputs.features != self.features:  # nothing but unknown nodes, or but known ones
            pooled = np.full((inputs.n, width), np.nan)
        return np.asarray(self.nodes[-1].apply(pooled) / np.sqrt(width))

    @property
    def features(self) -> tuple[int, int]:
        """Layers and features per atom."""
        return len(self.nodes), len(self.nodes[0].centre)


@dataclass(frozen=True)
class Descriptors:
    """What a Gaussian process sees: global descriptors, and of crystals the mean node features.

    Args:
        scale: of a training set.
    """

    scale: InputScale

    def blocks(self, inputs: Inputs) -> list[Array]:
        """Standardised blocks (n, g_b)."""
        blocks = self.scale.globals(inputs)
        return [*blocks, self.scale.pooled(inputs)] if inputs.descriptors else blocks

    def __call__(self, inputs: Inputs, extras: Array) -> Array:
        """All columns (n, g + c)."""
        return joined([*self.blocks(inputs), extras])


@dataclass(frozen=True)
class TargetScale:
    """Targets are ``(value - prior mean - centre) / spread``.

    Args:
        centre: how far the prior mean is off on average.
        spread: typical size of what is left.
    """

    centre: float
    spread: float

    @classmethod
    def of(cls, residuals: Array, *, physical: bool, typical: float | None = None) -> TargetScale:
        """The scale for residuals (n,) of the labels.

        A physical prior is trusted within half a unit (half a decade for logarithms), worth two
        labels for the spread and one for the centre. Without one, the labels alone decide from
        three on.

        Args:
            residuals: (n,), of the labels.
            physical: whether a prior was taken off.
            typical: their expected size where it is known better than that.
        """
        n, trusted = len(residuals), _TRUST if typical is None else typical
        if physical:
            centre = float(residuals.sum() / (n + 1.0))
            squares = float(np.square(residuals - centre).sum())
            return cls(centre, float(np.sqrt((squares + 2 * trusted**2) / (n + 2.0))))
        centre = float(residuals.mean()) if n else 0.0
        spread = float(residuals.std()) if n >= 3 else max(trusted, 0.5 * abs(centre))
        return cls(centre, max(spread, 1e-6 * max(1.0, abs(centre))))


def _node_columns(pooled: Array) -> Columns:
    """Statistics of the mean node features (n, d) of one layer."""
    size = np.sqrt(np.nanmean(np.square(pooled))) if np.isfinite(pooled).any() else 1.0
    return Columns.of(pooled, np.full(pooled.shape[1], max(_NODE_SPREAD * float(size), 1e-6)))


def _with_mirror(table: Array, mirror: NDArray[np.int64]) -> Array:
    """A table (n, g), with the reversed sequences below, so that both get the same statistics."""
    if np.array_equal(mirror, np.arange(table.shape[1])):
        return table
    return np.concatenate([table, table[:, mirror]])


def joined(blocks: Sequence[Array]) -> Array:
    """Blocks side by side."""
    return np.concatenate(list(blocks), axis=1)
