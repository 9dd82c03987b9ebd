"""Energies and node features of many small crystals in one graph, which makes screening cheap.

Evaluating a potential for two to five atoms is mostly overhead. Crystals in one graph share that
overhead, and energies without forces need no backward pass.
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
_EDGES = 1200  # most per graph: more do not fit into a core's cache, fewer leave overhead


@dataclass(frozen=True)
class Neighbours:
    """Neighbour list of a crystal.

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
        """All pairs within a radius in Å, including periodic images."""
        centres, others, images, lengths = structure.get_neighbor_list(radius)
        fractions = structure.frac_coords[others] + images - structure.frac_coords[centres]
        return cls(
            np.array(structure.atomic_numbers, dtype=np.int64),
            np.array([centres, others], dtype=np.int64),
            fractions @ structure.lattice.matrix,
            lengths,
        )

    def scaled(self, scale: float, cutoff: float) -> Neighbours:
        """The pairs within the cutoff (Å) after all lengths are multiplied by `scale`."""
        near = self.lengths * scale <= cutoff
        return Neighbours(
            self.numbers,
            self.pairs[:, near],
            self.vectors[near] * scale,
            self.lengths[near] * scale,
        )


@dataclass(frozen=True)
class CellEvaluation:
    """Result of evaluating the potential for one crystal.

    Args:
        energy: of the cell, eV.
        nodes: (a, l, d), features of each atom after each of the potential's last l interactions.
    """

    energy: float
    nodes: NDArray[np.float32]


class BatchedPotential:
    """A SevenNet that evaluates several crystals in one graph; see `batched`.

    The last digits (in single precision) of a result depend on which crystals share the graph, so
    only equal lists give exactly equal results.

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
        """Radius of the neighbour list, Å."""
        self.elements = frozenset(int(z) for z in engine.type_map)
        """Atomic numbers that the potential supports."""

    def __call__(self, crystals: Sequence[Neighbours]) -> list[CellEvaluation]:
        """Energy and node features of each crystal, in their order.

        Args:
            crystals: with all pairs within `cutoff`, and of supported `elements` only.
        """
        return [evaluation for graph in _graphs(crystals) for evaluation in self._evaluated(graph)]

    def _evaluated(self, crystals: list[Neighbours]) -> Iterator[CellEvaluation]:
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
        layer_outputs = []
        with torch.no_grad():
            data = self._model._preprocess(data)
            for k, layer in enumerate(self._layers):
                data = layer(data)
                if k in self._gates:
                    layer_outputs.append(data["x"][:, : self._gates[k]].cpu().numpy())
        nodes = np.stack(layer_outputs, axis=1)
        energies = data["atomic_energy"].cpu().numpy().reshape(-1).astype(np.float64)
        for start, size in zip(starts, sizes, strict=False):
            rows = slice(start, start + size)
            yield CellEvaluation(float(energies[rows].sum()), nodes[rows])


_LAST = "rescale_atomic_energy"  # later modules sum over the graph and take derivatives


def batched(engine: Any) -> BatchedPotential | None:
    """A batched version of the potential; None where it is not a SevenNet.

    SevenNets trained on several functionals are not supported either.
    """
    model: Any = getattr(engine, "model", None)
    if not hasattr(model, "named_children") or getattr(engine, "modal", None) is not None:
        return None
    names = [name for name, _ in model.named_children()]
    is_sevennet = _LAST in names and bool(gated_layers(model)) and hasattr(engine, "type_map")
    return BatchedPotential(engine) if is_sevennet else None


def _graphs(crystals: Sequence[Neighbours]) -> Iterator[list[Neighbours]]:
    """Groups of consecutive crystals with at most `_EDGES` pairs in total; at least one crystal."""
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
