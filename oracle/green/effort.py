"""What transmission through layer sequences will take, without running it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from oracle.green.meshes import q_mesh
from oracle.green.settings import GreenSettings
from oracle.materials.layering import Sites, in_plane_basis, operations, reduced, sites
from oracle.materials.superlattice import Superlattice

_PADDING = 2  # end layers repeated around a window, on both sides together
_REACH = 1  # layers; constants that reach further make it longer
_SETTLING = 20  # steps of a window's relaxation
_LEAD = 1.4e-8  # s per wave vector, frequency and cube of degrees of freedom, of one lead
_LEAD_LEAST = 2.2e-3  # s per wave vector and frequency
_LAYER = 8e-9  # the same of one layer of a sequence
_LAYER_LEAST = 5e-5
_INTERPRETER = 0.7  # GiB


@dataclass(frozen=True)
class GreenEffort:
    """What a campaign on one stack takes.

    Args:
        force_calls: of all windows, which all sequences share.
        forces_s: seconds of one core for them.
        leads_s: seconds of one core for the surface functions of both leads.
        design_s: seconds of one core for a sequence.
        memory_gib: of a process.
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
        seconds: times the potential's forces of a structure.

    Raises:
        ValueError: no stack.
        OracleError: stage ``read``; a material that layers cannot be cut from.
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
    points = len(q_mesh(settings.q_mesh, operations(layers)).weights)
    places = points * settings.frequencies
    size = 3 * atoms * _REACH
    lead = 2 * places * (_LEAD_LEAST + _LEAD * size**3)
    count = len(example.sequence) + 4
    design = places * count * (_LAYER_LEAST + _LAYER * size**3)
    memory = _INTERPRETER + 40 * places * size**2 * 16 / 2**30
    return GreenEffort(calls, forces, lead, design, memory)


def _wide(layer: Sites, settings: GreenSettings) -> int:
    """In-plane cells of a structure whose forces are computed."""
    lengths = np.linalg.norm(layer.cell[:2], axis=1)
    return int(np.prod([np.ceil(settings.in_plane_length / x - 1e-6) for x in lengths]))


def _window(layer: Sites, height: int, settings: GreenSettings) -> Atoms:
    """A structure as large as those whose forces are computed."""
    lengths = np.linalg.norm(layer.cell[:2], axis=1)
    na, nb = (int(np.ceil(settings.in_plane_length / x - 1e-6)) for x in lengths)
    atoms = Atoms(list(layer.symbols), cell=layer.cell, scaled_positions=layer.positions, pbc=True)
    return atoms * (na, nb, height)
