"""Writing the conductivity as a file like those of phono3py."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from scipy import constants

from oracle.formulas.bose_einstein import PLANCK_BOLTZMANN, mode_capacity
from oracle.phonon_bte.between_points import VANISHING
from oracle.phonon_bte.conductivity import VOIGT, boundary_widths
from oracle.phonon_bte.convergence import Solution
from oracle.phonons.settings import PhononSettings

_BOLTZMANN_EV = constants.k / constants.e  # eV/K


def write_kappa(folder: Path, solution: Solution, settings: PhononSettings) -> str:
    """Write ``kappa-m*.hdf5`` with phono3py's names of data sets; returns the file's name.

    Modes are those of the mesh, with lifetimes that were computed or interpolated. Data sets
    ``lifetime`` (ps) and ``mean_free_path`` (Å), due to all scattering, are added. ``kappa`` and
    ``kappa_intra`` are those of all waves, and ``kappa_on_mesh`` is what the modes of the mesh add
    up to, with coherence where it was computed.
    """
    transport, answer = solution.on_mesh, solution.of_all_waves
    temperatures = np.array(settings.temperatures)
    name = "kappa-m" + "".join(str(n) for n in transport.mesh) + ".hdf5"
    with h5py.File(folder / name, "w") as file:
        file["temperature"] = temperatures
        file["mesh"] = np.array(transport.mesh)
        file["frequency"] = transport.frequencies
        file["weight"] = transport.weights.astype(np.int64)
        file["qpoint"] = transport.points
        widths = transport.linewidths - boundary_widths(transport.velocities, settings)
        isotopes = transport.isotope_linewidths
        file["gamma"] = np.maximum(widths if isotopes is None else widths - isotopes, 0.0)
        file["group_velocity"] = transport.velocities
        if isotopes is not None:
            file["gamma_isotope"] = isotopes
        file["lifetime"] = transport.lifetimes
        file["mean_free_path"] = transport.mean_free_paths
        moving = transport.frequencies > VANISHING
        x = PLANCK_BOLTZMANN * np.where(moving, transport.frequencies, 0.0)
        file["heat_capacity"] = (
            _BOLTZMANN_EV * moving * mode_capacity(x / temperatures[:, None, None])
        )
        tensors = {
            "kappa": answer.kappa,
            "kappa_intra": answer.particle,
            "kappa_on_mesh": transport.kappa,
        }
        for key, tensor in tensors.items():
            file[key] = np.stack([tensor[:, i, j] for i, j in VOIGT], axis=1)
        if transport.coherence is not None:
            file["kappa_inter"] = np.stack([transport.coherence[:, i, j] for i, j in VOIGT], axis=1)
    return name
