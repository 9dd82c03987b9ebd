"""What transmission through layer sequences will cost, estimated without running it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from oracle.green.meshes import q_mesh
from oracle.green.settings import GreenSettings
from oracle.materials.layering import Sites, in_plane_basis, operations, reduced, sites
from oracle.materials.superlattice import Superlattice

_PADDING = 2  # layers that are added to a window, both sides together
_REACH = 1  # layers; force constants of longer reach make calculations longer
_SETTLING = 20  # steps of a window's relaxation
_LEAD = 1.4e-8  # s per lead, wave vector, frequency and cubed number of degrees of freedom
_LEAD_LEAST = 2.2e-3  # s per lead, wave vector and frequency, in addition
_LAYER = 8e-9  # like `_LEAD`, for one layer of a sequence
_LAYER_LEAST = 5e-5  # like `_LEAD_LEAST`, for one layer of a sequence
_INTERPRETER = 0.7  # GiB


@dataclass(frozen=True)
class GreenEffort:
    """What a campaign on one stack costs.

    Args:
        force_calls: number of force calculations for all windows, which all sequences share.
        forces_s: seconds on one core for them.
        leads_s: seconds on one core for the surface Green's functions of both leads.
        design_s: seconds on one core for one sequence.
        memory_gib: memory of a process, GiB.
    """

    force_calls: float
    forces_s: float
    leads_s: float
    design_s: float
    memory_gib: float


def green_effort(
    example: Superlattice, settings: GreenSettings, seconds: Callable[[Atoms], float]
) -> GreenEffort:
    """Estimate for sequences like the example.

    Args:
        example: any sequence of the stack.
        settings: of the oracle.
        seconds: gives the seconds that the forces of a structure take.

    Raises:
        ValueError: no stack.
        OracleError: stage ``read``; a material from which layers cannot be cut.
    """
    stack = example.stack
    if stack is None:
        raise ValueError(f"sequence {example.sequence!r} has no stack; expected one")
    cells = tuple(sites(crystal) for _, crystal in stack.layers)
    layers = tuple(reduced(cell, in_plane_basis(cells)) for cell in cells)
    largest = max(layers, key=lambda layer: len(layer.symbols))
    atoms = len(largest.symbols) * stack.cells
    kinds = 1 if settings.masses is not None else len(set(stack.synonyms.values()))
    width = _REACH + 1 + 2 * settings.neighbours
    windows = min(kinds**width, 40 * len(example.sequence))
    window = _window(largest, (width + _PADDING) * stack.cells, settings)
    calls = 6 * atoms * ((_REACH + 1) * windows + kinds)
    forces = (calls + windows * _SETTLING / _wide(largest, settings)) * seconds(window)
    wave_vectors = len(q_mesh(settings.q_mesh, operations(layers)).weights)
    points = wave_vectors * settings.frequencies
    size = 3 * atoms * _REACH
    lead = 2 * points * (_LEAD_LEAST + _LEAD * size**3)
    count = len(example.sequence) + 4
    design = points * count * (_LAYER_LEAST + _LAYER * size**3)
    memory = _INTERPRETER + 40 * points * size**2 * 16 / 2**30
    return GreenEffort(calls, forces, lead, design, memory)


def _wide(layer: Sites, settings: GreenSettings) -> int:
    """Number of in-plane cells of a structure whose forces are computed."""
    lengths = np.linalg.norm(layer.cell[:2], axis=1)
    return int(np.prod([np.ceil(settings.in_plane_length / x - 1e-6) for x in lengths]))


def _window(layer: Sites, height: int, settings: GreenSettings) -> Atoms:
    """A structure of the size of those whose forces are computed."""
    lengths = np.linalg.norm(layer.cell[:2], axis=1)
    na, nb = (int(np.ceil(settings.in_plane_length / x - 1e-6)) for x in lengths)
    atoms = Atoms(list(layer.symbols), cell=layer.cell, scaled_positions=layer.positions, pbc=True)
    return atoms * (na, nb, height)
