"""The oracle `interface`: conductance between two crystals, from the bulk phonons of each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from oracle.contract.computing import ComputingOracle
from oracle.contract.evaluation import Measured, Outcome, Quantity, Unstable, make_quantity
from oracle.interface.mismatch import (
    Spectrum,
    acoustic_mismatch,
    diffuse_mismatch,
    overlap,
    radiation_limit,
)
from oracle.interface.settings import InterfaceSettings
from oracle.materials.crystal import Crystal
from oracle.materials.interface import Interface
from oracle.materials.material import Material
from oracle.phonons.doubts import everywhere, together, uncertain
from oracle.potentials.forces import ForceField
from oracle.runtime.clock import Clock
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError

if TYPE_CHECKING:
    from oracle.phonons.relax import Relaxed

VERSION = 4
"""To be raised when the numbers of the same interface and settings would change."""
Fidelity = Literal["overlap", "mismatch"]
Array = NDArray[np.float64]
_SHARE = 0.5
"""Estimated error of a mesh, as a fraction of the change from the coarse one. It lies between the
fractions that follow from errors decaying as 1/N and as 1/N²."""
_DOUBTFUL = 0.25  # relative error above which results carry a caution


class InterfaceOracle(ComputingOracle[InterfaceSettings]):
    """Overlap of the spectra and mismatch conductances of two crystals.

    Relaxation, force constants and spectra of a crystal are stored by content, so that N crystals
    cost N harmonic calculations, however many pairs they form.

    Args:
        settings: all that changes the numbers.
        fidelity: ``overlap`` for the coarse mesh of wave vectors, ``mismatch`` for the dense one.

    Raises:
        OracleError: stage ``read``; unknown potential or one that is not installed.
    """

    def __init__(self, settings: InterfaceSettings, fidelity: Fidelity = "mismatch") -> None:
        self._dense = fidelity == "mismatch"
        # The mesh of the other fidelity, and the list of fidelities, do not change this one.
        other = "overlap_spacing" if self._dense else "mesh_spacing"
        plain = {"dispersion"} if settings.dispersion is None else set()  # as before it existed
        super().__init__(
            settings,
            fidelity,
            {
                "oracle": "interface",
                "version": VERSION,
                "fidelity": fidelity,
                "settings": settings.model_dump(mode="json", exclude={"fidelities", other, *plain}),
            },
        )

    def tightened(self, level: int) -> InterfaceOracle:
        """The oracle that confirms a leader: a denser mesh at each level."""
        return InterfaceOracle(self._tighter(level), "mismatch" if self._dense else "overlap")

    def evaluate(self, material: Material, *, context: Context) -> Outcome:
        """The evaluation of one pair; finished stages under ``context.workdir`` are reused."""
        started = time.perf_counter()
        forces = self._field(context)
        try:
            if not isinstance(material, Interface):
                raise OracleError("read", "got a single material; interface needs two crystals")
            key = self._key(material)
            stored = self._stored(forces.store, "evaluations", material)
            return stored or self._new(material, forces, key, started)
        except Exception as error:
            return self._failed(
                material,
                error,
                time.perf_counter() - started,
                "give smaller supercells or meshes",
                properties={"force_calls": make_quantity("force_calls", forces.calls)},
            )

    def _new(self, material: Interface, forces: ForceField, key: str, started: float) -> Outcome:
        """Compute an evaluation, and store it with its artefacts."""
        # phonopy takes a second to import
        from oracle.interface.bulk_spectra import Bulk, side_of
        from oracle.phonons.relax import cautions_of_given

        clock = Clock(forces.context)
        settings, sides = self._settings, []
        spacing = settings.mesh_spacing if self._dense else settings.overlap_spacing
        store = forces.store
        with store.directory("evaluations", key) as folder:
            for crystal in material.crystals:
                side = side_of(crystal, settings, spacing, forces, clock)
                sides.append((crystal, side.relaxed, side.bulk))
                if not isinstance(side.bulk, Bulk):
                    break  # without one side, the other is not needed
            home = store.path("evaluations", key).relative_to(forces.context.workdir)
            written = _write_cifs(folder, [relaxed for _, relaxed, _ in sides])
            calls = {"force_calls": make_quantity("force_calls", forces.calls)}
            crystal, _, last = sides[-1]
            outcome: Outcome
            stage = "spectra"
            if not isinstance(last, Bulk):
                stage = "relax" if last.lowest is None else "stability"
            cost = time.perf_counter() - started
            record = self._record(material, stage, cost, seconds=clock.seconds)
            if isinstance(last, Bulk):
                stable = [(c, bulk) for c, _, bulk in sides if isinstance(bulk, Bulk)]
                written |= _write_spectra(folder, stable)
                record["provenance"]["meshes"] = [list(bulk.mesh) for _, bulk in stable]
                notes = [text for c, relaxed, _ in sides for text in cautions_of_given(c, relaxed)]
                outcome = _measured(stable, settings, calls, record, notes)
            else:
                outcome = Unstable(
                    **record,
                    min_frequency=last.lowest,
                    q_point=last.q_point,
                    reason=f"{crystal.formula}: {last.reason}",
                    properties=calls,
                )
            artefacts = {name: str(home / file) for name, file in written.items()}
            outcome = outcome.model_copy(update={"artefacts": artefacts})
            self._keep(folder, outcome)
        return outcome


def _measured(
    sides: list[tuple[Crystal, Any]],
    settings: InterfaceSettings,
    calls: dict[str, Quantity],
    record: dict[str, Any],
    cautions: list[str],
) -> Measured:
    """The evaluation of an interface between two stable crystals, with cautions about these."""
    temperatures = np.array(settings.temperatures)
    fine, coarse = _on_one_grid([[f.spectrum, f.coarse] for _, f in sides])
    results = {
        "overlap": _with_error(fine, coarse, lambda a, b: np.array(overlap(a, b))),
        "interface_conductance": _with_error(
            fine, coarse, lambda a, b: diffuse_mismatch(a, b, temperatures)
        ),
        "radiation_limit": _with_error(
            fine, coarse, lambda a, b: radiation_limit(a, b, temperatures)
        ),
    }
    properties = {
        name: make_quantity(name, value.tolist(), std=std.tolist())
        for name, (value, std) in results.items()
    }
    value, std = results["interface_conductance"]
    relative = np.divide(std, value, where=value > 0, out=np.zeros_like(value))
    doubts = [everywhere(text, settings.temperatures) for text in dict.fromkeys(cautions)]
    doubts += [uncertain(settings.temperatures, relative, _DOUBTFUL)]
    first, second = (f.acoustics for _, f in sides)
    if first is not None and second is not None:
        waves = acoustic_mismatch(first, second, temperatures).tolist()
        properties["interface_conductance_amm"] = make_quantity("interface_conductance_amm", waves)
    doubts += [
        everywhere(f"long waves of {c.formula} are elastically unstable", settings.temperatures)
        for c, f in sides
        if f.acoustics is None
    ]
    return Measured(
        **record,
        temperature=settings.temperatures,
        properties=properties | calls,
        **together(doubts, settings.temperatures),
    )


def _with_error(
    fine: list[Spectrum], coarse: list[Spectrum], model: Callable[[Spectrum, Spectrum], Array]
) -> tuple[Array, Array]:
    """The result of a model on the dense meshes, and its error due to these meshes.

    The error is half the change due to a coarser mesh on either side. The two sides count as
    independent, so that their errors do not cancel by chance.
    """
    value = model(fine[0], fine[1])
    left = model(coarse[0], fine[1]) - value
    right = model(fine[0], coarse[1]) - value
    return value, np.asarray(_SHARE * np.hypot(left, right))


def _on_one_grid(sides: Iterable[list[Spectrum]]) -> tuple[list[Spectrum], list[Spectrum]]:
    """Dense and coarse spectra of both sides, all padded to the longest."""
    pairs = list(sides)
    number = max(len(s.density) for pair in pairs for s in pair)
    return [p[0].padded(number) for p in pairs], [p[1].padded(number) for p in pairs]


def _write_cifs(folder: Path, crystals: list[Relaxed]) -> dict[str, str]:
    """Write the relaxed crystals; returns artefact names to file names."""
    from ase.io import write  # slow to import, and not needed to read stored evaluations

    written = {}
    for name, relaxed in zip(("first", "second"), crystals, strict=False):
        atoms = Atoms(
            list(relaxed.symbols), cell=relaxed.cell, scaled_positions=relaxed.positions, pbc=True
        )
        write(folder / f"{name}.cif", atoms)
        written[name] = f"{name}.cif"
    return written


def _write_spectra(folder: Path, sides: list[tuple[Crystal, Any]]) -> dict[str, str]:
    """Write the spectra of both sides, for plots; returns artefact names to file names."""
    (dense, _) = _on_one_grid([[f.spectrum, f.coarse] for _, f in sides])
    document = {
        "formulas": [crystal.formula for crystal, _ in sides],
        "frequencies_thz": dense[0].frequencies.tolist(),
        "density_per_thz_A3": [s.density.tolist() for s in dense],
        "crossing_per_A2": [s.crossing.tolist() for s in dense],
    }
    (folder / "spectra.json").write_text(json.dumps(document))
    return {"spectra": "spectra.json"}
