"""The layers of a stack, strained to the in-plane lattice of the left lead and relaxed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from ase.filters import UnitCellFilter
from ase.optimize import LBFGS
from numpy.typing import NDArray

from oracle.green.settings import GreenSettings
from oracle.materials.crystal import Crystal
from oracle.materials.layering import (
    Operation,
    Sites,
    in_plane_basis,
    operations,
    reduced,
    sites_of,
)
from oracle.materials.superlattice import Stack
from oracle.phonons.relax import Relaxed, cautions_of_given, relax
from oracle.phonons.settings import PhononSettings
from oracle.potentials.forces import ForceField, checked
from oracle.potentials.table import weights_digest
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hosts:
    """The relaxed layers that the letters of a stack stand for, in one primitive in-plane cell.

    Args:
        layers: letter to the atoms of one layer, `Stack.cells` conventional cells thick, strained
            to the in-plane lattice of the left lead and relaxed along the stacking axis.
        masses: letter to the masses of these atoms, amu.
        strains: letter to the principal in-plane strains of the layer.
        operations: isometries that map every layer onto itself.
        cautions: why layers may not be those of the given crystals.
    """

    layers: dict[str, Sites]
    masses: dict[str, Array]
    strains: dict[str, tuple[float, float]]
    operations: tuple[Operation, ...]
    cautions: tuple[str, ...] = ()

    @property
    def area(self) -> float:
        """Area of the in-plane cell, Å²."""
        a, b = next(iter(self.layers.values())).cell[:2, :2]
        return float(abs(a[0] * b[1] - a[1] * b[0]))

    @property
    def digest(self) -> str:
        """SHA-256 of the exact cells and positions."""
        return digest_of(
            [
                [x, layer.cell.tolist(), layer.positions.tolist(), layer.symbols]
                for x, layer in sorted(self.layers.items())
            ]
        )


def prepare(stack: Stack, settings: GreenSettings, field: ForceField) -> Hosts:
    """Relax the left lead, strain all other layers to its in-plane lattice, relax their thickness.

    Raises:
        OracleError: stage ``read``, a layer that does not match in plane or cannot be cut; stage
            ``relax``, a relaxation that fails.
    """
    relaxed = {x: _free(crystal, settings, field) for x, crystal in stack.layers}
    free = {x: sites_of(r.cell, r.positions, r.symbols) for x, r in relaxed.items()}
    if settings.masses is not None:
        _same_sites(settings.masses, free)
    plane = free[stack.leads[0]].cell[:2]
    if stack.in_plane is not None:
        plane = plane * stack.in_plane / np.linalg.norm(plane[0])
    strains = {x: _strain(x, layer, plane, settings.strain_max) for x, layer in free.items()}
    basis = in_plane_basis(tuple(free.values()))
    layers, masses = {}, {}
    for x, layer in free.items():
        host = layer if settings.masses is None else free[settings.masses]
        strained = Sites(np.vstack([plane, host.cell[2:]]), host.positions, host.symbols)
        small = _repeated(_settled(reduced(strained, basis), settings, field), stack.cells)
        layers[x] = small
        own = _repeated(reduced(layer, basis), stack.cells)
        masses[x] = np.array([atomic_masses[atomic_numbers[s]] for s in own.symbols])
    cautions = [
        caution for x, crystal in stack.layers for caution in cautions_of_given(crystal, relaxed[x])
    ]
    return Hosts(
        layers,
        masses,
        strains,
        operations(tuple(_marked(layers, masses))),
        tuple(dict.fromkeys(cautions)),
    )


def _free(crystal: Crystal, settings: GreenSettings, field: ForceField) -> Relaxed:
    """The conventional cell of a crystal, relaxed under no constraint but its symmetry."""
    phonon = PhononSettings(
        calculator=settings.calculator,
        dispersion=settings.dispersion,
        relax_fmax=settings.relax_fmax,
        relax_steps=settings.relax_steps,
    )
    relaxed = relax(crystal, phonon, field)
    if relaxed.change is not None:
        raise OracleError(
            "relax", f"{crystal.formula} left its structure in relaxation: {relaxed.change}"
        )
    return relaxed


def _same_sites(host: str, free: dict[str, Sites]) -> None:
    """Check that all layers have the sites of the host, from which they differ only in masses.

    Raises:
        OracleError: stage ``read``; the host is not in the stack, or a layer has other sites.
    """
    if host not in free:
        raise OracleError(
            "read", f"masses: {host!r} is not among the layers; expected one of {sorted(free)}"
        )
    for x, layer in free.items():
        own, expected = layer.positions, free[host].positions
        if own.shape != expected.shape or np.abs(own - expected).max() > 0.05:
            raise OracleError(
                "read",
                f"masses: layer {x!r} has other sites than the host {host!r}; "
                "expected the same structure: leave masses out",
            )


def _strain(letter: str, layer: Sites, plane: Array, limit: float) -> tuple[float, float]:
    """Principal strains that take a layer's in-plane vectors to those of `plane`.

    Raises:
        OracleError: stage ``read``; one of them is above the limit.
    """
    deformation = np.linalg.solve(layer.cell[:2, :2], plane[:, :2])
    low, high = sorted(float(s) - 1.0 for s in np.linalg.svd(deformation, compute_uv=False))
    if max(abs(low), abs(high)) > limit:
        lengths = " and ".join(f"{x:.3f}" for x in np.linalg.norm(layer.cell[:2], axis=1))
        required = " and ".join(f"{x:.3f}" for x in np.linalg.norm(plane, axis=1))
        raise OracleError(
            "read",
            f"layer {letter!r} does not match the left lead in plane: {lengths} Å against "
            f"{required} Å needs strains of {100 * low:+.1f} and {100 * high:+.1f} %; expected at "
            f"most {100 * limit:g} %: choose another lead, or raise strain_max",
        )
    return low, high


def atoms_of(layers: list[Sites]) -> Atoms:
    """A periodic structure of layers stacked on one another; the order of the atoms is kept."""
    height, positions = 0.0, []
    symbols: list[str] = []
    for layer in layers:
        flat = layer.positions[:, :2] @ layer.cell[:2]
        flat[:, 2] = layer.positions[:, 2] * layer.cell[2, 2] + height
        positions.append(flat)
        symbols += layer.symbols
        height += layer.cell[2, 2]
    cell = np.vstack([layers[0].cell[:2], [0.0, 0.0, height]])
    return Atoms(symbols, positions=np.vstack(positions), cell=cell, pbc=True)


def settle(atoms: Atoms, settings: GreenSettings, field: ForceField) -> Atoms:
    """Relax positions and thickness while the in-plane lattice is fixed, or read the stored result.

    Raises:
        OracleError: stage ``relax``; not converged, or the calculator fails.
    """
    key = digest_of(
        {
            "weights": weights_digest(settings.potential),
            "cell": atoms.cell.array.tolist(),
            "positions": atoms.positions.tolist(),
            "numbers": atoms.numbers.tolist(),
            "fmax": settings.relax_fmax,
            "steps": settings.relax_steps,
        }
    )
    stored = field.store.load("settle", key)
    if stored is not None:
        numbers, arrays = atoms.numbers, stored[0]
        return Atoms(numbers, positions=arrays["positions"], cell=arrays["cell"], pbc=True)
    with field.attached(atoms, "relax") as ready:
        checked(ready.get_forces(), len(ready), "relax", settings.potential)
        # Only one component of the cell is free; filters with exact strains need ten times as many
        # force calculations here.
        filtered = UnitCellFilter(ready, mask=[False, False, True, False, False, False])
        optimizer = LBFGS(filtered, logfile=None, maxstep=0.1)
        converged = False
        for reached in optimizer.irun(fmax=settings.relax_fmax, steps=settings.relax_steps):
            converged = bool(reached)
            field.context.check("relax")
        if not converged:
            residual = float(np.abs(filtered.get_forces()).max())
            raise OracleError(
                "relax",
                f"{atoms.get_chemical_formula()} between its leads: {residual:.2g} eV/Å are left "
                f"after {optimizer.nsteps} steps; expected {settings.relax_fmax:g}: raise "
                "relax_steps or relax_fmax",
            )
    field.store.save("settle", key, {"positions": ready.positions, "cell": ready.cell.array}, {})
    return Atoms(atoms.numbers, positions=ready.positions, cell=ready.cell.array, pbc=True)


def _settled(layer: Sites, settings: GreenSettings, field: ForceField) -> Sites:
    """One layer, periodically repeated along the stacking axis, after `settle`."""
    atoms = settle(atoms_of([layer]), settings, field)
    scaled = atoms.get_scaled_positions(wrap=False)
    scaled[:, 2] -= scaled[:, 2].min() - layer.positions[:, 2].min()
    return Sites(atoms.cell.array, scaled, layer.symbols)


def _repeated(layer: Sites, times: int) -> Sites:
    """A layer that is several cells thick."""
    if times == 1:
        return layer
    blocks = []
    for i in range(times):
        block = layer.positions.copy()
        block[:, 2] = (block[:, 2] + i) / times
        blocks.append(block)
    cell = layer.cell.copy()
    cell[2] *= times
    return Sites(cell, np.vstack(blocks), layer.symbols * times)


def _marked(layers: dict[str, Sites], masses: dict[str, Array]) -> list[Sites]:
    """Layers whose symbols include masses, so that symmetry tells unequal masses apart."""
    return [
        Sites(layer.cell, layer.positions, tuple(f"{s}{m:.4f}" for s, m in zip(
            layer.symbols, masses[x], strict=True)))
        for x, layer in layers.items()
    ]  # fmt: skip
