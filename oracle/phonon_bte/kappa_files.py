"""The conductivity as a file of phono3py."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from phono3py import Phono3py

from oracle.phonon_bte.conductivity import VOIGT, Array, Transport


def write_kappa(folder: Path, phonons: Phono3py, found: Transport, temperatures: Array) -> str:
    """Write ``kappa-m*.hdf5`` with phono3py's names of data sets; returns the file's name.

    ``lifetime`` (ps) and ``mean_free_path`` (Å) of all scattering together are added.
    """
    calculator = phonons.thermal_conductivity
    name = "kappa-m" + "".join(str(n) for n in found.mesh) + ".hdf5"
    with h5py.File(folder / name, "w") as file:
        file["temperature"] = temperatures
        file["mesh"] = np.array(found.mesh)
        file["frequency"] = found.frequencies
        file["weight"] = found.weights.astype(np.int64)
        file["qpoint"] = np.asarray(calculator.qpoints)
        file["gamma"] = np.asarray(calculator.gamma)[0]
        file["group_velocity"] = np.asarray(calculator.group_velocities)
        if calculator.gamma_isotope is not None:
            file["gamma_isotope"] = np.asarray(calculator.gamma_isotope)[0]
        file["lifetime"] = found.lifetimes
        file["mean_free_path"] = found.mean_free_paths
        file["heat_capacity"] = np.asarray(calculator.mode_heat_capacities)
        for key, tensor in (("kappa", found.kappa), ("kappa_intra", found.particle)):
            file[key] = np.stack([tensor[:, i, j] for i, j in VOIGT], axis=1)
        if found.coherence is not None:
            file["kappa_inter"] = np.stack([found.coherence[:, i, j] for i, j in VOIGT], axis=1)
    return name
