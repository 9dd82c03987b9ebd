"""One stack made ready: leads, blocks and meshes, shared by all its sequences."""

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
_NOTHING = 1e-10  # of the largest constant; what is below couples nothing
_UNSTABLE = 0.1  # THz; down to minus this is numerical noise of acoustic modes
_GOLDEN = 0.6180339887498949  # multiples of it fill an interval evenly, however many
_PHASES = np.exp(2j * np.pi * np.arange(24) / 24)


@dataclass(frozen=True)
class Found:
    """What went through one sequence.

    Args:
        transmission: (n_frequencies,), modes per in-plane cell, averaged over wave vectors and
            the interval around each frequency.
        conductance: (n_temperatures,), W/m²/K.
        std: (n_temperatures,), its estimated error from both meshes; None where the mesh of wave
            vectors is too small to tell.
    """

    transmission: Array
    conductance: Array
    std: Array | None


@dataclass(frozen=True)
class Device:
    """Everything but the sequence.

    Args:
        stack: what the letters stand for.
        settings: of the oracle.
        hosts: the same, relaxed.
        blocks: library of blocks at the wave vectors of `mesh`.
        mesh: transverse wave vectors.
        frequencies: (n_q, n), THz; one in each of n equal intervals, at another place in them for
            each wave vector, so that edges of bands are averaged over.
        surfaces: (2, n_q, n, size, size), surface functions of left and right lead.
        said: about reach and strains, as JSON.
        lowest: THz, the lowest frequency of the strained layers as crystals; negative where
            imaginary.
        top: THz, where the intervals of frequency end.
    """

    stack: Stack
    settings: GreenSettings
    hosts: Hosts
    blocks: BlockLibrary
    mesh: QMesh
    frequencies: Array
    surfaces: NDArray[np.complex128]
    said: dict[str, Any]
    lowest: float
    top: float

    def chain(self, sequence: str) -> Chain:
        """The principal layers of a sequence, with as much of the leads as differs from bulk."""
        lib = self.blocks
        r, seen, m = lib.reach, lib.seen, lib.settings.neighbours
        left, right = self.stack.leads
        inner = left * seen + sequence + right * seen
        inner += right * (-len(inner) % r)
        full = left * (r + seen) + inner + right * (r + seen)
        starts = range(r + seen, r + seen + len(inner), r)
        onsite = tuple(full[i - seen : i + r + seen] for i in starts)
        coupling = tuple(full[i - m : i + 2 * r + m] for i in (starts[0] - r, *starts))
        return Chain(onsite, coupling)

    def many(self, sequences: Sequence[str]) -> list[Found]:
        """Transmission and conductance of sequences of equal length, together."""
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
            found = transmission(
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
            total += weight * found.cpu().numpy()
            step = self.top / number
            parts.append(conductance(self.frequencies[i], found.cpu().numpy(), temperatures, step))
            self.blocks.forces.context.progress("transmission", (i + 1) / len(self.mesh.weights))
        each = np.array(parts) / (self.hosts.area * 1e-20)
        value = np.einsum("q,qkt->kt", self.mesh.weights, each)
        std = self.mesh.error(each)
        return [
            Found(total[k], value[k], None if std is None else std[k]) for k in range(len(chains))
        ]

    @functools.cached_property
    def alone(self) -> Array | None:
        """What the left lead lets through by itself (n_frequencies,); None where leads differ."""
        left, right = (self.stack.synonyms[lead] for lead in self.stack.leads)
        return self.many([left])[0].transmission if left == right else None

    @property
    def stable(self) -> bool:
        """Whether no layer has imaginary modes in the lead's plane."""
        return self.lowest > -_UNSTABLE

    @property
    def midpoints(self) -> Array:
        """Middles (n,) of the intervals of frequency, THz."""
        number = self.frequencies.shape[1]
        return np.asarray((np.arange(number) + 0.5) * self.top / number)

    def length(self, sequence: str) -> float:
        """Thickness of the layers between the leads, Å."""
        return float(sum(self.hosts.layers[x].cell[2, 2] for x in sequence))


def make(stack: Stack, settings: GreenSettings, field: ForceField) -> Device:
    """Relax, compute what no sequence changes, or read it back.

    Raises:
        OracleError: a stage cannot be completed.
    """
    hosts = prepare(stack, settings, field)
    lib, said = library(hosts, settings, field)
    mesh = q_mesh(settings.q_mesh, hosts.operations)
    lib = lib.at(mesh.points)
    lowest, tops = _extremes(lib, stack)
    top = min(tops[lead] for lead in stack.leads)
    places = (0.5 + np.arange(len(mesh.weights)) * _GOLDEN) % 1.0
    frequencies = (np.arange(settings.frequencies) + places[:, None]) * top / settings.frequencies
    said |= {
        "strains": {x: list(strain) for x, strain in hosts.strains.items()},
        "area_A2": hosts.area,
        "layer_A": {x: float(layer.cell[2, 2]) for x, layer in hosts.layers.items()},
        "max_frequency_thz": top,
        "q_points": len(mesh.weights),
    }
    if lowest > -_UNSTABLE:
        both = [_lead(lead, i, lib, frequencies, field) for i, lead in enumerate(stack.leads)]
        said["surface_residual"] = max(float(np.median(residual)) for _, residual in both)
        ends = np.stack([surface for surface, _ in both])
    else:
        ends = np.zeros((2, 0), dtype=complex)
    return Device(stack, settings, hosts, lib, mesh, frequencies, ends, said, lowest, top)


def _lead(
    letter: str, side: int, lib: BlockLibrary, frequencies: Array, field: ForceField
) -> tuple[NDArray[np.complex128], Array]:
    """Surface functions (n_q, n, size, size) of one lead, once per lead, frequencies and q."""
    onsite, across = _bulk(lib, letter)
    key = digest_of(
        [onsite.real.tolist(), onsite.imag.tolist(), across.real.tolist(), across.imag.tolist(),
         frequencies.tolist(), side]
    )  # fmt: skip
    found = field.store.load("surfaces", key)
    if found is None:
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
    stored: dict[str, Any] = dict(found[0])
    return stored["surface"], stored["residual"]


def _bulk(lib: BlockLibrary, letter: str) -> tuple[Any, Any]:
    onsite = lib.onsite(letter * (lib.reach + 2 * lib.seen))
    across = lib.coupling(letter * (2 * lib.reach + 2 * lib.settings.neighbours))
    return onsite, across


def _extremes(lib: BlockLibrary, stack: Stack) -> tuple[float, dict[str, float]]:
    """Lowest frequency of all layers as crystals, and the highest of each, THz."""
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
    """Degrees of freedom that couple to the next principal layer, and to the one before."""
    size = np.max([np.abs(x).max(axis=0) for x in couplings], axis=0)
    mask = size > _NOTHING * size.max()
    if not mask.any():
        raise OracleError("fc2", "neighbouring layers are not coupled; check the calculator")
    return np.flatnonzero(mask.any(axis=1)).tolist(), np.flatnonzero(mask.any(axis=0)).tolist()
