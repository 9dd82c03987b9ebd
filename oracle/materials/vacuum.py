"""How much of the cell of a slab or wire is vacuum, which a conductivity per volume depends on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import atomic_numbers, vdw_alvarez, vdw_radii
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

from oracle.materials.dimensions import periodic_directions

Array = NDArray[np.float64]
_UNLISTED = 2.0  # Å; van der Waals radius of elements that both tables lack
_PLANES = np.array([h for h in itertools.product((-1, 0, 1, 2), repeat=3) if any(h)])
_POINTS = 96  # grid points along each vector of a wire's cross-section


@dataclass(frozen=True)
class Vacuum:
    """A slab or wire that does not fill its cell.

    Args:
        whole: height of a slab's cell along the normal, Å, or cross-section of a wire's cell, Å².
        body: the part of it within the van der Waals radii of atoms, in the same unit.
        wire: True for a wire, False for a slab.
        axis: unit vector along a slab's normal, or along a wire, in the frame of the cell.
    """

    whole: float
    body: float
    wire: bool
    axis: tuple[float, float, float]

    @property
    def share(self) -> float:
        """Fraction of the cell's volume that is vacuum."""
        return 1.0 - self.body / self.whole

    @property
    def caution(self) -> str:
        """What a reader of a conductivity per volume of the cell must know."""
        name, unit, what = ("wire", " Å²", "area") if self.wire else ("slab", " Å", "thickness")
        return (
            f"{name}: kappa is per volume of the cell, of which {self.share:.0%} is vacuum, for "
            f"the {name} itself multiply by {self.whole:.2f}{unit} / {what} (van der Waals: "
            f"{self.whole:.2f} / {self.body:.2f} = {self.whole / self.body:.2f})"
        )


def vacuum_of(structure: Structure) -> Vacuum | None:
    """How much of the cell of a slab or wire is vacuum; None where the cell is filled."""
    directions = periodic_directions(structure)
    if directions == 2:
        return _slab(structure)
    return _wire(structure) if directions == 1 else None


def _slab(structure: Structure) -> Vacuum:
    """Vacuum along the normal of the lattice planes whose projection leaves most of it free."""
    radii = _radii(structure)
    spacings = 1.0 / np.linalg.norm(_PLANES @ structure.lattice.inv_matrix.T, axis=1)
    free = [
        _free(structure.frac_coords @ plane * spacing, radii, float(spacing))
        for plane, spacing in zip(_PLANES, spacings, strict=True)
    ]
    widest = int(np.argmax(np.round(np.array(free) / spacings, 6)))
    normal = structure.lattice.inv_matrix @ _PLANES[widest]
    return Vacuum(
        float(spacings[widest]),
        float(spacings[widest] - free[widest]),
        wire=False,
        axis=_unit(normal),
    )


def _unit(vector: Array) -> tuple[float, float, float]:
    x, y, z = (vector / np.linalg.norm(vector)).tolist()
    return x, y, z


def _free(heights: Array, radii: Array, period: float) -> float:
    """Length of one period of a line that no atom with its radius covers, Å."""
    begins = (heights - radii) % period
    order = np.argsort(begins)
    ends = np.maximum.accumulate((begins + 2 * radii)[order])
    # Atoms that reach beyond the period cover the beginning of the next one.
    reached = np.maximum(ends, ends[-1] - period)
    following = np.append(begins[order][1:], begins[order][0] + period)
    return float(np.maximum(following - reached, 0.0).sum())


def _wire(structure: Structure) -> Vacuum:
    """Vacuum across the vector of the reduced cell along which the projection covers least."""
    reduced = structure.get_reduced_structure()
    return max((_cross_section(reduced, axis) for axis in range(3)), key=lambda v: v.share)


def _cross_section(structure: Structure, axis: int) -> Vacuum:
    """Area of the cell projected along a lattice vector, and the part covered by atoms."""
    cell = structure.lattice.matrix
    length = float(np.linalg.norm(cell[axis]))
    across = np.eye(3) - np.outer(cell[axis], cell[axis]) / length**2
    plane = np.delete(cell, axis, axis=0) @ across
    points = _grid(np.arange(_POINTS) / _POINTS) @ plane
    images = _grid(np.arange(-2, 3)) @ plane
    covered = np.zeros(len(points), dtype=bool)
    for place, radius in zip(structure.cart_coords @ across, _radii(structure), strict=True):
        for image in images:
            covered |= np.square(points - place - image).sum(axis=1) < radius**2
    whole = structure.volume / length
    return Vacuum(whole, whole * float(covered.mean()), wire=True, axis=_unit(cell[axis]))


def _grid(coordinates: NDArray[Any]) -> Array:
    """All pairs (n², 2) of coordinates (n,)."""
    return np.stack(np.meshgrid(coordinates, coordinates), axis=-1).reshape(-1, 2)


def _radii(structure: Structure) -> Array:
    """Van der Waals radii (n,), Å: Bondi's or, where there is none, Alvarez's."""
    numbers = [atomic_numbers[site.specie.symbol] for site in structure]
    tables = (vdw_radii, vdw_alvarez.vdw_radii)
    bondi, alvarez = (np.array([table[z] for z in numbers]) for table in tables)
    radii = np.where(np.isnan(bondi), alvarez, bondi)
    return np.where(np.isnan(radii), _UNLISTED, radii)
