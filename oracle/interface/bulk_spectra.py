"""Phonon spectra of one crystal as a side of an interface, computed once for all its pairs."""

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
from oracle.materials.reciprocal import Mesh, coarsened, mesh_of
from oracle.phonons.acoustics import crystal_elasticity
from oracle.phonons.relax import Relaxed, relax
from oracle.phonons.second_order import Harmonic, Timed, second_order
from oracle.phonons.settings import PhononSettings
from oracle.potentials.forces import ForceField
from oracle.potentials.table import weights_digest
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError

VERSION = 3
"""To be raised when the spectra of the same crystal and settings would change."""
_COARSE = 1.6  # ratio of the spacing of the mesh that serves to estimate errors
_ABOVE = 1.05  # by which factor a dense mesh may exceed the highest frequency of the gate's mesh


@dataclass(frozen=True)
class Bulk:
    """Phonon spectra of a stable crystal.

    Args:
        spectrum: on the requested mesh.
        coarse: on a coarser mesh, to estimate the error.
        acoustics: sound velocities; None where long waves are elastically unstable.
        mesh: of `spectrum`, points along the reciprocal axes.
    """

    spectrum: Spectrum
    coarse: Spectrum
    acoustics: Acoustics | None
    mesh: Mesh


@dataclass(frozen=True)
class UnstableBulk:
    """Why a crystal cannot be a side of an interface.

    Args:
        reason: in words.
        lowest: lowest frequency, THz; None where frequencies were not computed.
        q_point: its wave vector, in reduced coordinates of the primitive cell.
    """

    reason: str
    lowest: float | None = None
    q_point: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Side:
    """One relaxed crystal and its phonon spectra, or why it has none."""

    relaxed: Relaxed
    bulk: Bulk | UnstableBulk


def side_of(
    crystal: Crystal,
    settings: InterfaceSettings,
    spacing: float,
    forces: ForceField,
    timed: Timed,
) -> Side:
    """Relaxation, second-order force constants and spectra of a crystal, or those in the store.

    Args:
        crystal: any.
        settings: of the oracle.
        spacing: of the mesh, 1/Å with 2π.
        forces: computes forces and stores all stages.
        timed: runs the stages ``relax``, ``fc2``, ``stability`` and ``spectra``.

    Raises:
        OracleError: a stage cannot be completed; its message begins with the formula.
    """
    with _naming(crystal.formula):
        plain = settings.harmonic()
        relaxed = timed("relax", lambda: relax(crystal, plain, forces))
        if relaxed.change is not None:
            reason = f"left its prototype in relaxation: {relaxed.change}"
            return Side(relaxed, UnstableBulk(reason))
        key = digest_of(
            {
                "version": VERSION,
                "relaxed": relaxed.digest,
                "weights": weights_digest(settings.potential),
                "harmonic": plain.model_dump(mode="json", exclude={"calculator"}),
                "axis": settings.axis,
                "step": settings.frequency_step,
                "spacing": spacing,
            }
        )
        stored = forces.store.load("spectra", key)
        if stored is not None:
            return Side(relaxed, _read(*stored, settings.frequency_step))
        harmonic = second_order(relaxed, plain, forces, timed)
        bulk = timed("spectra", lambda: _spectra(harmonic, settings, plain, spacing, forces))
        forces.store.save("spectra", key, *_written(bulk))
        return Side(relaxed, bulk)


@contextlib.contextmanager
def _naming(formula: str) -> Iterator[None]:
    """Make errors state which of the two crystals they belong to."""
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
    harmonic: Harmonic,
    settings: InterfaceSettings,
    plain: PhononSettings,
    spacing: float,
    forces: ForceField,
) -> Bulk | UnstableBulk:
    dynamics, stability = harmonic.dynamics, harmonic.stability
    if not stability.stable:
        return UnstableBulk("imaginary phonon modes", stability.lowest, stability.q_point)
    # The models of interfaces do not need the Grüneisen parameter.
    elastic = crystal_elasticity(dynamics, plain, forces)
    if elastic.instability is not None:
        return UnstableBulk(elastic.instability, stability.lowest)
    step = settings.frequency_step
    number = math.ceil(_ABOVE * stability.highest / step) + 1
    operations = dynamics.primitive_symmetry.reciprocal_operations
    mesh = _odd(mesh_of(dynamics.primitive.cell, spacing, operations=operations))
    fine, coarse = (
        spectrum_of(dynamics, points, step=step, number=number, axis=settings.axis)
        for points in (mesh, _odd(coarsened(mesh, _COARSE)))
    )
    return Bulk(fine, coarse, elastic.acoustics(gruneisen=math.nan), mesh)


def _odd(mesh: Mesh) -> Mesh:
    """A mesh at least as dense, but without points on the zone boundary.

    Bands are degenerate there, so that their velocities are not determined.
    """
    a, b, c = (n + 1 - n % 2 for n in mesh)
    return a, b, c


def _written(bulk: Bulk | UnstableBulk) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays and facts for the store."""
    if isinstance(bulk, UnstableBulk):
        return {}, {"soft": dataclasses.asdict(bulk)}
    arrays = {
        f"{name}_{part}": getattr(spectrum, part)
        for name, spectrum in (("fine", bulk.spectrum), ("coarse", bulk.coarse))
        for part in ("density", "crossing")
    }
    elastic = None if bulk.acoustics is None else dataclasses.asdict(bulk.acoustics)
    return arrays, {"acoustics": elastic, "mesh": bulk.mesh}


def _read(arrays: dict[str, Any], facts: dict[str, Any], step: float) -> Bulk | UnstableBulk:
    """The inverse of `_written`."""
    if "soft" in facts:
        unstable = facts["soft"]
        q_point = unstable["q_point"] and tuple(unstable["q_point"])
        return UnstableBulk(unstable["reason"], unstable["lowest"], q_point)
    fine, coarse = (
        Spectrum(arrays[f"{name}_density"], arrays[f"{name}_crossing"], step)
        for name in ("fine", "coarse")
    )
    elastic = facts["acoustics"]
    mesh: Mesh = tuple(facts["mesh"])
    return Bulk(fine, coarse, None if elastic is None else Acoustics(**elastic), mesh)
