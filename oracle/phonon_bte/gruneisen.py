"""Mode Grüneisen parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from phono3py import Phono3py
from phono3py.phonon3.gruneisen import Gruneisen

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
        """Root mean square, weighted by the heat capacity of modes at a temperature in K."""
        x = PLANCK_BOLTZMANN * np.maximum(self.frequencies, 1e-3) / temperature
        capacity = mode_capacity(x) * (self.frequencies > _SLOW)
        return float(np.sqrt(np.sum(capacity * self.values**2) / np.sum(capacity)))

    def write(self, folder: Path) -> str:
        """Write the fields as data sets to ``gruneisen.hdf5``; returns the file's name."""
        with h5py.File(folder / "gruneisen.hdf5", "w") as file:
            file["qpoint"] = self.qpoints
            file["frequency"] = self.frequencies
            file["gruneisen"] = self.values
        return "gruneisen.hdf5"


def mode_gruneisen(
    phonons: Phono3py, fc2: Array, fc3: Array, mesh: tuple[int, int, int]
) -> ModeGruneisen:
    """Mode Grüneisen parameters from third-order force constants.

    Args:
        phonons: its third-order supercell is used.
        fc2: compact, in the third-order supercell.
        fc3: compact.
        mesh: of q points, shifted off the zone centre.
    """
    solver = Gruneisen(fc2, fc3, phonons.supercell, phonons.primitive)
    axes = [(np.arange(n) + 0.5) / n for n in mesh]
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 3)
    solver.set_qpoints(points)
    solver.run()
    tensors = np.asarray(solver.gruneisen_parameters, dtype=np.float64)
    return ModeGruneisen(
        qpoints=points,
        frequencies=np.asarray(solver.frequencies, dtype=np.float64),
        values=np.trace(tensors, axis1=-2, axis2=-1) / 3,
    )
