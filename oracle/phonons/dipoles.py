"""Effective charges from force constants, for the dipole-dipole interaction of polar crystals.

Displaced ions are dipoles, whose interaction falls as the cube of the distance only, so that the
force constants of a polar crystal reach beyond any supercell. What is cut off there makes modes
between the commensurate points wrong, by an amount that depends on the shape of the supercell more
than on its size (rutile MgF2: 1.8 % of the frequencies with 432 atoms). Gonze and Lee (Phys. Rev.
B 55, 10355 (1997)) interpolate what is left without the dipoles, given Born charges and the
dielectric tensor. A potential does not know these. But it has learned the forces, and from far
force constants, between which nothing but dipoles remain,

    Φ_ij = Z_iᵀ K(r_ij; ε) Z_j,   K = (ε⁻¹ / d³ - 3 (ε⁻¹ r)(ε⁻¹ r)ᵀ / d⁵) / sqrt(det ε),
    d² = rᵀ ε⁻¹ r  (in units of e² / 4 π ε0; Gonze and Lee, equation 70),

the charges follow up to the square root of the dielectric constant, which is all that the term
depends on. The sum over the images of the supercell is Ewald's, and the charges and the anisotropy
of ε, as far as symmetry leaves them free, are fitted by least squares.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import units
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.structure.symmetry import Symmetry
from scipy.linalg import expm
from scipy.optimize import least_squares
from scipy.special import erfc

Array = NDArray[np.float64]
COULOMB = units.Hartree * units.Bohr  # e² / 4 π ε0, eV Å
_FAR = 0.5  # of the largest distance in the supercell; nearer atoms interact in other ways, too,
_NEAR = 5.0  # and always those within this distance, Å
_ENOUGH = 4  # equations per unknown
_LASTING = 0.5
"""Least ratio of the force constants of the farther half of the pairs to those of the dipoles. It
is 0.69 to 1.21 in 50 polar crystals, and 0.37 in semimetallic Fe2VAl and 0.05 in NbCoSn, where the
interaction falls faster than that of dipoles."""
_MOST_PAIRS = 3000  # of which every so-many-th is taken, since the fit costs pairs times unknowns
_MOST_UNKNOWNS = 120
_STRAIN = 1.25
"""Largest coefficient of a strain of the dielectric tensor, whose smallest eigenvalue is then 0.36
times the mean or more (0.53 in ZrS2); with less, phonopy's sum over waves does not converge."""
_STEPS = 30  # of the fit, of which most need fewer than ten
_CERTAIN = 0.6  # share with which no other start is tried
_STARTS = 3  # of charges drawn at random, where the first guess leads nowhere
_EXPLAINED = 0.3  # share of the far force constants below which they are not those of dipoles
_EWALD = 4.0  # erfc(4) is 2e-8
_INVARIANT = 1e-8  # relative singular value below which an average over the group vanishes


@dataclass(frozen=True)
class Dipoles:
    """The dipole-dipole interaction that far force constants show.

    Args:
        charges: (n_atoms, 3, 3), of the primitive cell's atoms, in elementary charges, divided by
            the square root of the mean dielectric constant; rows belong to the field, columns to
            the displacement. Their common sign is arbitrary.
        dielectric: (3, 3), the dielectric tensor divided by its mean, so that its determinant is 1.
        explained: share of the squares of the far force constants.
    """

    charges: Array
    dielectric: Array
    explained: float

    @property
    def parameters(self) -> dict[str, Any]:
        """As phonopy takes them for the non-analytic term."""
        return {"born": self.charges, "dielectric": self.dielectric, "factor": COULOMB}

    def record(self) -> dict[str, Any]:
        """For the provenance, as JSON."""
        return {
            "charges": self.charges.tolist(),
            "dielectric": self.dielectric.tolist(),
            "explained": self.explained,
        }


def fitted_dipoles(phonons: Phonopy) -> Dipoles | None:
    """Effective charges from the second-order force constants of a crystal.

    Args:
        phonons: with compact force constants, and without a non-analytic term.

    Returns:
        None where symmetry forbids dipoles, where the supercell is too small to tell, or where
        they explain little of the far force constants, or least of the farthest, as in metals and
        covalent crystals.
    """
    charges, strains = _allowed(phonons)
    unknowns = len(charges) + len(strains)
    if not len(charges) or unknowns > _MOST_UNKNOWNS:
        return None
    pairs = _far_pairs(phonons)
    total = float(np.sum(pairs.constants**2))
    if 9 * len(pairs.vectors) < _ENOUGH * unknowns or total == 0:
        return None
    kernels: dict[bytes, Array] = {}

    def shape(parameters: Array) -> Array:
        tensor = expm(np.tensordot(parameters[len(charges) :], strains, 1))
        return np.asarray(tensor, dtype=np.float64)

    def modelled(parameters: Array) -> Array:
        of_each = np.tensordot(parameters[: len(charges)], charges, 1)
        anisotropy = parameters[len(charges) :].tobytes()
        if anisotropy not in kernels:
            kernels[anisotropy] = dipole_sums(pairs.vectors, pairs.lattice, shape(parameters))
        left, right = of_each[pairs.first], of_each[pairs.second]
        return np.asarray(left.swapaxes(1, 2) @ kernels[anisotropy] @ right)

    def residuals(parameters: Array) -> Array:
        return np.ravel(modelled(parameters) - pairs.constants)

    bounds = np.concatenate([np.full(len(charges), np.inf), np.full(len(strains), _STRAIN)])
    best, explained = np.zeros(unknowns), 0.0
    for guess in _guesses(charges, pairs):
        start = np.concatenate([guess, np.zeros(len(strains))])
        found = least_squares(residuals, start, bounds=(-bounds, bounds), max_nfev=_STEPS)
        share = 1.0 - 2.0 * float(found.cost) / total
        if share > explained:
            best, explained = found.x, share
        if explained > _CERTAIN:
            break
    if explained < _EXPLAINED or _lasting(pairs, modelled(best)) < _LASTING:
        return None
    return Dipoles(np.tensordot(best[: len(charges)], charges, 1), shape(best), explained)


def dipole_sums(vectors: Array, lattice: Array, dielectric: Array) -> Array:
    """Interaction (n, 3, 3) of two unit dipoles and all images of one of them, eV/Å².

    Ewald's sum, without the macroscopic field of a uniform polarisation. In coordinates that are
    scaled by the root of the dielectric tensor, the medium is isotropic.

    Args:
        vectors: (n, 3), from one to the other, Å; none is a lattice vector.
        lattice: (3, 3), row vectors of the images, Å.
        dielectric: (3, 3), relative dielectric tensor.
    """
    values, axes = np.linalg.eigh(dielectric)
    scale = axes @ np.diag(values**-0.5) @ axes.T
    cell, scaled = lattice @ scale, vectors @ scale
    volume = abs(float(np.linalg.det(cell)))
    width = np.sqrt(np.pi) / volume ** (1 / 3)
    total = np.zeros((len(vectors), 3, 3))
    reach = _EWALD / width
    nearest = scaled - np.rint(scaled @ np.linalg.inv(cell)) @ cell
    for image in _points(cell, reach + float(np.linalg.norm(nearest, axis=1).max())):
        r = nearest - image
        d = np.linalg.norm(r, axis=1)[:, None, None]
        gauss = 2 * width / np.sqrt(np.pi) * np.exp(-((width * d) ** 2))
        of_unit = erfc(width * d) / d**3 + gauss / d**2
        of_product = 3 * of_unit / d**2 + 2 * width**2 * gauss / d**2
        total += of_unit * np.eye(3) - of_product * r[:, :, None] * r[:, None, :]
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    waves = _points(reciprocal, 2 * width * _EWALD)
    waves = waves[np.linalg.norm(waves, axis=1) > 1e-9]
    squares = np.sum(waves**2, axis=1)
    strengths = 4 * np.pi / volume * np.exp(-squares / (4 * width**2)) / squares
    products = (waves[:, :, None] * waves[:, None, :]).reshape(-1, 9)
    total += (np.cos(nearest @ waves.T) @ (strengths[:, None] * products)).reshape(-1, 3, 3)
    return np.asarray(COULOMB / np.sqrt(values.prod()) * scale @ total @ scale)


@dataclass(frozen=True)
class _Pairs:
    """Far pairs of atoms, of which the first is one of each set of equivalent ones.

    Args:
        first, second: (n,), numbers of the atoms in the primitive cell.
        vectors: (n, 3), from the first to the nearest image of the second, Å.
        constants: (n, 3, 3), force constants, eV/Å².
        lattice: (3, 3), row vectors of the supercell, Å.
        alike: (n_atoms,), the first of the atoms that symmetry makes equivalent.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vectors: Array
    constants: Array
    lattice: Array
    alike: NDArray[np.int64]


def _far_pairs(phonons: Phonopy) -> _Pairs:
    primitive, supercell = phonons.primitive, phonons.supercell
    shortest, where = primitive.get_smallest_vectors()
    alike = np.asarray(phonons.primitive_symmetry.get_map_atoms())
    within = np.array([primitive.p2p_map[atom] for atom in primitive.s2p_map])
    atoms = np.unique(alike)
    first = np.repeat(atoms, len(supercell))
    members = np.tile(np.arange(len(supercell)), len(atoms))
    vectors = np.asarray(shortest)[where[members, first, 1]] @ primitive.cell
    distances = np.linalg.norm(vectors, axis=1)
    far = np.flatnonzero(distances > max(_FAR * distances.max(), _NEAR))
    far = far[:: -(-len(far) // _MOST_PAIRS) or 1]
    return _Pairs(
        first=first[far],
        second=within[members[far]],
        vectors=vectors[far],
        constants=np.asarray(phonons.force_constants)[first[far], members[far]],
        lattice=np.asarray(supercell.cell),
        alike=alike,
    )


def _lasting(pairs: _Pairs, modelled: Array) -> float:
    """The best factor on modelled force constants (n, 3, 3), for the farther half of the pairs."""
    distances = np.linalg.norm(pairs.vectors, axis=1)
    farther = distances >= np.median(distances)
    model = modelled[farther]
    return float(np.sum(pairs.constants[farther] * model) / np.sum(model**2))


def _allowed(phonons: Phonopy) -> tuple[Array, Array]:
    """What symmetry leaves free: charges (k, n_atoms, 3, 3), and strains of ε (m, 3, 3).

    The charges add up to zero, and the strains have no trace. Both are orthonormal.
    """
    cell = np.asarray(phonons.primitive.cell)
    symmetry: Symmetry = phonons.primitive_symmetry
    turns = cell.T @ np.asarray(symmetry.symmetry_operations["rotations"]) @ np.linalg.inv(cell.T)
    images = np.asarray(symmetry.atomic_permutations)
    n = len(phonons.primitive)
    drawn = np.random.default_rng(0).normal(size=(9 * n + 6, n, 3, 3))
    charges, strains = np.zeros_like(drawn), np.zeros((len(drawn), 3, 3))
    for turn, image in zip(turns, images, strict=True):
        charges[:, image] += turn @ drawn @ turn.T
        strains += turn @ (drawn[:, 0] + drawn[:, 0].swapaxes(1, 2)) @ turn.T
    charges -= charges.mean(axis=1, keepdims=True)
    strains -= np.trace(strains, axis1=1, axis2=2)[:, None, None] * np.eye(3) / 3
    return _span(charges / len(turns)), _span(strains / len(turns))


def _span(tensors: Array) -> Array:
    """Orthonormal tensors that span those given, of which the first axis counts."""
    _, values, rows = np.linalg.svd(tensors.reshape(len(tensors), -1), full_matrices=False)
    return rows[values > _INVARIANT * len(tensors)].reshape(-1, *tensors.shape[1:])


def _guesses(charges: Array, pairs: _Pairs) -> Iterator[Array]:
    """Coefficients of charges to begin with: the best scalar ones, then random ones of their size.

    Scalar charges of equivalent atoms are equal, and vanish where all atoms are equivalent.
    """
    first = _first_guess(charges, pairs)
    size = float(np.linalg.norm(first))
    if size > 1e-6:
        yield first
    rng = np.random.default_rng(0)
    for _ in range(_STARTS):
        drawn = rng.standard_normal(len(charges))
        yield max(size, 1.0) * drawn / np.linalg.norm(drawn)


def _first_guess(charges: Array, pairs: _Pairs) -> Array:
    """Coefficients of the charges, from the best scalar charge of each set of equivalent atoms.

    The best products of scalar charges are a symmetric matrix, whose leading eigenvector is taken.
    """
    kernel = dipole_sums(pairs.vectors, pairs.lattice, np.eye(3))
    sets = np.unique(pairs.alike)
    products = np.zeros((len(sets), len(sets)))
    for (i, a), (j, b) in itertools.product(enumerate(sets), repeat=2):
        both = (pairs.first == a) & (pairs.alike[pairs.second] == b)
        norm = float(np.sum(kernel[both] ** 2))
        products[i, j] = np.sum(kernel[both] * pairs.constants[both]) / norm if norm else 0.0
    values, vectors = np.linalg.eigh((products + products.T) / 2)
    scalars = vectors[:, -1] * np.sqrt(max(values[-1], 1e-6))
    of_atoms = scalars[np.searchsorted(sets, pairs.alike)][:, None, None] * np.eye(3)
    return np.einsum("knab,nab->k", charges, of_atoms)


def _points(lattice: Array, reach: float) -> Array:
    """All points (n, 3) of a lattice within a distance of the origin."""
    most = np.ceil(reach * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(int)
    numbers = itertools.product(*(range(-n, n + 1) for n in most))
    points = np.array(list(numbers)) @ lattice
    return np.asarray(points[np.linalg.norm(points, axis=1) < reach])
