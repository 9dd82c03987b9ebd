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
    """Conductivity on a coarse mesh, by which third-order force constants are compared.

    Linewidths due to isotopes depend only on second-order force constants and are computed once.
    """

    def __init__(self, settings: PhononSettings, mesh: Mesh) -> None:
        self._settings = settings
        self._mesh = mesh
        self._isotopes: Array | None = None

    def __call__(self, phonons: Phono3py) -> Array:
        """A third of the trace of the particle part (n_temperatures,), W/m/K.

        If the mesh is too coarse for the temperature, the result may be 0, not finite or far too
        large; see `change`.

        Args:
            phonons: with fc2, the same at each call, and fc3 set.

        Raises:
            OracleError: stage ``bte``; out of memory.
        """
        transport = conductivity(
            phonons,
            self._settings,
            self._mesh,
            coherence=False,
            isotope=self._settings.isotope and self._isotopes is None,
            checked=False,
        )
        if self._isotopes is not None:
            return transport.scattered_too(self._isotopes)
        if self._settings.transport == "rta":  # otherwise kappa does not follow from linewidths
            self._isotopes = transport.isotope_linewidths
        return transport.mean


def converged(
    phonons: Phono3py, settings: PhononSettings, mesh: Mesh, context: Context
) -> list[Transport]:
    """Transport on ever denser meshes until kappa changes by less than ``settings.tolerance``.

    Args:
        phonons: with fc2 and fc3 set.
        settings: of the oracle; at most ``converge_meshes`` meshes are tried.
        mesh: the first one.
        context: its deadline is checked before every mesh.

    Returns:
        One result per mesh; the last one is the answer.

    Raises:
        OracleError: stage ``bte``; see `conductivity`.
    """
    history = [conductivity(phonons, settings, mesh)]
    while len(history) < settings.converge_meshes:
        context.check("bte")
        last = history[-1]
        history.append(conductivity(phonons, settings, refined(last.mesh)))
        if np.abs(np.log(history[-1].mean / last.mean)).max() < settings.tolerance:
            break
    return history


def error(transport: Transport, phonons: Phono3py, settings: PhononSettings) -> Array:
    """Relative error (n_temperatures,) of the particle part due to the mesh.

    It is estimated from a coarser mesh, and too small where a few long waves carry the heat, as in
    zinc-blende AuI (docs/physics.md).

    Args:
        transport: on the mesh whose error is estimated.
        phonons: with fc2 and fc3 set.
        settings: of the oracle.

    Raises:
        OracleError: stage ``bte``; out of memory.
    """
    mesh = coarsened(transport.mesh, COARSE)
    coarse = conductivity(phonons, settings, mesh, coherence=False, checked=False)
    particle = np.trace(transport.particle, axis1=1, axis2=2) / 3
    return SHARE * np.abs(change(particle, coarse.mean))
