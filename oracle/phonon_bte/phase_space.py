"""Phase space of three-phonon scattering."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from phono3py import Phono3py
from phono3py.api_jointdos import Phono3pyJointDos
from phonopy.phonon.grid import get_ir_grid_points

from oracle.phonon_bte.conductivity import Array


def phase_space(phonons: Phono3py, mesh: tuple[int, int, int]) -> float:
    """Three-phonon phase space, ps.

    It measures how many three-phonon processes conserve energy and momentum, whatever their
    strength (Lindsay and Broido, J. Phys.: Condens. Matter 20, 165209 (2008), eqs. 3 to 5)::

        P3 = 2 / (3 n_bands³) <sum over bands of D+ + D- / 2>,
        D± = 1/N sum δ(ν ± ν' - ν'')

    with ordinary frequencies ν; with angular ones, as in some papers, it is 2π times smaller.

    Args:
        phonons: with fc2 set.
        mesh: of q points.
    """
    total, weights = 0.0, 0
    for joint in joint_densities(phonons, mesh):
        # phono3py's first density includes emission of either partner, 2 D+; the second one is D-.
        first, second = (
            np.interp(joint.modes, joint.frequencies, joint.densities[:, k]) for k in (0, 1)
        )
        total += joint.weight * float(np.sum(first + second)) / 2
        weights += joint.weight
        bands = len(joint.modes)
    return 2 * total / weights / (3 * bands**3)


@dataclass(frozen=True)
class JointDensity:
    """Joint densities of states at one q point.

    Args:
        weight: multiplicity of the point.
        modes: (n_bands,), frequencies at the point, THz.
        frequencies: (n,), at which the densities are given, THz.
        densities: (n, 2), 1/THz; of ``ν ± ν' ∓ ν''`` and of ``ν - ν' - ν''``.
    """

    weight: int
    modes: Array
    frequencies: Array
    densities: Array


def joint_densities(phonons: Phono3py, mesh: tuple[int, int, int]) -> Iterator[JointDensity]:
    """Joint densities at every irreducible point of a mesh, by the tetrahedron method.

    Args:
        phonons: with fc2 set.
        mesh: of q points.
    """
    solver = Phono3pyJointDos(
        phonons.phonon_supercell,
        phonons.phonon_primitive,
        phonons.fc2,
        mesh=list(mesh),
        nac_params=phonons.nac_params,
        log_level=0,
    )
    points, weights, _ = get_ir_grid_points(solver.grid)
    for point, weight in zip(solver.grid.grg2bzg[points], weights, strict=True):
        solver.run([int(point)])
        yield JointDensity(
            weight=int(weight),
            modes=np.asarray(solver._jdos.phonons.frequencies[point]),
            frequencies=np.asarray(solver.frequency_points),
            densities=np.asarray(solver.joint_dos)[0, 0],
        )
