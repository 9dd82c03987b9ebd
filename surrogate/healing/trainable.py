"""SevenNet and CHGNet with a common interface for training; imported only for fine-tuning.

This module hides where the two libraries differ: graphs, units and file formats. The training
itself is in `surrogate.healing.fine_tuning_loop`.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from ase import Atoms, units
from torch import Tensor, nn

from oracle.potentials.loaders import device
from oracle.potentials.table import FAMILIES, POTENTIALS, weights_path
from oracle.runtime.files import write_whole

_TENSOR = [0, 1, 2, 4, 5, 3]  # SevenNet's order of stress components to Voigt's
_VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])
_PLAIN = (bool, int, float, str, type(None))


class Trainable(Protocol):
    """A potential whose forces are differentiable with respect to its weights."""

    family: str
    """The prefix with which ``family:/path`` loads the file that `write` writes."""
    model: nn.Module

    def graph(self, atoms: Atoms) -> Any:
        """The neighbour graph of a structure, as `predict` takes it."""
        ...

    def predict(self, graph: Any) -> tuple[Tensor, Tensor]:
        """Forces (n, 3) in eV/Å and stress (6,) in eV/Å³ (ASE's sign, Voigt order)."""
        ...

    def write(self, path: Path) -> None:
        """Write the weights as a checkpoint of the library that needs no pickled classes."""
        ...


def trainable(potential: str) -> Trainable:
    """A potential ready for training, on a GPU where there is one.

    Args:
        potential: a SevenNet or CHGNet, by its name in `POTENTIALS` or as ``family:/path``.

    Raises:
        ValueError: a potential of another library, or one trained on several functionals.
    """
    family, path = _source(potential)
    if family == "sevenn":
        return _SevenNet(path)
    return _CHGNet(path)


def _source(potential: str) -> tuple[str, Path]:
    """Package and weights file of a potential that can be trained."""
    prefix, colon, text = potential.partition(":")
    package, path = "", None
    if colon and prefix in FAMILIES:
        package, path = FAMILIES[prefix].package, Path(text).expanduser()
    elif potential in POTENTIALS:
        package, path = POTENTIALS[potential].package, weights_path(potential)
    if package not in ("sevenn", "chgnet"):
        raise ValueError(
            f"got the potential {potential!r}; expected one of SevenNet or CHGNet, the two that "
            "can be fine-tuned here"
        )
    if path is None or not path.is_file():
        raise ValueError(f"potential {potential!r}: no weights at {path}; check the path")
    return package, path


@dataclass
class _SevenNet:
    """SevenNet from a checkpoint."""

    path: Path
    family: str = field(default="7net", init=False)
    model: Any = field(init=False)

    def __post_init__(self) -> None:
        from sevenn.util import load_checkpoint

        self._checkpoint = load_checkpoint(str(self.path))
        if self._checkpoint.config.get("use_modality"):
            raise ValueError(
                f"{self.path.name} was trained on several functionals; expected a SevenNet with "
                "one, for instance 7net-0"
            )
        self.model = self._checkpoint.build_model()
        self.model.set_is_batch_data(False)
        self.model.to(device())
        self.model.train()
        # The nodes of the radial basis stay fixed: all other weights were trained for them.
        self.model.edge_embedding.basis_function.requires_grad_(False)

    def graph(self, atoms: Atoms) -> Any:
        from sevenn.atom_graph_data import AtomGraphData
        from sevenn.train.dataload import unlabeled_atoms_to_graph

        known = self._checkpoint.config["_type_map"]
        missing = sorted({int(z) for z in atoms.numbers} - set(known))
        if missing:
            raise ValueError(f"{self.path.name} does not know the atomic numbers {missing}")
        plain = unlabeled_atoms_to_graph(atoms, self._checkpoint.config["cutoff"])
        return AtomGraphData.from_numpy_dict(plain).to(device())

    def predict(self, graph: Any) -> tuple[Tensor, Tensor]:
        output = self.model(graph.clone())
        return output["inferred_force"], -output["inferred_stress"][_TENSOR]

    def write(self, path: Path) -> None:
        import sevenn

        # The weights have the layout of the installed version, not of the version that wrote the
        # original checkpoint: its patches for old versions must not be applied a second time.
        config = _plain(self._checkpoint.config) | {"version": sevenn.__version__}
        content = {
            "model_state_dict": {k: v.detach().cpu() for k, v in self.model.state_dict().items()},
            "optimizer_state_dict": {},
            "scheduler_state_dict": {},
            "config": config,
            "epoch": 0,
            "time": "",
            "hash": "",
        }
        _write(path, content)


@dataclass
class _CHGNet:
    """CHGNet from a checkpoint."""

    path: Path
    family: str = field(default="chgnet", init=False)
    model: Any = field(init=False)

    def __post_init__(self) -> None:
        from chgnet.model.model import CHGNet

        with contextlib.redirect_stdout(io.StringIO()):  # it prints its device
            self.model = CHGNet.from_file(str(self.path)).to(device())
        self.model.train()
        self.model.composition_model.requires_grad_(False)  # element energies do not affect forces

    def graph(self, atoms: Atoms) -> Any:
        from pymatgen.io.ase import AseAtomsAdaptor

        graph = self.model.graph_converter(AseAtomsAdaptor.get_structure(atoms))
        return graph.to(device())

    def predict(self, graph: Any) -> tuple[Tensor, Tensor]:
        output = self.model([graph], task="efs")
        return output["f"][0], output["s"][0][_VOIGT] * units.GPa

    def write(self, path: Path) -> None:
        state = {k: v.detach().cpu() for k, v in self.model.state_dict().items()}
        _write(path, {"model": {"state_dict": state, "model_args": _plain(self.model.model_args)}})


def _plain(value: Any) -> Any:
    """The value in types that can be read without pickled classes; arrays become lists."""
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value if isinstance(value, (*_PLAIN, Tensor)) else str(value)


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically, after checking that it can be read without pickled classes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    written = buffer.getvalue()
    torch.load(io.BytesIO(written), weights_only=True)
    write_whole(path, written)
