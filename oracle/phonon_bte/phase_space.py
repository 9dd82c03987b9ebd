"""Phase space of three-phonon scattering."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from phono3py import Phono3py
from phono3py.api_jointdos import Phono3pyJointDos
from phonopy.phonon.grid import get_ir_grid_points

from oracle.formulas.bose_einstein import PLANCK_BOLTZMANN
from oracle.phonon_bte.conductivity import Array
from oracle.phonons.doubts import Doubt

_GAP = 1.5  # with the limit of the rise, chosen by the crystals in docs/physics.md
_LOW, _HIGH = (0.2, 0.4), (0.5, 0.8)  # of the highest acoustic frequency
_POPULATED = 0.5  # of that frequency's temperature


@dataclass(frozen=True)
class PhaseSpace:
    """How many three-phonon processes conserve energy and momentum, whatever their strength.

    Args:
        total: of all modes, ps (see `phase_space`).
        top: highest acoustic frequency, THz.
        gap: lowest optical frequency away from the zone centre over the highest acoustic one; 0
            without optical modes.
        rise: processes per acoustic mode at 0.5 to 0.8 of `top`, over those at 0.2 to 0.4 of it.
    """

    total: float
    top: float
    gap: float
    rise: float

    @property
    def starved(self) -> bool:
        """Whether three-phonon scattering of acoustic modes is so rare that the next order counts.

        Two acoustic phonons cannot become an optical one if that lies above twice the highest
        acoustic frequency, and only those near the zone boundary can if it lies somewhat lower;
        in a narrow optical band, acoustic phonons cannot lift one optical phonon to another; and
        three bunched acoustic branches hardly scatter among themselves. Where the number of
        processes of an acoustic mode does not rise with its frequency, all three hold, as in BAs:
        Lindsay, Broido and Reinecke, Phys. Rev. Lett. 111, 025901 (2013); Feng, Lindsay and Ruan,
        Phys. Rev. B 96, 161201 (2017), for what four-phonon scattering then does.
        """
        return self.gap > _GAP and self.rise < 1

    def doubt(self, temperatures: Sequence[float]) -> Doubt:
        """The caution that four-phonon scattering, which is missing, matters at temperatures in K.

        Relative to that of three phonons its rate grows in proportion to temperature once acoustic
        modes are populated, here from half the temperature of the highest acoustic frequency.
        """
        warm = np.array(temperatures) > _POPULATED * PLANCK_BOLTZMANN * self.top

        def text(i: int, named: bool) -> str:
            where = f" at {temperatures[i]:g} K" if named else ""
            return (
                f"few three-phonon processes{where}: optical modes begin at {self.gap:.2f} times "
                "the highest acoustic frequency, and four-phonon scattering, which is missing, "
                "lowers kappa by tens of percent in such crystals, the more the hotter"
            )

        return Doubt(warm & self.starved, len(temperatures) - 1, text)


def phase_space(phonons: Phono3py, mesh: tuple[int, int, int]) -> PhaseSpace:
    """Three-phonon phase space.

    Its total measures how many three-phonon processes conserve energy and momentum, whatever their
    strength (Lindsay and Broido, J. Phys.: Condens. Matter 20, 165209 (2008), eqs. 3 to 5)::

        P3 = 2 / (3 n_bands³) <sum over bands of D+ + D- / 2>,
        D± = 1/N sum δ(ν ± ν' - ν'')

    with ordinary frequencies ν; with angular ones, as in some papers, it is 2π times smaller.

    Args:
        phonons: with fc2 set.
        mesh: of q points.
    """
    weights, modes, processes = [], [], []
    for joint in joint_densities(phonons, mesh):
        # phono3py's first density includes emission of either partner, 2 D+; the second one is D-.
        first, second = (
            np.interp(joint.modes, joint.frequencies, joint.densities[:, k]) for k in (0, 1)
        )
        weights.append(joint.weight)
        modes.append(joint.modes)
        processes.append((first + second) / 2)
    return counted(np.array(weights, dtype=np.float64), np.array(modes), np.array(processes))


def counted(weights: Array, modes: Array, processes: Array) -> PhaseSpace:
    """The phase space from the processes of each mode.

    Args:
        weights: (n_q,), multiplicities of the q points, of which the first is Γ.
        modes: (n_q, n_bands), frequencies, THz.
        processes: (n_q, n_bands), ``D+ + D- / 2``, 1/THz.
    """
    bands = modes.shape[1]
    total = float(weights @ processes.sum(axis=1) / weights.sum())
    top = float(modes[:, :3].max())
    optical = modes[1:, 3:] if len(modes) > 1 else modes[:, 3:]
    gap = float(optical.min(initial=np.inf)) / top if optical.size else 0.0
    low, high = (_per_mode(weights, modes[:, :3] / top, processes, *r) for r in (_LOW, _HIGH))
    return PhaseSpace(2 * total / (3 * bands**3), top, gap, high / low if low > 0 else np.inf)


def _per_mode(
    weights: Array, relative: Array, processes: Array, lowest: float, highest: float
) -> float:
    """Mean number of processes of acoustic modes in a range of relative frequencies (n_q, 3)."""
    within = weights[:, None] * ((relative > lowest) & (relative <= highest))
    count = within.sum()
    return float((within * processes[:, :3]).sum() / count) if count > 0 else 0.0


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
