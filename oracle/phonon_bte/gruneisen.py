"""Mode Grüneisen parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from phono3py import Phono3py
from phono3py.phonon3.gruneisen import Gruneisen
from phonopy.harmonic.dynamical_matrix import get_dynamical_matrix
from phonopy.harmonic.force_constants import compact_fc_to_full_fc

from oracle.formulas.bose_einstein import PLANCK_BOLTZMANN, mode_capacity
from oracle.phonon_bte.conductivity import Array

_SLOW = 0.1  # THz; parameters of modes of lower frequency are dominated by noise


@dataclass(frozen=True)
class ModeGruneisen:
    """Grüneisen parameters of the modes, with atoms that follow the strain.

    Args:
        qpoints: (n_q, 3), reduced coordinates; a full mesh shifted off the zone centre.
        frequencies: (n_q, n_bands), THz.
        values: (n_q, n_bands), a third of the trace of each mode's tensor.
    """

    qpoints: Array
    frequencies: Array
    values: Array

    def mean(self, temperature: float) -> float:
        """Mean, weighted by the heat capacity of modes at a temperature in K.

        It is the thermodynamic Grüneisen parameter, which determines thermal expansion and has its
        sign: ``sum C γ / sum C`` (Barron, Collins and White, Adv. Phys. 29, 609 (1980), sec. 3).
        """
        capacity = self._capacities(temperature)
        return float(np.sum(capacity * self.values) / np.sum(capacity))

    def root_mean_square(self, temperature: float) -> float:
        """Root mean square, weighted as `mean`.

        Rates of three-phonon scattering go as the square of Grüneisen parameters, so that this one
        enters models of the conductivity (Morelli and Slack, in High Thermal Conductivity Materials
        (Springer 2006), section 2.3).
        """
        capacity = self._capacities(temperature)
        return float(np.sqrt(np.sum(capacity * self.values**2) / np.sum(capacity)))

    def _capacities(self, temperature: float) -> Array:
        """Heat capacities (n_q, n_bands) in k_B; 0 for modes whose parameter is noise."""
        x = PLANCK_BOLTZMANN * np.maximum(self.frequencies, 1e-3) / temperature
        return np.asarray(mode_capacity(x) * (self.frequencies > _SLOW))

    def write(self, folder: Path) -> str:
        """Write the fields as data sets to ``gruneisen.hdf5``; returns the file's name."""
        with h5py.File(folder / "gruneisen.hdf5", "w") as file:
            file["qpoint"] = self.qpoints
            file["frequency"] = self.frequencies
            file["gruneisen"] = self.values
        return "gruneisen.hdf5"


def mode_gruneisen(
    phonons: Phono3py,
    fc2: Array,
    fc3: Array,
    mesh: tuple[int, int, int],
    polar: Mapping[str, Any] | None = None,
) -> ModeGruneisen:
    """Mode Grüneisen parameters from third-order force constants.

    Args:
        phonons: its third-order supercell is used.
        fc2: compact, in the third-order supercell.
        fc3: compact.
        mesh: of q points, shifted off the zone centre.
        polar: phonopy's parameters of the non-analytic term, for polar crystals.
    """
    axes = [(np.arange(n) + 0.5) / n for n in mesh]
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 3)
    given = dict(polar) if polar is not None else None
    solver = Gruneisen(fc2, fc3, phonons.supercell, phonons.primitive, nac_params=given)
    solver.set_qpoints(points)
    solver.run()
    tensors = np.asarray(solver.gruneisen_parameters, dtype=np.float64)
    values = np.trace(tensors, axis1=-2, axis2=-1) / 3
    if given is not None:
        plain = get_dynamical_matrix(
            compact_fc_to_full_fc(phonons.primitive, fc2), phonons.supercell, phonons.primitive
        )
        values = values + _polar_part(solver.dynamical_matrix, plain, points)
    return ModeGruneisen(
        qpoints=points,
        frequencies=np.asarray(solver.frequencies, dtype=np.float64),
        values=values,
    )


def _polar_part(polar: Any, plain: Any, points: Array) -> Array:
    """What the non-analytic term adds to Grüneisen parameters (n_q, n_bands).

    phono3py differentiates only the force constants in the supercell. The dynamical matrix of
    dipoles that the non-analytic term adds to them, ΔD, goes as one over the volume, if charges,
    dielectric constant and fractional coordinates stay, so that ``γ = -V/(2 ω²) e* dD/dV e``
    gains ``e* ΔD e / (2 ω²)``. How charges and dielectric constant depend on volume is unknown.

    Args:
        polar: phonopy's dynamical matrix with the non-analytic term.
        plain: the same without it.
        points: (n_q, 3), reduced coordinates, none at Γ.
    """
    parts = []
    for point in points:
        polar.run(point, point)
        plain.run(point)
        squares, vectors = np.linalg.eigh(polar.dynamical_matrix)
        added = polar.dynamical_matrix - plain.dynamical_matrix
        changes = np.einsum("ib,ij,jb->b", vectors.conj(), added, vectors).real
        parts.append(changes / (2 * squares))
    return np.array(parts)
