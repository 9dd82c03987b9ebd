"""Force constants of a few neighbouring layers, for instance at an interface, computed once.

A window is a short sequence of layers. It is padded with copies of its end layers and relaxed with
the in-plane lattice of the lead; then the atoms of its middle layers are displaced one by one. Long
sequences are assembled from windows, see `oracle.green.library`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from oracle.green.hosts import Hosts, atoms_of, settle
from oracle.green.settings import GreenSettings
from oracle.potentials.forces import ForceField
from oracle.potentials.table import weights_digest
from oracle.runtime.digests import digest_of

Array = NDArray[np.float64]
_PADDING = 1  # number of copies of the end layers on either side of a window


@dataclass(frozen=True)
class Window:
    """Force constants of the middle layers of a window.

    Args:
        constants: (n_moved, 3, n_atoms, n_cells, 3), eV/Å²; first the atom that is displaced (in
            cell 0) and the direction, then the atom, cell and direction of the force.
        vectors: (n_cells, 2), the in-plane cells, in in-plane lattice vectors.
        shape: repetitions of the in-plane cell.
        flat: (n_atoms, 2), in-plane positions in lattice vectors.
        plane: (2, 2), rows, in-plane lattice vectors, Å.
        starts: index of the first atom of each layer of the padded window, then the number of
            atoms.
        first: index of the first middle layer in the padded window.
    """

    constants: Array
    vectors: NDArray[np.int64]
    shape: tuple[int, int]
    flat: Array
    plane: Array
    starts: tuple[int, ...]
    first: int


def compute(
    letters: str, middle: int, hosts: Hosts, settings: GreenSettings, field: ForceField
) -> Window:
    """Force constants of the `middle` innermost layers of a window, computed or from the store.

    Args:
        letters: of the window, left to right.
        middle: number of layers in its centre whose atoms are displaced.
        hosts: what the letters stand for.
        settings: of the oracle.
        field: computes forces.

    Raises:
        OracleError: stage ``relax`` or ``fc2``; it cannot be completed.
    """
    padded = letters[0] * _PADDING + letters + letters[-1] * _PADDING
    first = (len(padded) - middle) // 2
    layers = [hosts.layers[x] for x in padded]
    starts = tuple(int(n) for n in np.cumsum([0] + [len(x.symbols) for x in layers]))
    moved = range(starts[first], starts[first + middle])
    plane = layers[0].cell[:2, :2]
    lengths = np.linalg.norm(plane, axis=1)
    na, nb = (int(np.ceil(settings.in_plane_length / x - 1e-6)) for x in lengths)
    grid = np.array([(i, j) for i in range(na) for j in range(nb)])
    key = digest_of(
        {
            "weights": weights_digest(settings.potential),
            "layers": [[x.cell.tolist(), x.positions.tolist(), list(x.symbols)] for x in layers],
            "moved": list(moved),
            "shape": [na, nb],
            "displacement": settings.displacement,
            "fmax": settings.relax_fmax,
            "steps": settings.relax_steps,
        }
    )
    stored = field.store.load("windows", key)
    if stored is None:
        atoms = settle(atoms_of(layers), settings, field)
        arrays = _displaced(atoms, moved, grid, settings, field)
        field.store.save("windows", key, arrays, {"letters": letters})
    else:
        arrays = stored[0]
    return Window(arrays["constants"], grid, (na, nb), arrays["flat"], plane, starts, first)


def _displaced(
    atoms: Atoms, moved: range, grid: NDArray[np.int64], settings: GreenSettings, field: ForceField
) -> dict[str, Array]:
    """Force constants by central differences."""
    na, nb = (int(x) for x in grid.max(axis=0) + 1)
    cell = atoms.cell.array
    offsets = grid @ cell[:2]
    wide = Atoms(
        np.tile(atoms.numbers, len(grid)),
        positions=(atoms.positions[None] + offsets[:, None]).reshape(-1, 3),
        cell=[na * cell[0], nb * cell[1], cell[2]],
        pbc=True,
    )
    structures = []
    for i in moved:
        for axis in range(3):
            for sign in (1.0, -1.0):
                structure = wide.copy()
                structure.positions[i, axis] += sign * settings.displacement
                structures.append(structure)
    forces = field.many(structures, "fc2").reshape(len(moved), 3, 2, len(grid), len(atoms), 3)
    change = -(forces[:, :, 0] - forces[:, :, 1]) / (2.0 * settings.displacement)
    flat = np.linalg.solve(cell[:2, :2].T, atoms.positions[:, :2].T).T
    return {"constants": change.transpose(0, 1, 3, 2, 4).copy(), "flat": flat}


def fourier(window: Window, i: int, j: int, q: Array) -> NDArray[np.complex128]:
    """Fourier transform of the force constants between two layers.

    Args:
        window: that contains both layers, which are counted in the padded window.
        i: the layer whose atoms are displaced, one in the middle.
        j: the layer on whose atoms the forces act.
        q: (n, 2), in in-plane reciprocal lattice vectors.

    Returns:
        (n, 3 n_i, 3 n_j), eV/Å²; phases depend on the in-plane cell, not on positions within it.
    """
    begin = window.starts[window.first]
    rows = slice(window.starts[i] - begin, window.starts[i + 1] - begin)
    columns = slice(window.starts[j], window.starts[j + 1])
    constants = window.constants[rows][:, :, columns]
    moved = window.flat[window.starts[i] : window.starts[i + 1]]
    forced = window.flat[columns]
    phases = _phases(window, moved, forced, q)
    summed = np.einsum("iajrb,qijr->qiajb", constants, phases, optimize=True)
    return np.asarray(summed.reshape(len(q), 3 * len(moved), 3 * len(forced)))


def _phases(window: Window, moved: Array, forced: Array, q: Array) -> NDArray[np.complex128]:
    """Phases (n_q, n_i, n_j, n_cells), averaged over the nearest images of each pair of atoms.

    Args:
        window: gives in-plane lattice and cells.
        moved: (n_i, 2), in-plane positions of displaced atoms, in lattice vectors.
        forced: (n_j, 2), those of atoms on which forces act.
        q: (n_q, 2), in reciprocal lattice vectors.
    """
    shifts = np.array([(i, j) for i in (-2, -1, 0, 1) for j in (-2, -1, 0, 1)])
    images = window.vectors[:, None] + shifts[None] * np.array(window.shape)
    apart = forced[None, :, None, None] + images[None, None] - moved[:, None, None, None]
    lengths = np.linalg.norm(apart @ window.plane, axis=-1)
    nearest = lengths < lengths.min(axis=-1, keepdims=True) + 1e-3
    weights = nearest / nearest.sum(axis=-1, keepdims=True)
    waves = np.exp(2j * np.pi * np.einsum("rsk,qk->qrs", images, q))
    return np.asarray(np.einsum("ijrs,qrs->qijr", weights, waves))
