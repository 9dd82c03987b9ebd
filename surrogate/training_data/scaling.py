"""Standardisation of inputs and targets that is robust for very small training sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surrogate.features.inputs import Inputs

Array = NDArray[np.float64]
_CLIP = 5.0  # standard deviations; limits how far an outlier can lie from the training set
_TRUST = 0.5  # expected error of a physical prior mean, in units of the modelled scale
_NODE_SPREAD = 0.5  # typical spread of a node feature relative to the root mean square of all


@dataclass(frozen=True)
class Columns:
    """Centre and spread (g,) of some columns, learned from a training set.

    The variance includes one pseudo-observation with the typical spread, so that a single
    material, or a column without variation, does not lead to a division by zero.
    """

    centre: Array
    spread: Array

    @classmethod
    def of(cls, table: Array, typical: Array) -> Columns:
        """Statistics of a table (n, g), NaN where unknown; `typical` (g,) are expected spreads."""
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
        blocks: statistics of each block of global descriptors.
        nodes: statistics of the node features, averaged over atoms, for each layer.
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
        """Each block, standardised and divided by the square root of its number of columns.

        Rows of each block then have a length of about 1.
        """
        return [
            columns.apply(table) / np.sqrt(table.shape[1])
            for columns, table in zip(self.blocks, inputs.blocks, strict=True)
        ]

    def pooled(self, inputs: Inputs) -> Array:
        """Node features (n, d) of the last layer, averaged over atoms and standardised likewise."""
        width = self.features[1]
        pooled = inputs.pooled()
        if inputs.features != self.features:  # only one of the two has known node features
            pooled = np.full((inputs.n, width), np.nan)
        return np.asarray(self.nodes[-1].apply(pooled) / np.sqrt(width))

    @property
    def features(self) -> tuple[int, int]:
        """Numbers of layers and of features per atom."""
        return len(self.nodes), len(self.nodes[0].centre)


@dataclass(frozen=True)
class Descriptors:
    """The inputs of a Gaussian process: global descriptors and, for crystals, mean node features.

    Args:
        scale: standardisation learned from a training set.
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
    """Standardisation of labels: targets are ``(value - prior mean - centre) / spread``.

    Args:
        centre: mean deviation of the labels from the prior mean.
        spread: typical size of the remaining residuals.
    """

    centre: float
    spread: float

    @classmethod
    def of(cls, residuals: Array, *, physical: bool, typical: float | None = None) -> TargetScale:
        """The scale that suits the residuals of n labels.

        A physical prior mean is expected to be right within half a unit (half a decade for
        logarithms); this expectation counts as two labels for the spread and one for the centre.
        Without a physical prior, only the labels count once there are three.

        Args:
            residuals: (n,), labels minus their prior mean.
            physical: whether a physical prior mean was subtracted.
            typical: expected size of the residuals; half a unit unless given.
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
    """Statistics of the atom-averaged node features (n, d) of one layer."""
    size = np.sqrt(np.nanmean(np.square(pooled))) if np.isfinite(pooled).any() else 1.0
    return Columns.of(pooled, np.full(pooled.shape[1], max(_NODE_SPREAD * float(size), 1e-6)))


def _with_mirror(table: Array, mirror: NDArray[np.int64]) -> Array:
    """The table with the rows of the reversed sequences appended, (n or 2 n, g).

    A sequence and its reverse then get the same statistics.
    """
    if np.array_equal(mirror, np.arange(table.shape[1])):
        return table
    return np.concatenate([table, table[:, mirror]])


def joined(blocks: Sequence[Array]) -> Array:
    """Concatenates blocks (n, g_b) column by column."""
    return np.concatenate(list(blocks), axis=1)
