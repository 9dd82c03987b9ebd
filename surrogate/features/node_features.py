"""Invariant features of each atom, read from the last layers of a frozen potential."""

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
"""Largest number of layers whose features are used."""


def node_features(potential: str, structure: Structure) -> NDArray[np.float32]:
    """Invariant features (a, l, d) of each atom after each of the potential's last l interactions.

    Potentials that do not expose any give a single layer of element properties.

    Raises:
        OracleError: stage ``read``; the potential is unknown or not installed.
    """
    engine = calculator(potential)
    model: Any = getattr(engine, "model", None)
    if hasattr(model, "predict_structure"):  # CHGNet; its last interaction serves magnetic moments
        with _recorded_outputs(list(model.atom_conv_layers)[:-1][-LAYERS:]) as outputs:
            model.predict_structure(structure, task="e")
        return _stacked(outputs, len(structure))
    gates = gated_layers(model)
    if gates:
        with _recorded_outputs([module for _, module, _ in gates]) as outputs:
            engine.calculate(AseAtomsAdaptor.get_atoms(structure))
        return _stacked([x[:, :width] for x, (_, _, width) in zip(outputs, gates, strict=True)],
                        len(structure))  # fmt: skip
    return element_descriptors(structure)[:, None]


def gated_layers(model: Any) -> list[tuple[int, Any, int]]:
    """SevenNet's last gates: index among its modules, module, and number of scalar features.

    The output of a gate lists each atom's scalar features first, then those that rotate with the
    crystal; the last gate gives scalars only. Gates with fewer or more scalars than the last one
    are left out. The list is empty where the model is not a SevenNet.
    """
    if not hasattr(model, "named_children"):
        return []
    gates = [
        (k, module, _scalars(module))
        for k, (name, module) in enumerate(model.named_children())
        if name.endswith("equivariant_gate")
    ]
    return [gate for gate in gates if gate[2] == gates[-1][2]][-LAYERS:]


def _scalars(gate: Any) -> int:
    """Number of scalars among a gate's first output columns."""
    first = gate.gate.irreps_out[0]
    return int(first.mul) if first.ir.l == 0 else 0


@contextmanager
def _recorded_outputs(modules: list[Any]) -> Iterator[list[NDArray[np.float32]]]:
    """Outputs of modules while the context is active, in the order of their calls."""
    outputs: list[NDArray[np.float32]] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        values = output["x"] if hasattr(output, "keys") else output
        outputs.append(values.detach().cpu().numpy().copy())

    handles = [module.register_forward_hook(keep) for module in modules]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _stacked(outputs: list[NDArray[np.float32]], atoms: int) -> NDArray[np.float32]:
    """The first `atoms` rows of each layer's features, stacked to (a, l, d)."""
    return np.ascontiguousarray(np.stack([x[:atoms] for x in outputs], axis=1), dtype=np.float32)
