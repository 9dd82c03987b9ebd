"""How the conductivity depends on the mesh of q points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py

from oracle.formulas.changes import change
from oracle.materials.reciprocal import COARSE, SHARE, Mesh, coarsened, refined
from oracle.phonon_bte.conductivity import Transport, conductivity
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context

Array = NDArray[np.float64]


class Judge:
    """Conductivity on a coarse mesh, by which force constants are compared with one another.

    Isotopes scatter by the constants of second order alone, so their widths are computed once.
    """

    def __init__(self, settings: PhononSettings, mesh: Mesh) -> None:
        self._settings = settings
        self._mesh = mesh
        self._isotopes: Array | None = None

    def __call__(self, phonons: Phono3py) -> Array:
        """A third of the trace of the particle part (n_temperatures,), W/m/K.

        Where such a mesh holds no heat at all, or too little to scatter, it is 0, not finite or
        beyond what a crystal conducts: see `change`.

        Args:
            phonons: with fc2, the same at each call, and fc3 set.

        Raises:
            OracleError: stage ``bte``; out of memory.
        """
        found = conductivity(
            phonons,
            self._settings,
            self._mesh,
            coherence=False,
            isotope=self._settings.isotope and self._isotopes is None,
            checked=False,
        )
        if self._isotopes is not None:
            return found.scattered_too(self._isotopes)
        if self._settings.transport == "rta":  # elsewhere linewidths do not say all
            self._isotopes = found.isotope_linewidths
        return found.mean


def converged(
    phonons: Phono3py, settings: PhononSettings, mesh: Mesh, context: Context
) -> list[Transport]:
    """Transport on ever denser meshes until it moves by less than ``settings.tolerance``.

    Args:
        phonons: with fc2 and fc3 set.
        settings: of the oracle; at most ``converge_meshes`` are tried.
        mesh: the first.
        context: its deadline is looked at before every mesh.

    Returns:
        One result per mesh, the last being the answer.

    Raises:
        OracleError: stage ``bte``.
    """
    history = [conductivity(phonons, settings, mesh)]
    while len(history) < settings.converge_meshes:
        context.check("bte")
        last = history[-1]
        history.append(conductivity(phonons, settings, refined(last.mesh)))
        if np.abs(np.log(history[-1].mean / last.mean)).max() < settings.tolerance:
            break
    return history


def error(found: Transport, phonons: Phono3py, settings: PhononSettings) -> Array:
    """Relative error (n_temperatures,) of the particle part that the mesh leaves, by a coarser one.

    Too small where a few long waves carry the heat, as in zincblende AuI (docs/physics.md).

    Args:
        found: on the mesh in question.
        phonons: with fc2 and fc3 set.
        settings: of the oracle.

    Raises:
        OracleError: stage ``bte``; out of memory.
    """
    mesh = coarsened(found.mesh, COARSE)
    coarse = conductivity(phonons, settings, mesh, coherence=False, checked=False)
    particle = np.trace(found.particle, axis1=1, axis2=2) / 3
    return SHARE * np.abs(change(particle, coarse.mean))
