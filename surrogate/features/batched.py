"""Energies and node features of many small crystals in one graph: what makes screening cheap.

A potential's evaluation of two to five atoms is mostly overhead. Crystals that share a graph share
it, and energies without forces spare the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

from surrogate.features.node_features import gated_layers

Array = NDArray[np.float64]
_EDGES = 1200  # of one graph: more do not fit into a core's cache, less is overhead


@dataclass(frozen=True)
class Neighbours:
    """Pairs of atoms of a crystal, in the order in which they are found.

    Args:
        numbers: (a,), atomic numbers.
        pairs: (2, p), indices of centres and neighbours.
        vectors: (p, 3), from centre to neighbour, Å.
        lengths: (p,), of the vectors, Å.
    """

    numbers: NDArray[np.int64]
    pairs: NDArray[np.int64]
    vectors: Array
    lengths: Array

    @classmethod
    def of(cls, structure: Structure, radius: float) -> Neighbours:
        """All pairs within a radius in Å, those with periodic images included."""
        centres, others, images, lengths = structure.get_neighbor_list(radius)
        fractions = structure.frac_coords[others] + images - structure.frac_coords[centres]
        return cls(
            np.array(structure.atomic_numbers, dtype=np.int64),
            np.array([centres, others], dtype=np.int64),
            fractions @ structure.lattice.matrix,
            lengths,
        )

    def scaled(self, scale: float, cutoff: float) -> Neighbours:
        """The pairs within the cutoff in Å once all lengths are multiplied by `scale`."""
        near = self.lengths * scale <= cutoff
        return Neighbours(
            self.numbers,
            self.pairs[:, near],
            self.vectors[near] * scale,
            self.lengths[near] * scale,
        )


@dataclass(frozen=True)
class Looked:
    """What one evaluation of a crystal gives.

    Args:
        energy: of the cell, eV.
        nodes: (a, l, d), features of each atom after the potential's last interactions.
    """

    energy: float
    nodes: NDArray[np.float32]


class BatchedPotential:
    """A SevenNet that is asked for several crystals at once; see `batched`.

    Results depend in the last digits of single precision on what shares a graph, so that who
    wants equal results twice gives equal lists.

    Args:
        engine: the ASE calculator.
    """

    def __init__(self, engine: Any) -> None:
        self._device = engine.device
        self._model = engine.model
        names = [name for name, _ in self._model.named_children()]
        self._layers = [m for name, m in self._model.named_children()][: names.index(_LAST) + 1]
        self._gates = {place: width for place, _, width in gated_layers(self._model)}
        self.cutoff = float(engine.cutoff)
        """Å."""
        self.elements = frozenset(int(z) for z in engine.type_map)
        """Atomic numbers that the potential knows."""

    def __call__(self, crystals: Sequence[Neighbours]) -> list[Looked]:
        """Energy and node features of each crystal, in their order.

        Args:
            crystals: with all pairs within `cutoff`, and of known `elements` only.
        """
        return [found for graph in _graphs(crystals) for found in self._evaluated(graph)]

    def _evaluated(self, crystals: list[Neighbours]) -> Iterator[Looked]:
        import torch

        sizes = [len(crystal.numbers) for crystal in crystals]
        starts = np.cumsum([0, *sizes])
        pairs = [c.pairs + start for c, start in zip(crystals, starts, strict=False)]
        data: Any = {
            "atomic_numbers": torch.from_numpy(np.concatenate([c.numbers for c in crystals])),
            "edge_index": torch.from_numpy(np.concatenate(pairs, axis=1)),
            "edge_vec": torch.from_numpy(
                np.concatenate([c.vectors for c in crystals]).astype(np.float32)
            ),
            "num_atoms": torch.tensor(sizes),
            "batch": torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)),
        }
        data = {name: tensor.to(self._device) for name, tensor in data.items()}
        seen = []
        with torch.no_grad():
            data = self._model._preprocess(data)
            for k, layer in enumerate(self._layers):
                data = layer(data)
                if k in self._gates:
                    seen.append(data["x"][:, : self._gates[k]].cpu().numpy())
        nodes = np.stack(seen, axis=1)
        energies = data["atomic_energy"].cpu().numpy().reshape(-1).astype(np.float64)
        for start, size in zip(starts, sizes, strict=False):
            at = slice(start, start + size)
            yield Looked(float(energies[at].sum()), nodes[at])


_LAST = "rescale_atomic_energy"  # what follows sums over the graph and takes derivatives


def batched(engine: Any) -> BatchedPotential | None:
    """The potential as one that takes several crystals at once; None where it is no SevenNet.

    Those that learned several functionals are left out too.
    """
    model: Any = getattr(engine, "model", None)
    if not hasattr(model, "named_children") or getattr(engine, "modal", None) is not None:
        return None
    names = [name for name, _ in model.named_children()]
    known = _LAST in names and bool(gated_layers(model)) and hasattr(engine, "type_map")
    return BatchedPotential(engine) if known else None


def _graphs(crystals: Sequence[Neighbours]) -> Iterator[list[Neighbours]]:
    """Consecutive crystals with at most `_EDGES` pairs together, at least one each."""
    graph: list[Neighbours] = []
    edges = 0
    for crystal in crystals:
        count = crystal.pairs.shape[1]
        if graph and edges + count > _EDGES:
            yield graph
            graph, edges = [], 0
        graph.append(crystal)
        edges += count
    if graph:
        yield graph
