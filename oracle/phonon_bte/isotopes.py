"""Scattering by isotopes from densities of states at atoms, for irreducible points only.

phono3py 4.10 computes, for each wave vector, tetrahedron weights and overlaps of eigenvectors with
those at all points of the mesh. Tamura's formula (S. Tamura, Phys. Rev. B 27, 858 (1983))

    gamma(q, s) = pi / 4 omega^2 sum over k of g_k tr[P_k(q, s) D_k(omega)],

with the mass variances g_k of the atoms and the projectors P_k = Re e_k* e_k on their displacements
in a mode, needs only the density of states as a tensor, D_k(omega) = 1 / N sum over q', s' of
P_k(q', s') delta(omega - omega(q', s')). All points of a star give it the same weight, so that one
of them suffices, with the mean of P_k over the operations of the crystal.

At the very frequency of a mode, weights depend on rounding: the other points of its star are
corners of tetrahedra and have the same frequency, at which the density of states of a tetrahedron
with two or three such corners jumps. Here it is the mean of those a little below and above.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phono3py.other.isotope import Isotope
from phonopy.phonon.grid import get_ir_grid_points
from phonopy.phonon.tetrahedron_method import get_integration_weights
from phonopy.structure.symmetry import Symmetry

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
_ASIDE = 1e-6
"""Relative distance from a mode's frequency at which densities of states are taken."""
_SAME = 1e-4  # THz; frequencies that differ by less are equal


@contextmanager
def isotopes_by_stars() -> Iterator[None]:
    """Make phono3py look at irreducible points only, and beside the frequencies of the modes."""
    every_point = Isotope._run_rust
    known: weakref.WeakKeyDictionary[Any, Densities | None] = weakref.WeakKeyDictionary()

    def run(isotope: Any) -> None:
        if not (isotope.symmetrize_tetrahedra and isotope._averaging):
            every_point(isotope)
            return
        isotope._run_phonon_solver_on_grid(isotope._grid_points)
        if isotope not in known:
            known[isotope] = Densities.of(isotope) if has_stars(isotope) else None
        if (densities := known[isotope]) is None:
            every_point(isotope)
        else:
            isotope._gamma = isotope._finalize_gamma(densities.widths(isotope))

    Isotope._run_rust = run
    try:
        yield
    finally:
        Isotope._run_rust = every_point


def has_stars(isotope: Any) -> bool:
    """Whether all points of each star have the same frequencies, as phono3py's object has them.

    They differ if the supercell, and with it the force constants, is less symmetric than the
    crystal.
    """
    grid, frequencies = isotope._bz_grid, isotope._phonons.frequencies
    _, _, to_irreducible = get_ir_grid_points(grid)
    images = frequencies[grid.grg2bzg[to_irreducible]]
    return bool(np.abs(frequencies[grid.grg2bzg] - images).max() < _SAME)


@dataclass(frozen=True)
class Densities:
    """What the density of states at the atoms is made of.

    Args:
        points: (n_q,), irreducible points as phono3py counts them.
        projectors: (n_q, n_bands, n_primitive, 3, 3), P_k times the number of points of the star,
            over the number of all points; zero for modes that do not move.
    """

    points: NDArray[np.int64]
    projectors: Array

    @classmethod
    def of(cls, isotope: Any) -> Densities:
        """From phono3py's object with all phonons."""
        grid, primitive, phonons = isotope._bz_grid, isotope._primitive, isotope._phonons
        irreducible, multiplicities, _ = get_ir_grid_points(grid)
        points = np.asarray(grid.grg2bzg[irreducible], dtype=np.int64)
        symmetry = Symmetry(primitive, isotope._symprec)
        cell = primitive.cell.T
        turned = cell @ symmetry.symmetry_operations["rotations"] @ np.linalg.inv(cell)
        modes = projectors(phonons.eigenvectors[points])
        mean = np.zeros(modes.shape)
        for rotation, images in zip(turned, symmetry.atomic_permutations, strict=True):
            mean[:, :, images] += rotation @ modes @ rotation.T / len(turned)
        weights = multiplicities[:, None] / multiplicities.sum()
        moving = phonons.frequencies[points] >= isotope._cutoff_frequency
        return cls(points, mean * (weights * moving)[:, :, None, None, None])

    def widths(self, isotope: Any) -> Array:
        """Half widths (n_bands,) of the modes at phono3py's grid point, THz."""
        phonons, at, bands = isotope._phonons, isotope._grid_point, isotope._get_calc_band_indices()
        frequencies = phonons.frequencies[at, bands]
        below, above = (
            get_integration_weights(
                frequencies * factor,
                phonons.frequencies,
                isotope._bz_grid,
                grid_points=self.points,
                symmetrize_tetrahedra=True,
            )
            for factor in (1 - _ASIDE, 1 + _ASIDE)
        )
        every, isotope._grid_points = isotope._grid_points, self.points
        try:
            weights = isotope._finalize_integration_weights((below + above) / 2)
        finally:
            isotope._grid_points = every
        density = np.einsum("qbs,qskxy->bkxy", weights, self.projectors, optimize=True)
        modes = projectors(phonons.eigenvectors[at][:, bands])
        overlaps = np.einsum("bkxy,bkxy,k->b", modes, density, isotope.mass_variances)
        return np.asarray(np.pi / 4 * np.square(frequencies) * overlaps)


def projectors(eigenvectors: Complex) -> Array:
    """Real parts of the projectors on the atoms' displacements in modes.

    Args:
        eigenvectors: (..., n_bands0, n_bands), one in each column.

    Returns:
        (..., n_bands, n_primitive, 3, 3).
    """
    rows = np.swapaxes(eigenvectors, -1, -2)
    by_atoms = rows.reshape(*rows.shape[:-1], -1, 3)
    parts = (part[..., :, None] * part[..., None, :] for part in (by_atoms.real, by_atoms.imag))
    return np.asarray(sum(parts))
