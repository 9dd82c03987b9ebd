"""Third-order force constants from ± pairs of random displacements, by least squares (symfc).

For a pair of opposite displacements u and -u, half the sum of the forces is even in u::

    (F(u) + F(-u)) / 2 - F(0) = -1/2 fc3 u u + O(u^4)

so that neither the far larger harmonic force nor the fourth order of the energy enters. This
matters more than the number of snapshots. SevenNet, for instance, is invariant under rotations but
not under reflections: its harmonic forces break the mirror symmetry of a crystal by up to a
thousandth, which is a tenth of the third-order force at usual displacements.
"""

from __future__ import annotations

import bisect
import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from symfc import Symfc
from symfc.basis_sets import FCBasisSetO3
from symfc.utils.utils import SymfcAtoms

from oracle.phonons.design import Design
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
# Half of the pairs have each; their difference shows whether the potential is smooth on this scale.
AMPLITUDES = (0.8, 1.2)
_APART, _BROAD, _WINDOW = 0.15, 0.6, 0.3  # Å, see `radii_between`


def random_displacements(n_atoms: int, pairs: range, displacement: float, seed: str) -> Array:
    """Displacements (n_pairs, n_atoms, 3) in random directions, Å.

    Args:
        n_atoms: in the supercell.
        pairs: numbers of the pairs; the displacements of a pair depend on its number and the seed
            only.
        displacement: mean length, Å; that of even and odd pairs is multiplied by `AMPLITUDES`.
        seed: hexadecimal digest.
    """
    generators = [np.random.default_rng([int(seed[:16], 16), n]) for n in pairs]
    directions = np.array([rng.standard_normal((n_atoms, 3)) for rng in generators])
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    lengths = np.array([displacement * AMPLITUDES[n % 2] for n in pairs])
    return directions * lengths[:, None, None]


@dataclass(frozen=True)
class Basis:
    """All third-order force constants that the symmetry of a crystal allows.

    Args:
        space: symfc's basis set, which obeys space group, permutations and acoustic sum rule.
        n_atoms: in the supercell.
        cutoff: longest distance between atoms, Å, or None where the supercell is the limit.
    """

    space: FCBasisSetO3
    n_atoms: int
    cutoff: float | None

    @property
    def size(self) -> int:
        """Number of independent force constants."""
        return int(self.space.blocked_basis_set.shape[1])

    @functools.cached_property
    def design(self) -> Design:
        """Forces as linear functions of the coefficients."""
        return Design(self.space, self.n_atoms)

    def pairs_needed(self, oversampling: float) -> int:
        """Number of ± pairs for `oversampling` equations per unknown, with both amplitudes."""
        per_pair = 3 * (self.n_atoms - 1)
        return max(len(AMPLITUDES), int(np.ceil(oversampling * self.size / per_pair)))

    def compact(self, coefficients: Array) -> Array:
        """Compact force constants (n_primitive, n, n, 3, 3, 3) in eV/Å³."""
        n = self.n_atoms
        spanned = self.space.blocked_basis_set @ coefficients
        compact = self.space.compact_compression_matrix @ spanned
        return np.ascontiguousarray(np.asarray(compact).reshape(-1, n, n, 3, 3, 3))


def third_order_basis(
    phonons: Phono3py, cutoff: float | None, pairs: int, oversampling: float
) -> Basis:
    """The largest basis that a number of pairs can determine.

    Args:
        phonons: its third-order supercell is used.
        cutoff: Å, or None for the longest with which `pairs` suffice.
        pairs: as for `Basis.pairs_needed`.
        oversampling: equations per unknown.

    Raises:
        OracleError: stage ``fc3``; no force constants within the cutoff obey the sum rules.
    """
    _, cutoff = estimated_size(phonons, cutoff, pairs, oversampling)
    solver = _symfc(phonons, cutoff)
    try:
        solver.compute_basis_set(orders=[3])
    except AssertionError as error:  # what symfc raises for an empty basis
        within = "" if cutoff is None else f" within {cutoff:.3g} Å"
        raise OracleError(
            "fc3",
            f"no third-order force constants{within} obey the sum rules in a cell of "
            f"{len(phonons.supercell)} atoms; give a longer fc3_cutoff or a larger fc3_supercell",
        ) from error
    return Basis(solver.basis_set[3], len(phonons.supercell), cutoff)


def estimated_size(
    phonons: Phono3py, cutoff: float | None, pairs: int, oversampling: float
) -> tuple[int, float | None]:
    """Size of `third_order_basis`, slightly overestimated, and its cutoff in Å.

    Args:
        phonons: as for `third_order_basis`, like all arguments.
        cutoff: Å, or None.
        pairs: that must determine the force constants.
        oversampling: equations per unknown.
    """
    limit = pairs * 3 * (len(phonons.supercell) - 1) / oversampling
    size = _size(phonons, cutoff)
    if cutoff is not None or size <= limit:
        return size, cutoff
    sizes = functools.cache(functools.partial(_size, phonons))
    radii = _radii(phonons)
    fitting = bisect.bisect_right(radii, limit, key=sizes)  # sizes grow with the radius
    longest = radii[max(fitting - 1, 0)]
    return sizes(longest), longest


def _size(phonons: Phono3py, cutoff: float | None) -> int:
    return int(_symfc(phonons, cutoff).estimate_basis_size(orders=[3])[3])


def _symfc(phonons: Phono3py, cutoff: float | None) -> Symfc:
    cell = phonons.supercell
    operations = phonons.symmetry.symmetry_operations
    return Symfc(
        SymfcAtoms(cell=cell.cell, scaled_positions=cell.scaled_positions, numbers=cell.numbers),
        spacegroup_operations={
            "rotations": operations["rotations"],
            "translations": operations["translations"],
        },
        cutoff=None if cutoff is None else {3: cutoff},
    )


def _radii(phonons: Phono3py) -> list[float]:
    """Radii between shells of neighbours, Å, ascending from the one beyond the second shell."""
    cell = phonons.supercell
    images = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T
    first = cell.scaled_positions[phonons.primitive.p2s_map]
    between = cell.scaled_positions[None] - first[:, None]
    vectors = (between[:, :, None] + images) @ cell.cell
    distances = np.unique(np.round(np.linalg.norm(vectors, axis=3).min(axis=2), 2))
    radii = radii_between(distances)
    return radii[2:] if len(radii) > 2 else radii[-1:]


def radii_between(distances: Array) -> list[float]:
    """Radii, Å, that cut as few shells of neighbours as possible, ascending.

    Shells that are closer than `_APART` count as one, unless they go on for more than `_BROAD`, as
    where the sites have little symmetry: then they are parted at the widest gap of each `_WINDOW`.

    Args:
        distances: (n,), of neighbours, Å, ascending.
    """
    middles, gaps = (distances[1:] + distances[:-1]) / 2, np.diff(distances)
    apart = gaps > _APART
    radii = middles[apart].tolist()
    for shells in np.split(np.arange(len(distances)), np.flatnonzero(apart) + 1):
        inner = shells[:-1]
        start, end = distances[shells[[0, -1]]]
        if end - start <= _BROAD:
            continue
        windows = np.floor((middles[inner] - start) / _WINDOW)
        for number in np.unique(windows):
            inside = inner[windows == number]
            radii.append(float(middles[inside[gaps[inside].argmax()]]))
    return sorted(radii)


@dataclass(frozen=True)
class Equations:
    """Normal equations of some snapshots; those of different snapshots are added.

    Args:
        matrix: (size, size).
        vector: (size,).
        square: sum of squares of the right-hand sides.
        rows: number of independent equations.
    """

    matrix: Array
    vector: Array
    square: float
    rows: int

    def __add__(self, other: Equations) -> Equations:
        return Equations(
            self.matrix + other.matrix,
            self.vector + other.vector,
            self.square + other.square,
            self.rows + other.rows,
        )

    def times(self, weight: float) -> Equations:
        """The equations, each multiplied by a weight."""
        return Equations(
            self.matrix * weight, self.vector * weight, self.square * weight, self.rows
        )


def equations(basis: Basis, displacements: Array, even_forces: Array) -> Equations:
    """Normal equations of ± pairs, each pair scaled to displacements of mean length 1.

    Args:
        basis: of the force constants.
        displacements: (n_pairs, n_atoms, 3), Å.
        even_forces: (n_pairs, n_atoms, 3), half the sum of a pair's forces without F(0), eV/Å.
    """
    scaled, right = _scaled(displacements, even_forces)
    matrix, vector = np.zeros((basis.size, basis.size)), np.zeros(basis.size)
    for features, values in basis.design.blocks(scaled, right):
        matrix += features @ features.T
        vector += features @ values
    return Equations(
        matrix,
        vector,
        float(np.square(right).sum()),
        len(displacements) * 3 * (basis.n_atoms - 1),
    )


def _scaled(displacements: Array, even_forces: Array) -> tuple[Array, Array]:
    """Displacements and forces (n_pairs, n_atoms, 3) of pairs scaled to a mean length of 1."""
    length = np.linalg.norm(displacements, axis=2).mean(axis=1)[:, None, None]
    return displacements / length, even_forces / length**2


@dataclass(frozen=True)
class Fit:
    """Solution of normal equations and its uncertainty.

    Args:
        coefficients: (size,), best estimate.
        variance: of the residual of one equation, due to noise and to what the model leaves out.
        left_out: the variance as a share of the mean square of the right-hand sides.
        factor: Cholesky factor of the normal matrix, as SciPy gives it.
    """

    coefficients: Array
    variance: float
    left_out: float
    factor: tuple[Array, bool]

    def drawn(self, basis: Basis, displacements: Array, rng: np.random.Generator) -> Array:
        """Coefficients with an additional random error, of the size of that which they have.

        The noise is drawn for the forces (a parametric bootstrap), not for the coefficients: these
        belong to a basis whose degenerate vectors depend on rounding, so that the same random
        numbers would mean different noise on another machine.

        Args:
            basis: of the force constants.
            displacements: (n_pairs, n_atoms, 3), Å, of the pairs that were fitted.
            rng: the source of the noise.
        """
        noise = rng.standard_normal(displacements.shape)
        noise -= noise.mean(axis=1, keepdims=True)  # forces add up to zero
        length = np.linalg.norm(displacements, axis=2).mean(axis=1)[:, None, None]
        scaled, right = _scaled(displacements, np.sqrt(self.variance) * length**2 * noise)
        noisy = basis.design.right_hand_side(scaled, right)
        return self.coefficients + cho_solve(self.factor, noisy)


def solve(system: Equations) -> Fit:
    """Least-squares solution.

    Raises:
        OracleError: stage ``fc3``; too few or too similar snapshots.
    """
    unknowns = len(system.vector)
    if system.rows <= unknowns:
        raise OracleError(
            "fc3",
            f"{system.rows} equations for {unknowns} unknown force constants; "
            "raise pairs_start and pairs_max, or give a fc3_cutoff",
        )
    try:
        factor = cho_factor(system.matrix)
    except LinAlgError as error:
        raise OracleError(
            "fc3",
            f"the snapshots do not determine {unknowns} force constants; "
            "raise pairs_start, or give a fc3_cutoff",
        ) from error
    coefficients = cho_solve(factor, system.vector)
    residual = max(system.square - float(coefficients @ system.vector), 0.0)
    variance = residual / (system.rows - unknowns)
    left_out = variance * system.rows / system.square if system.square else 0.0
    return Fit(coefficients, variance, left_out, factor)


def second_order_fit(phonons: Phono3py, displacements: Array, odd_forces: Array) -> Array:
    """Compact second-order force constants in the third-order supercell, eV/Å².

    Args:
        phonons: its third-order supercell is used.
        displacements: (n_pairs, n_atoms, 3), Å.
        odd_forces: (n_pairs, n_atoms, 3), half the difference of a pair's forces, eV/Å.
    """
    solver = _symfc(phonons, None)
    solver.displacements = displacements
    solver.forces = odd_forces
    solver.run(orders=[2], is_compact_fc=True)
    return np.asarray(solver.force_constants[2], dtype=np.float64)
