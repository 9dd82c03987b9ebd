"""Elastic constants from the stresses of slightly strained cells, with the atoms relaxed in each.

``C_ij = d sigma_i / d epsilon_j`` by central differences (Nye, Physical Properties of Crystals,
chapter VIII). No supercell is involved, so that these constants do not depend on where force
constants are cut off, as those from long acoustic waves do (`oracle.phonons.elasticity`). The point
group turns one strain into others: between one (cubic) and six (triclinic) determine all constants.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.optimize import BFGS
from numpy.typing import NDArray
from phono3py import Phono3py
from phonopy import Phonopy

from oracle.phonons.elasticity import VOIGT, Elasticity, density_of
from oracle.phonons.supercells import as_atoms
from oracle.potentials.forces import ForceField
from oracle.potentials.table import weights_digest
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
VERSION = 1
"""To be raised when the elastic constants of the same crystal would change."""
STRAIN = 0.005
"""Length (Frobenius norm) of the smaller strain; the other is twice as large."""
LENGTHS = (1.0, -1.0, 2.0, -2.0)
"""Lengths of each strain, in units of `STRAIN`."""
_FMAX = 2e-5  # eV/Å; a strain of 0.005 causes inner forces of the order of 0.01 to 0.1 eV/Å
_ACCEPTED = 1e-3  # eV/Å; largest force that may be left where rounding prevents `_FMAX`
_STEPS = 25
_SOFTEST = 0.02  # eV/Å²; the first step along a softer or unstable mode is that of such a spring
_COMPONENTS = 3  # number of components of a strain
_CERTAIN = 0.01  # of the largest eigenvalue; a stiffness that is more negative is no rounding error
_LENGTHS = np.sqrt([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])  # from Voigt's notation to Kelvin's


@dataclass(frozen=True)
class Strained:
    """Elastic constants by finite strain.

    Args:
        fine: from strains of length `STRAIN`.
        coarse: from strains twice as large; the difference shows the error.
        strains: number of strains that were needed, each with four lengths.
        calls: number of times that the stress of a primitive cell was computed.
    """

    fine: Elasticity
    coarse: Elasticity
    strains: int
    calls: int

    def error(self, of: Callable[[Elasticity], float]) -> float | None:
        """Standard error of a scalar of the crystal; None where the coarse one does not exist."""
        if not self.coarse.stable:
            return None
        return abs(of(self.fine) - of(self.coarse))

    @property
    def unstable(self) -> bool:
        """Whether some strain lowers the energy, beyond doubt (Born's criterion violated)."""
        largest = float(np.abs(self.fine.stiffness).max())
        highest = max(self.fine.lowest_eigenvalue, self.coarse.lowest_eigenvalue)
        return highest < -_CERTAIN * largest


def number_of_strains(phonons: Phonopy | Phono3py) -> int:
    """How many strains, each of four lengths, the symmetry of a crystal leaves to compute."""
    return len(independent_strains(kelvin_rotations(_rotations(phonons))))


def strained(phonons: Phonopy, field: ForceField) -> Strained:
    """Elastic constants of a relaxed crystal by finite strain, or the stored ones.

    Args:
        phonons: with second-order force constants; they only speed up the relaxation of atoms.
        field: computes stresses, and stores the result.

    Raises:
        OracleError: stage ``elasticity``; atoms of a strained cell do not relax, or the
            calculator fails.
    """
    rest = as_atoms(phonons.primitive)
    curvature = inner_curvature(phonons)
    key = digest_of(
        {
            "version": VERSION,
            "cell": rest.cell.array.tolist(),
            "positions": rest.positions.tolist(),
            "numbers": rest.numbers.tolist(),
            "curvature": curvature.tolist(),
            "weights": weights_digest(field.potential),
        }
    )
    stored = field.store.load("elasticity", key)
    if stored is None:
        arrays, facts = _computed(phonons, rest, curvature, field)
        field.store.save("elasticity", key, arrays, facts)
    else:
        arrays, facts = stored
    density = density_of(phonons.primitive)
    return Strained(
        Elasticity(arrays["fine"], density), Elasticity(arrays["coarse"], density), **facts
    )


def _computed(
    phonons: Phonopy, rest: Atoms, curvature: Array, field: ForceField
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Stiffnesses (6, 6) in GPa by name, and the numbers of strains and calls."""
    turns = kelvin_rotations(_rotations(phonons))
    chosen = independent_strains(turns)
    stresses: list[tuple[Array, Array]] = []
    calls = 0
    for number, strain in enumerate(chosen):
        field.context.check("elasticity")
        field.context.progress("elasticity", number / len(chosen))
        fine, coarse, more = _responses(rest, STRAIN * strain, curvature, field)
        stresses.append((fine / STRAIN, coarse / STRAIN))
        calls += more
    fine, coarse = (
        stiffness_from(turns, np.array(chosen), np.array(each))
        for each in zip(*stresses, strict=True)
    )
    return {"fine": fine, "coarse": coarse}, {"strains": len(chosen), "calls": calls}


def _responses(
    rest: Atoms, strain: Array, curvature: Array, field: ForceField
) -> tuple[Array, Array, int]:
    """Stress by strain, for the strain and twice the strain; and the number of calls.

    Args:
        rest: the crystal at rest.
        strain: (6,), Kelvin notation.
        curvature: (3 n, 3 n), see `inner_curvature`.
        field: computes stresses.

    Returns:
        Half the difference of the stresses (6,) at ± the strain, in GPa and Kelvin notation; a
        quarter of that at ± twice the strain; the number of calls.
    """
    matrix = strain_matrix(strain)
    moved = np.zeros_like(rest.positions)
    stress: dict[float, Array] = {}
    calls = 0
    for factor in LENGTHS:
        atoms = rest.copy()
        # Atoms move in proportion to the strain, which saves most of the steps after the first.
        atoms.positions = rest.positions + factor * moved
        atoms.set_cell(rest.cell.array @ (np.eye(3) + factor * matrix), scale_atoms=True)
        start = atoms.positions.copy()
        stress[factor], final, more = _relaxed_stress(atoms, curvature, field)
        calls += more
        if factor == 1.0:
            moved = final - start
    fine, coarse = ((stress[n] - stress[-n]) / (2 * n) for n in (1.0, 2.0))
    return fine, coarse, calls


def _relaxed_stress(
    strained_cell: Atoms, curvature: Array, field: ForceField
) -> tuple[Array, Array, int]:
    """Stress (6,) in GPa and Kelvin notation, relaxed positions (n, 3) in Å, number of calls."""
    with field.attached(strained_cell, "elasticity") as atoms:
        optimizer = BFGS(atoms, logfile=None)
        optimizer.H0 = curvature
        optimizer.run(fmax=_FMAX, steps=_STEPS)
        left = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
        if not left < _ACCEPTED:
            raise OracleError(
                "elasticity",
                f"in a cell strained by {STRAIN:g}, forces of {left:.2g} eV/Å are left after "
                f"{_STEPS} steps; expected less than {_ACCEPTED:g}: the crystal may be unstable",
            )
        stress = np.asarray(atoms.get_stress(voigt=True), dtype=np.float64) / units.GPa
        if not np.isfinite(stress).all():
            raise OracleError(
                "elasticity",
                f"calculator {field.potential} gave a stress that is not finite; use another one",
            )
        return stress * _LENGTHS, atoms.positions.copy(), optimizer.nsteps + 1


def inner_curvature(phonons: Phonopy) -> Array:
    """Second derivatives (3 n, 3 n) of the energy of a primitive cell by its atoms' positions.

    In eV/Å². The sum of the force constants between all images of two atoms, which supercells of
    any size give exactly. Eigenvalues below `_SOFTEST`, those of translations among them, are
    raised to it, so that the matrix can serve as the first Hessian of a quasi-Newton optimizer.
    """
    primitive = phonons.primitive
    constants = np.asarray(phonons.force_constants)
    if len(constants) == len(primitive.s2p_map):
        constants = constants[primitive.p2s_map]
    n = len(primitive)
    places = np.array([primitive.p2p_map[atom] for atom in primitive.s2p_map])
    summed = np.zeros((n, n, 3, 3))
    for atom, place in enumerate(places):
        summed[:, place] += constants[:, atom]
    matrix = summed.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, _SOFTEST)) @ vectors.T)


def _rotations(phonons: Phonopy | Phono3py) -> Array:
    """Point group (n, 3, 3) of a crystal in Cartesian coordinates."""
    rotations = np.unique(phonons.primitive_symmetry.symmetry_operations["rotations"], axis=0)
    columns = np.asarray(phonons.primitive.cell).T
    return np.asarray(columns @ rotations @ np.linalg.inv(columns))


def strain_matrix(strain: Array) -> Array:
    """The symmetric matrix (3, 3) of a strain or stress (6,) in Kelvin notation.

    Kelvin notation (xx, yy, zz, √2 yz, √2 xz, √2 xy) keeps lengths: six numbers turn like a vector.
    """
    matrix = np.zeros((3, 3))
    for value, length, (i, j) in zip(strain, _LENGTHS, VOIGT, strict=True):
        matrix[i, j] = matrix[j, i] = value / length
    return matrix


def kelvin_rotations(rotations: Array) -> Array:
    """Orthogonal matrices (n, 6, 6) that turn strains as rotations (n, 3, 3) turn vectors.

    Mehrabadi and Cowin, Q. J. Mech. Appl. Math. 43, 15 (1990).
    """
    basis = np.array([strain_matrix(unit) for unit in np.eye(6)])
    turned = np.einsum("rik,akl,rjl->raij", rotations, basis, rotations)
    return np.asarray(np.einsum("bij,raij->rba", basis, turned))


def independent_strains(turns: Array) -> list[Array]:
    """The fewest strains, each (6,) of unit length, whose images under the point group span all.

    Args:
        turns: (n, 6, 6), the point group in Kelvin notation.
    """
    candidates = [
        np.isin(range(6), chosen) / np.sqrt(count)
        for count in range(1, _COMPONENTS + 1)
        for chosen in itertools.combinations(range(6), count)
    ]
    images = [turns @ candidate for candidate in candidates]
    spanned = np.zeros((0, 6))
    strains: list[Array] = []
    while (rank := _rank(spanned)[0]) < 6:
        ranks = [_rank(np.vstack([spanned, image])) for image in images]
        # Of those that add most, the one whose images are farthest from depending on each other;
        # rounded, so that the choice does not depend on the machine.
        best = max(range(len(images)), key=lambda k: (ranks[k][0], round(ranks[k][1], 6), -k))
        assert ranks[best][0] > rank  # units of the six components are among the candidates
        spanned = np.vstack([spanned, images[best]])
        strains.append(candidates[best])
    return strains


def _rank(vectors: Array) -> tuple[int, float]:
    """Rank of row vectors (n, 6), and their smallest singular value that is not zero."""
    if not len(vectors):
        return 0, 0.0
    singular = np.linalg.svd(vectors / np.sqrt(len(vectors)), compute_uv=False)
    above = singular[singular > 1e-3]
    return len(above), float(above.min(initial=np.inf))


def stiffness_from(turns: Array, strains: Array, stresses: Array) -> Array:
    """The stiffness (6, 6) in Voigt notation and GPa that has the symmetry of a crystal.

    Least squares over the strains and all their images; ``C_ij = C_ji`` by averaging.

    Args:
        turns: (n, 6, 6), the point group in Kelvin notation.
        strains: (k, 6), Kelvin notation, which determine all constants.
        stresses: (k, 6) per unit of strain, Kelvin notation, GPa.
    """
    caused = np.einsum("rij,kj->rki", turns, stresses).reshape(-1, 6)
    causes = np.einsum("rij,kj->rki", turns, strains).reshape(-1, 6)
    kelvin = np.linalg.lstsq(causes, caused, rcond=None)[0].T
    return np.asarray((kelvin + kelvin.T) / 2 / np.outer(_LENGTHS, _LENGTHS))
