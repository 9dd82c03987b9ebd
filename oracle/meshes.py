"""How the conductivity depends on the mesh of q points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py

from oracle.protocol import Context
from oracle.settings import PhononSettings
from oracle.transport import Transport, conductivity

Array = NDArray[np.float64]
Mesh = tuple[int, int, int]
COARSE = 1.6
"""Ratio of spacings of the mesh that tells the mesh's own error to the result's."""
SHARE = 0.5
"""Of the change from the coarse to the final mesh, what is left; between 1/N and 1/N² decay."""


class Judge:
    """Conductivity on a coarse mesh, by which force constants are compared with one another.

    Isotopes scatter by the constants of second order alone, so their widths are computed once.
    """

    def __init__(self, settings: PhononSettings, mesh: Mesh, temperature: float) -> None:
        self._settings = settings
        self._mesh = mesh
        self._temperature = temperature
        self._isotopes: Array | None = None

    def __call__(self, phonons: Phono3py) -> float:
        """A third of the trace of the particle part, W/m/K.

        Args:
            phonons: with fc2, the same at each call, and fc3 set.

        Raises:
            OracleError: stage ``bte``.
        """
        found = conductivity(
            phonons,
            self._settings,
            self._mesh,
            coherence=False,
            isotope=self._settings.isotope and self._isotopes is None,
            temperatures=(self._temperature,),
        )
        if self._isotopes is not None:
            return float(found.scattered_too(self._isotopes)[0])
        if self._settings.transport == "rta":  # elsewhere linewidths do not say all
            self._isotopes = found.isotope_linewidths
        return float(found.mean[0])


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


def error(
    found: Transport, phonons: Phono3py, settings: PhononSettings, temperature: float
) -> float:
    """Relative error of the particle part that the mesh leaves, from a coarser one.

    Too small where a few long waves carry the heat, as in zincblende AuI (docs/physics.md).

    Args:
        found: on the mesh in question.
        phonons: with fc2 and fc3 set.
        settings: of the oracle.
        temperature: one of ``settings.temperatures``, K.

    Raises:
        OracleError: stage ``bte``.
    """
    mesh = coarsened(found.mesh, COARSE)
    coarse = conductivity(phonons, settings, mesh, coherence=False, temperatures=(temperature,))
    particle = float(np.trace(found.particle[settings.temperatures.index(temperature)])) / 3
    return SHARE * abs(float(np.log(particle / coarse.mean[0])))


def coarsened(mesh: Mesh, ratio: float) -> Mesh:
    """A mesh with about `ratio` times the spacing, of three points at least."""
    a, b, c = (max(3, round(n / ratio)) for n in mesh)
    return a, b, c


def refined(mesh: Mesh) -> Mesh:
    """A mesh a quarter denser, by at least two points along each vector."""
    a, b, c = (n + max(2, round(n / 4)) for n in mesh)
    return a, b, c
