"""Writing the conductivity as a file like those of phono3py."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from phono3py import Phono3py

from oracle.phonon_bte.conductivity import VOIGT, Array
from oracle.phonon_bte.convergence import Solution


def write_kappa(folder: Path, phonons: Phono3py, solution: Solution, temperatures: Array) -> str:
    """Write ``kappa-m*.hdf5`` with phono3py's names of data sets; returns the file's name.

    Modes are those of the mesh. Data sets ``lifetime`` (ps) and ``mean_free_path`` (Å), due to all
    scattering, are added. ``kappa`` and ``kappa_intra`` are those of all waves, and
    ``kappa_on_mesh`` is what the modes of the mesh add up to, with coherence where it was computed.
    """
    transport, answer = solution.on_mesh, solution.of_all_waves
    calculator = phonons.thermal_conductivity
    name = "kappa-m" + "".join(str(n) for n in transport.mesh) + ".hdf5"
    with h5py.File(folder / name, "w") as file:
        file["temperature"] = temperatures
        file["mesh"] = np.array(transport.mesh)
        file["frequency"] = transport.frequencies
        file["weight"] = transport.weights.astype(np.int64)
        file["qpoint"] = np.asarray(calculator.qpoints)
        file["gamma"] = np.asarray(calculator.gamma)[0]
        file["group_velocity"] = np.asarray(calculator.group_velocities)
        if calculator.gamma_isotope is not None:
            file["gamma_isotope"] = np.asarray(calculator.gamma_isotope)[0]
        file["lifetime"] = transport.lifetimes
        file["mean_free_path"] = transport.mean_free_paths
        file["heat_capacity"] = np.asarray(calculator.mode_heat_capacities)
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
