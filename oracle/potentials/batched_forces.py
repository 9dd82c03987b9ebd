"""Forces of several supercells in one pass of a potential, where its library supports that.

A single supercell of 64 atoms does not keep a GPU busy. On a CPU one pass over several supercells
is no faster than one after the other (`benchmarks/README.md`), and threads are used instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from oracle.potentials.dft_settings import Potential
from oracle.potentials.loaders import device
from oracle.potentials.table import takes_several

Array = NDArray[np.float64]
_ATOMS = 512  # in one pass on a GPU


def atoms_of_one_pass(potential: Potential) -> int:
    """How many atoms one pass of a potential should have; 0 where passes bring no advantage."""
    return _ATOMS if takes_several(potential) and device() != "cpu" else 0


def forces_at_once(engine: Any, structures: Sequence[Atoms]) -> list[Array]:
    """Forces (n_atoms, 3) of each structure in eV/Å, from one pass over all of them.

    Args:
        engine: the ASE calculator of a SevenNet or a CHGNet.
        structures: periodic.

    Raises:
        TypeError: the calculator's library takes only one structure at a time.
    """
    if _is_sevennet(engine):
        return _sevennet(engine, structures)
    if _is_chgnet(engine):
        return _chgnet(engine, structures)
    raise TypeError(f"{type(engine).__name__} takes one structure at a time")


def _is_sevennet(engine: Any) -> bool:
    return hasattr(getattr(engine, "model", None), "set_is_batch_data")


def _is_chgnet(engine: Any) -> bool:
    return hasattr(getattr(engine, "model", None), "predict_graph")


def _sevennet(engine: Any, structures: Sequence[Atoms]) -> list[Array]:
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.train.dataload import unlabeled_atoms_to_graph
    from torch_geometric.data import Batch

    graphs = []
    for atoms in structures:
        engine.set_atoms(atoms)  # raises for unknown elements
        arrays = unlabeled_atoms_to_graph(atoms, engine.cutoff, with_shift=False)
        graph = AtomGraphData.from_numpy_dict(arrays)
        if engine.modal:
            graph["data_modality"] = engine.modal
        graphs.append(graph)
    data = Batch.from_data_list(graphs).to(engine.device)
    engine.model.set_is_batch_data(True)
    try:
        forces = engine.model(data)["inferred_force"].detach().cpu().numpy()
    finally:
        engine.model.set_is_batch_data(False)
    ends = np.cumsum([len(atoms) for atoms in structures])
    return [np.asarray(f, dtype=np.float64) for f in np.split(forces, ends[:-1])]


def _chgnet(engine: Any, structures: Sequence[Atoms]) -> list[Array]:
    from pymatgen.io.ase import AseAtomsAdaptor

    model = engine.model
    graphs = [model.graph_converter(AseAtomsAdaptor.get_structure(a)) for a in structures]
    predicted = model.predict_graph(graphs, task="ef", batch_size=len(graphs))
    each = predicted if isinstance(predicted, list) else [predicted]
    return [np.asarray(p["f"], dtype=np.float64) for p in each]
