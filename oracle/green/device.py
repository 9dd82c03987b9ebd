"""What all sequences of one stack share: leads, blocks and meshes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from oracle.formulas.landauer import conductance
from oracle.green.hosts import Hosts, prepare
from oracle.green.leads import surfaces
from oracle.green.library import BlockLibrary, library
from oracle.green.meshes import QMesh, q_mesh
from oracle.green.recursion import Blocks, Chain, transmission
from oracle.green.settings import GreenSettings
from oracle.materials.superlattice import Stack
from oracle.potentials.forces import ForceField
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
_NOTHING = 1e-10  # relative to the largest coupling; smaller ones count as zero
_UNSTABLE = 0.1  # THz; imaginary frequencies up to this are numerical noise of acoustic modes
_GOLDEN = 0.6180339887498949  # its multiples, modulo 1, fill an interval evenly
_PHASES = np.exp(2j * np.pi * np.arange(24) / 24)


@dataclass(frozen=True)
class Transport:
    """Transmission and conductance of one sequence.

    Args:
        transmission: (n_frequencies,), modes per in-plane cell, averaged over wave vectors and
            the interval around each frequency.
        conductance: (n_temperatures,), W/m²/K.
        std: (n_temperatures,), estimated error of the conductance due to both meshes, W/m²/K; None
            where the mesh of wave vectors is too small to estimate it.
    """

    transmission: Array
    conductance: Array
    std: Array | None


@dataclass(frozen=True)
class Device:
    """What all sequences of one stack share.

    Args:
        stack: what the letters stand for.
        settings: of the oracle.
        hosts: the layers of the stack, relaxed.
        blocks: library of blocks at the wave vectors of `mesh`.
        mesh: transverse wave vectors.
        frequencies: (n_q, n), THz; one in each of n equal intervals, at another position within
            them for each wave vector, so that band edges are averaged over.
        surfaces: (2, n_q, n, size, size), surface Green's functions of the left and right lead.
        details: reach of force constants, strains and meshes, as JSON.
        lowest: lowest frequency of the strained layers as periodic crystals, THz; negative if
            imaginary.
        top: upper end of the intervals of frequency, THz.
    """

    stack: Stack
    settings: GreenSettings
    hosts: Hosts
    blocks: BlockLibrary
    mesh: QMesh
    frequencies: Array
    surfaces: NDArray[np.complex128]
    details: dict[str, Any]
    lowest: float
    top: float

    def chain(self, sequence: str) -> Chain:
        """The principal layers of a sequence, with the parts of the leads that differ from bulk."""
        lib = self.blocks
        r, near, m = lib.reach, lib.neighbourhood, lib.settings.neighbours
        left, right = self.stack.leads
        inner = left * near + sequence + right * near
        inner += right * (-len(inner) % r)
        full = left * (r + near) + inner + right * (r + near)
        starts = range(r + near, r + near + len(inner), r)
        onsite = tuple(full[i - near : i + r + near] for i in starts)
        coupling = tuple(full[i - m : i + 2 * r + m] for i in (starts[0] - r, *starts))
        return Chain(onsite, coupling)

    def many(self, sequences: Sequence[str]) -> list[Transport]:
        """Transmission and conductance of several sequences of equal length, computed together."""
        chains = [self.chain(sequence) for sequence in sequences]
        onsite = {x: self.blocks.onsite(x) for x in sorted({k for c in chains for k in c.onsite})}
        coupling = {
            x: self.blocks.coupling(x) for x in sorted({k for c in chains for k in c.coupling})
        }
        device = "cuda" if torch.cuda.is_available() else "cpu"
        rows, columns = _coupled(list(coupling.values()))
        number = self.frequencies.shape[1]
        total = np.zeros((len(chains), number))
        temperatures = np.array(self.settings.temperatures)
        parts = []
        for i, weight in enumerate(self.mesh.weights):
            self.blocks.forces.context.check("transmission")
            cut = np.ix_(range(number), rows, rows)
            other = np.ix_(range(number), columns, columns)
            transmitted = transmission(
                chains,
                Blocks(
                    torch.as_tensor(self.frequencies[i] ** 2, device=device),
                    {k: torch.as_tensor(x[i : i + 1], device=device) for k, x in onsite.items()},
                    {
                        k: torch.as_tensor(x[i : i + 1][:, rows][:, :, columns], device=device)
                        for k, x in coupling.items()
                    },
                    torch.as_tensor(rows, device=device),
                    torch.as_tensor(columns, device=device),
                    torch.as_tensor(self.surfaces[0, i][cut], device=device),
                    torch.as_tensor(self.surfaces[1, i][other], device=device),
                ),
            )
            modes = transmitted.cpu().numpy()
            total += weight * modes
            step = self.top / number
            parts.append(conductance(self.frequencies[i], modes, temperatures, step))
            self.blocks.forces.context.progress("transmission", (i + 1) / len(self.mesh.weights))
        each = np.array(parts) / (self.hosts.area * 1e-20)
        value = np.einsum("q,qkt->kt", self.mesh.weights, each)
        std = self.mesh.error(each)
        return [
            Transport(total[k], value[k], None if std is None else std[k])
            for k in range(len(chains))
        ]

    @functools.cached_property
    def lead_transmission(self) -> Array | None:
        """Transmission (n_frequencies,) of the perfect lead; None where the leads differ."""
        left, right = (self.stack.synonyms[lead] for lead in self.stack.leads)
        return self.many([left])[0].transmission if left == right else None

    @property
    def stable(self) -> bool:
        """Whether no layer has imaginary modes when strained to the left lead."""
        return self.lowest > -_UNSTABLE

    @property
    def midpoints(self) -> Array:
        """Midpoints (n,) of the intervals of frequency, THz."""
        number = self.frequencies.shape[1]
        return np.asarray((np.arange(number) + 0.5) * self.top / number)

    def length(self, sequence: str) -> float:
        """Thickness of the layers between the leads, Å."""
        return float(sum(self.hosts.layers[x].cell[2, 2] for x in sequence))


def prepare_device(stack: Stack, settings: GreenSettings, field: ForceField) -> Device:
    """Relax the layers of a stack and compute what its sequences share, or read it from the store.

    Raises:
        OracleError: a stage cannot be completed.
    """
    hosts = prepare(stack, settings, field)
    lib, details = library(hosts, settings, field)
    mesh = q_mesh(settings.q_mesh, hosts.operations)
    lib = lib.at(mesh.points)
    lowest, tops = _extremes(lib, stack)
    top = min(tops[lead] for lead in stack.leads)
    places = (0.5 + np.arange(len(mesh.weights)) * _GOLDEN) % 1.0
    frequencies = (np.arange(settings.frequencies) + places[:, None]) * top / settings.frequencies
    details |= {
        "strains": {x: list(strain) for x, strain in hosts.strains.items()},
        "area_A2": hosts.area,
        "layer_A": {x: float(layer.cell[2, 2]) for x, layer in hosts.layers.items()},
        "max_frequency_thz": top,
        "q_points": len(mesh.weights),
    }
    if lowest > -_UNSTABLE:
        leads = [_lead(lead, i, lib, frequencies, field) for i, lead in enumerate(stack.leads)]
        details["surface_residual"] = max(float(np.median(residual)) for _, residual in leads)
        ends = np.stack([surface for surface, _ in leads])
    else:
        ends = np.zeros((2, 0), dtype=complex)
    return Device(stack, settings, hosts, lib, mesh, frequencies, ends, details, lowest, top)


def _lead(
    letter: str, side: int, lib: BlockLibrary, frequencies: Array, field: ForceField
) -> tuple[NDArray[np.complex128], Array]:
    """Surface Green's functions (n_q, n, size, size) of one lead, and their residuals (n_q, n).

    They are computed once for each lead and set of frequencies and wave vectors, and stored.
    """
    onsite, across = _bulk(lib, letter)
    key = digest_of(
        [onsite.real.tolist(), onsite.imag.tolist(), across.real.tolist(), across.imag.tolist(),
         frequencies.tolist(), side]
    )  # fmt: skip
    stored = field.store.load("surfaces", key)
    if stored is None:
        deeper = across if side else across.conj().swapaxes(1, 2)
        parts = []
        for i in range(len(onsite)):
            field.context.check("leads")
            squared = torch.tensor(frequencies[i] ** 2)
            parts.append(surfaces(squared, torch.tensor(onsite[i]), torch.tensor(deeper[i])))
        arrays: dict[str, Any] = {
            "surface": torch.stack([x for x, _ in parts]).numpy(),
            "residual": torch.stack([x for _, x in parts]).numpy(),
        }
        field.store.save("surfaces", key, arrays, {})
        return arrays["surface"], arrays["residual"]
    read: dict[str, Any] = dict(stored[0])
    return read["surface"], read["residual"]


def _bulk(lib: BlockLibrary, letter: str) -> tuple[Any, Any]:
    """Blocks within and between principal layers of a periodic crystal of one letter."""
    onsite = lib.onsite(letter * (lib.reach + 2 * lib.neighbourhood))
    across = lib.coupling(letter * (2 * lib.reach + 2 * lib.settings.neighbours))
    return onsite, across


def _extremes(lib: BlockLibrary, stack: Stack) -> tuple[float, dict[str, float]]:
    """Lowest frequency of all layers as periodic crystals, and the highest of each, THz."""
    lowest, tops = np.inf, {}
    at_gamma = lib.at(np.zeros((1, 2)))
    for letter in sorted({x for x, _ in stack.layers}):
        squares = []
        for each in (lib, at_gamma):
            onsite, across = _bulk(each, letter)
            for phase in _PHASES:
                full = onsite + phase * across + np.conj(phase * across).swapaxes(1, 2)
                squares.append(np.linalg.eigvalsh(full).ravel())
        values = np.concatenate(squares)
        filled = lib.reach * 3 * len(lib.hosts.masses[letter]) < lib.size
        values = values[values != -1.0] if filled else values
        lowest = min(lowest, float(values.min()))
        tops[letter] = float(np.sqrt(max(values.max(), 0.0)))
    return float(np.sign(lowest) * np.sqrt(abs(lowest))), tops


def _coupled(couplings: list[NDArray[np.complex128]]) -> tuple[list[int], list[int]]:
    """Degrees of freedom that couple to the next principal layer, and to the previous one."""
    size = np.max([np.abs(x).max(axis=0) for x in couplings], axis=0)
    mask = size > _NOTHING * size.max()
    if not mask.any():
        raise OracleError("fc2", "neighbouring layers are not coupled; check the calculator")
    return np.flatnonzero(mask.any(axis=1)).tolist(), np.flatnonzero(mask.any(axis=0)).tolist()
