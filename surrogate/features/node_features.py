"""What a frozen potential knows of each atom: invariant features after its last few layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.structure import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.potentials.table import calculator
from surrogate.features.descriptors import element_descriptors

LAYERS = 3
"""Most layers whose features are kept."""


def node_features(potential: str, structure: Structure) -> NDArray[np.float32]:
    """Invariant features (a, l, d) of each atom after the potential's last l interactions.

    The last layer comes last. Potentials that show none give one layer of properties of the
    elements.

    Raises:
        OracleError: stage ``read``; the potential is unknown or not installed.
    """
    engine = calculator(potential)
    model: Any = getattr(engine, "model", None)
    if hasattr(model, "predict_structure"):  # CHGNet; its last interaction serves magnetic moments
        with _heard(list(model.atom_conv_layers)[:-1][-LAYERS:]) as seen:
            model.predict_structure(structure, task="e")
        return _stacked(seen, len(structure))
    gates = gated_layers(model)
    if gates:
        with _heard([module for _, module, _ in gates]) as seen:
            engine.calculate(AseAtomsAdaptor.get_atoms(structure))
        return _stacked([x[:, :width] for x, (_, _, width) in zip(seen, gates, strict=True)],
                        len(structure))  # fmt: skip
    return element_descriptors(structure)[:, None]


def gated_layers(model: Any) -> list[tuple[int, Any, int]]:
    """SevenNet's last gates: place among its modules, module, and number of scalars.

    Behind a gate each atom's features are scalars first, then what turns with the crystal; behind
    the last one all are scalars. Only as many layers as have the scalars of the last one; none
    where the model is no SevenNet.
    """
    if not hasattr(model, "named_children"):
        return []
    found = [
        (k, module, _scalars(module))
        for k, (name, module) in enumerate(model.named_children())
        if name.endswith("equivariant_gate")
    ]
    return [gate for gate in found if gate[2] == found[-1][2]][-LAYERS:]


def _scalars(gate: Any) -> int:
    """How many of a gate's first output columns are scalars."""
    first = gate.gate.irreps_out[0]
    return int(first.mul) if first.ir.l == 0 else 0


@contextmanager
def _heard(modules: list[Any]) -> Iterator[list[NDArray[np.float32]]]:
    """What modules give while the context lasts, in the order in which they are called."""
    seen: list[NDArray[np.float32]] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        values = output["x"] if hasattr(output, "keys") else output
        seen.append(values.detach().cpu().numpy().copy())

    handles = [module.register_forward_hook(keep) for module in modules]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _stacked(seen: list[NDArray[np.float32]], atoms: int) -> NDArray[np.float32]:
    """Features of layers (a or more, d) as (a, l, d)."""
    return np.ascontiguousarray(np.stack([x[:atoms] for x in seen], axis=1), dtype=np.float32)
