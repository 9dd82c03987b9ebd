"""Phonons of one crystal as one side of an interface: computed once, used in every pair."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from oracle.formulas.kappa_models import Acoustics
from oracle.interface.mismatch import Spectrum, spectrum_of
from oracle.interface.settings import InterfaceSettings
from oracle.materials.crystal import Crystal
from oracle.materials.reciprocal import COARSE, Mesh, coarsened, mesh_of
from oracle.phonons.acoustics import acoustics
from oracle.phonons.harmonic import Stability
from oracle.phonons.relax import Relaxed, relax
from oracle.phonons.second_order import Timed, second_order
from oracle.potentials.forces import ForceField
from oracle.potentials.table import weights_digest
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError

VERSION = 1
"""Raise it when the same crystal and settings would get other spectra."""
_ABOVE = 1.05  # the highest frequency of a dense mesh lies little above that of the gate's mesh


@dataclass(frozen=True)
class Bulk:
    """What is known of a crystal that is stable.

    Args:
        spectrum: on the mesh that was asked for.
        coarse: on the mesh that tells its error.
        acoustics: None where long waves are unstable.
        mesh: of `spectrum`, points along the reciprocal axes.
    """

    spectrum: Spectrum
    coarse: Spectrum
    acoustics: Acoustics | None
    mesh: Mesh


@dataclass(frozen=True)
class Soft:
    """Why a crystal is no side of any interface.

    Args:
        reason: in words.
        lowest: frequency, THz; None where it was not looked at.
        q_point: where that lies.
    """

    reason: str
    lowest: float | None = None
    q_point: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Side:
    """One crystal, relaxed, and its phonons."""

    relaxed: Relaxed
    found: Bulk | Soft


def side_of(
    crystal: Crystal,
    settings: InterfaceSettings,
    spacing: float,
    forces: ForceField,
    timed: Timed,
) -> Side:
    """Relaxation, second order and spectra of a crystal, or what is stored of them.

    Args:
        crystal: any.
        settings: of the oracle.
        spacing: of the mesh, 1/Å with 2π.
        forces: gives forces and keeps all stages.
        timed: runs the stages ``relax``, ``fc2``, ``stability`` and ``spectra``.

    Raises:
        OracleError: a stage cannot be completed; its message begins with the formula.
    """
    with _naming(crystal.formula):
        plain = settings.harmonic()
        relaxed = timed("relax", lambda: relax(crystal, plain, forces))
        if relaxed.change is not None:
            return Side(relaxed, Soft(f"left its prototype in relaxation: {relaxed.change}"))
        key = digest_of(
            {
                "version": VERSION,
                "relaxed": relaxed.digest,
                "weights": weights_digest(settings.calculator),
                "harmonic": plain.model_dump(mode="json", exclude={"calculator"}),
                "axis": settings.axis,
                "step": settings.frequency_step,
                "spacing": spacing,
            }
        )
        stored = forces.store.load("spectra", key)
        if stored is not None:
            return Side(relaxed, _read(*stored, settings.frequency_step))
        made = second_order(relaxed, plain, forces, timed)
        found = timed("spectra", lambda: _spectra(made.dynamics, made.stability, settings, spacing))
        forces.store.save("spectra", key, *_written(found))
        return Side(relaxed, found)


@contextlib.contextmanager
def _naming(formula: str) -> Iterator[None]:
    """Errors say of which of the two crystals they are."""
    try:
        yield
    except OracleError as error:
        if error.message.startswith(f"{formula}:"):
            raise
        message = f"{formula}: {error.message}"
        raise OracleError(
            error.stage, message, transient=error.transient, unexpected=error.unexpected
        ) from error


def _spectra(
    dynamics: Any, stability: Stability, settings: InterfaceSettings, spacing: float
) -> Bulk | Soft:
    if not stability.stable:
        return Soft("imaginary phonon modes", stability.lowest, stability.q_point)
    step = settings.frequency_step
    number = math.ceil(_ABOVE * stability.highest / step) + 1
    mesh = _odd(mesh_of(dynamics.primitive.cell, spacing))
    fine, coarse = (
        spectrum_of(dynamics, points, step=step, number=number, axis=settings.axis)
        for points in (mesh, _odd(coarsened(mesh, COARSE)))
    )
    # Nothing here asks for anharmonicity.
    elastic = acoustics(dynamics, gruneisen=math.nan)
    return Bulk(fine, coarse, None if elastic is None else elastic[1], mesh)


def _odd(mesh: Mesh) -> Mesh:
    """At least as dense, but without points on the boundary of the zone.

    There bands cross, and to which of two that are one a velocity belongs is not determined.
    """
    a, b, c = (n + 1 - n % 2 for n in mesh)
    return a, b, c


def _written(found: Bulk | Soft) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays and facts for the store."""
    if isinstance(found, Soft):
        return {}, {"soft": dataclasses.asdict(found)}
    arrays = {
        f"{name}_{part}": getattr(spectrum, part)
        for name, spectrum in (("fine", found.spectrum), ("coarse", found.coarse))
        for part in ("density", "crossing")
    }
    elastic = None if found.acoustics is None else dataclasses.asdict(found.acoustics)
    return arrays, {"acoustics": elastic, "mesh": found.mesh}


def _read(arrays: dict[str, Any], facts: dict[str, Any], step: float) -> Bulk | Soft:
    """What `_written` has written."""
    if "soft" in facts:
        told = facts["soft"]
        q_point = told["q_point"] and tuple(told["q_point"])
        return Soft(told["reason"], told["lowest"], q_point)
    fine, coarse = (
        Spectrum(arrays[f"{name}_density"], arrays[f"{name}_crossing"], step)
        for name in ("fine", "coarse")
    )
    elastic = facts["acoustics"]
    mesh: Mesh = tuple(facts["mesh"])
    return Bulk(fine, coarse, None if elastic is None else Acoustics(**elastic), mesh)
