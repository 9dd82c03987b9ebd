"""The stages of one evaluation in their order."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from ase import Atoms
from ase.io import write
from numpy.typing import NDArray
from phono3py import Phono3py
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Measured, Quantity, Unstable, make_quantity
from oracle.energetics.energies import curve
from oracle.formulas import changes
from oracle.materials import reciprocal
from oracle.materials.crystal import Crystal
from oracle.materials.vacuum import vacuum_of
from oracle.phonon_bte import convergence, gruneisen, kappa_files, phase_space
from oracle.phonon_bte.cumulative import cumulative
from oracle.phonon_bte.full_solution import full_kappa
from oracle.phonon_bte.properties import (
    conductive_properties,
    elastic_properties,
    estimated_kappa,
    spectral_properties,
    structural_properties,
)
from oracle.phonon_bte.records import one_or_all, transport_record
from oracle.phonon_bte.wide_enough import in_wide_enough_cell
from oracle.phonons import harmonic, supercells
from oracle.phonons.acoustics import CrystalElasticity, crystal_elasticity
from oracle.phonons.anharmonicity import at_temperatures
from oracle.phonons.born import computed_born
from oracle.phonons.doubts import Doubt, broken_symmetry, cautions
from oracle.phonons.effective import effective_second_order, thermal_pairs
from oracle.phonons.harmonic import Stability
from oracle.phonons.relax import Relaxed, relax
from oracle.phonons.second_order import Harmonic, gated, judged, second_order
from oracle.phonons.settings import PhononSettings
from oracle.phonons.third_order import ThirdOrder, adaptive, finite_differences
from oracle.potentials.dft_settings import EspressoSettings
from oracle.potentials.forces import ForceField
from oracle.potentials.table import weights_digest
from oracle.runtime.clock import Clock
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
_T = TypeVar("_T")
_JUDGING = 2.2  # relative spacing of the mesh on which fits are compared, by ratios of kappa
_ROOM = 300.0  # K; scalars are given at the temperature nearest to this
_EXCESS = 0.1  # e per atom; beyond it phonopy warns, too
_GRUNEISEN_MESH = (4, 4, 4)


@dataclass(frozen=True)
class Result:
    """The result of the stages, without the fields that all evaluations share.

    Args:
        stage: the last stage reached.
        outcome: makes the evaluation from these fields.
    """

    stage: str
    outcome: Callable[..., Measured | Unstable]


@dataclass
class Pipeline:
    """Runs the stages for one crystal and writes its artefacts.

    Args:
        crystal: that is evaluated.
        settings: of the oracle.
        forces: computes, counts and stores forces.
        folder: where artefacts are written; exists.
    """

    crystal: Crystal
    settings: PhononSettings
    forces: ForceField
    folder: Path
    provenance: dict[str, Any] = field(default_factory=dict)
    """Supercells, meshes, errors and durations of the stages, as JSON."""
    artefacts: dict[str, str] = field(default_factory=dict)
    """Artefact names to file names within the folder."""
    _doubts: list[str] = field(default_factory=list)
    _collapse: str = ""
    """Why the crystal is unstable although no mode is imaginary, if it is."""

    def run(self, fidelity: str = "bte") -> Result:
        """Run all stages of a fidelity; ``harmonic`` ends after the stability gate.

        Raises:
            OracleError: a stage cannot be completed.
        """
        relaxed = self._timed("relax", lambda: relax(self.crystal, self.settings, self.forces))
        self.provenance["relax_steps"] = relaxed.steps
        self._write_cif(relaxed)
        self._look_for_vacuum(relaxed)
        self._doubts += relaxed.cautions
        if relaxed.change is not None:
            reason = f"left its prototype in relaxation: {relaxed.change}"
            properties = structural_properties(relaxed) | self._calls()
            return Result("relax", lambda **r: Unstable(reason=reason, properties=properties, **r))
        if isinstance(self.settings.born, EspressoSettings):
            self._charge(relaxed, self.settings.born)
        if self.settings.finite_temperature is None:
            crystal = second_order(relaxed, self.settings, self.forces, self._timed)
        else:
            static = gated(relaxed, self.settings.sampled(), self.forces, self._timed)
            crystal = self._effective(relaxed, static)
        self._doubts += broken_symmetry(crystal.rest_force)
        if crystal.dipoles is not None:
            self.provenance["dipoles"] = crystal.dipoles.record()
        stability = crystal.stability
        properties = structural_properties(relaxed) | spectral_properties(stability) | self._calls()
        spacing = self.settings.stability_spacing
        plots = harmonic.bands_and_dos(crystal.dynamics, spacing) if self.settings.bands else {}
        elastic = self._elastic(crystal)
        if elastic is not None and fidelity != "harmonic":
            return self._conduct(relaxed, crystal, elastic, properties, plots)
        self.artefacts |= supercells.write_files(
            self.folder, crystal.phonons, crystal.fc2, None, large=False
        )
        self._write_plots(plots)
        if elastic is not None:
            return self._estimate(crystal, elastic, properties)
        fields: dict[str, Any] = (
            {"reason": self._collapse}
            if self._collapse
            else {"min_frequency": stability.lowest, "q_point": stability.q_point}
        )
        return Result("stability", lambda **r: Unstable(**fields, properties=properties, **r))

    def _elastic(self, crystal: Harmonic) -> CrystalElasticity | None:
        """Elastic constants of a stable crystal; None if modes or strains show that it is not."""
        stability = crystal.stability
        if not stability.stable and not stability.only_long_waves:
            return None
        elastic = self._timed(
            "elasticity", lambda: crystal_elasticity(crystal.dynamics, self.settings, self.forces)
        )
        self.provenance["elasticity"] = elastic.record()
        self._collapse = elastic.instability or ""
        self._doubts += elastic.doubts(stability)
        return elastic if elastic.agrees_with_stability(stability) else None

    def _estimate(
        self, crystal: Harmonic, elastic: CrystalElasticity, properties: dict[str, Quantity]
    ) -> Result:
        """Conductivity by Slack's formula, accurate to a factor of about three."""
        settings = self.settings
        cache = self.forces.context.workdir / "energies"
        volumes = curve(self.crystal, settings.potential, cache)
        mean = volumes.gruneisen
        self._doubts += [volumes.caution] if volumes.caution else []
        if elastic.best is None:
            raise OracleError(
                "elasticity",
                "its elastic tensor has an eigenvalue that is zero or negative, as that of a slab "
                "in vacuum; Slack's formula needs a crystal: use fidelity bte",
            )
        properties = properties | elastic_properties(elastic, mean, settings.temperatures)
        properties["kappa"] = estimated_kappa(properties["kappa_slack"])
        properties["gruneisen_mean"] = make_quantity("gruneisen_mean", mean)
        properties |= self._calls()
        none = np.zeros(len(settings.temperatures))
        doubts = self._cautions(crystal.stability, none, none)
        return Result(
            "stability",
            lambda **r: Measured(
                temperature=settings.temperatures, properties=properties, **doubts, **r
            ),
        )

    def _look_for_vacuum(self, relaxed: Relaxed) -> None:
        """Caution about slabs and wires, whose kappa and dipoles are not those of a crystal."""
        vacuum = vacuum_of(Structure(relaxed.cell, list(relaxed.symbols), relaxed.positions))
        if vacuum is not None:
            self._doubts.append(vacuum.caution)
            self.provenance["vacuum"] = asdict(vacuum)
            self.settings = self.settings.model_copy(update={"fitted_charges": False})

    def _charge(self, relaxed: Relaxed, engine: EspressoSettings) -> None:
        """Compute Born charges with a DFT program, for all stages that follow."""
        born, excess = self._timed("dft", lambda: computed_born(relaxed, engine, self.forces.store))
        self.settings = self.settings.model_copy(update={"born": born})
        self.provenance["born"] = born.model_dump(mode="json") | {"excess": excess}
        if excess > _EXCESS:
            self._doubts.append(f"Born charges add up to {excess:.2f} e per atom")

    def _effective(self, relaxed: Relaxed, static: Harmonic) -> Harmonic:
        """The crystal with effective force constants at a temperature."""
        settings, temperature = self.settings, self.settings.finite_temperature
        assert temperature is not None  # else it is not called
        wide = supercells.phonons3(
            relaxed,
            settings,
            second=False,
            third_order=np.asarray(static.phonons.phonon_supercell_matrix),
        )
        effective = self._timed(
            "fc2",
            lambda: effective_second_order(wide, static.fc2, settings, self.forces, self._seed),
        )
        self.provenance["effective"] = {
            "temperature": temperature,
            "changes_thz": list(effective.changes),
            "converged": effective.converged,
            "static_lowest_thz": static.stability.lowest,
            "amplitude": effective.amplitude,
        }
        self._doubts += effective.doubts(static.stability, temperature)
        # Third-order finite differences are computed with displacements of the same amplitude.
        self.settings = settings.model_copy(update={"displacement": min(effective.amplitude, 0.2)})
        return judged(static.phonons, effective.fc2, settings, self._timed, static.dipoles)

    def _conduct(
        self,
        relaxed: Relaxed,
        crystal: Harmonic,
        elastic: CrystalElasticity,
        properties: dict[str, Quantity],
        plots: dict[str, Any],
    ) -> Result:
        """Third-order force constants and transport of a stable crystal."""
        settings = self.settings
        mesh = harmonic.transport_mesh(crystal.phonons, settings)
        harmonic.check_warm(crystal.dynamics, mesh, settings.temperatures[0])
        judging = reciprocal.coarsened(mesh, _JUDGING * settings.sparse)
        fitted = functools.partial(self._third_order, judging)
        small, crystal, third = self._timed(
            "fc3", functools.partial(in_wide_enough_cell, relaxed, crystal, settings, fitted)
        )
        phonons = crystal.phonons
        unexplained = self._timed(
            "anharmonicity",
            lambda: at_temperatures(
                small, third, self.forces, temperatures=settings.temperatures,
                reference=self.settings.reference, seed=int(self._seed[:8], 16),
            ),
        )  # fmt: skip
        supercells.set_constants(phonons, crystal.fc2, third.scattering)
        solution = self._timed("bte", lambda: self._solve(crystal, mesh))
        solved = solution.of_all_waves
        self.artefacts["kappa"] = kappa_files.write_kappa(self.folder, solution, settings)
        parts = convergence.errors(solution, crystal, small, third, settings, judging)
        error = np.asarray(np.linalg.norm(list(parts.values()), axis=0))
        self.provenance |= transport_record(relaxed, phonons, third, solution, parts, error)
        self.provenance["reference_temperature"] = settings.reference
        properties = properties | conductive_properties(solved, error, settings.temperatures)
        if settings.full_solution and settings.transport == "rta":
            properties |= self._timed(
                "lbte", lambda: full_kappa(phonons, solution, settings, error, self.provenance)
            )
        properties["anharmonicity"] = make_quantity(
            "anharmonicity", one_or_all(unexplained), per_temperature=len(unexplained) > 1
        )
        mesh = solution.on_mesh.mesh
        judging = reciprocal.coarsened(mesh, _JUDGING * settings.sparse)
        room = phase_space.phase_space(phonons, judging)
        properties["phase_space"] = make_quantity("phase_space", room.total)
        properties |= self._mechanical(small, crystal, third, mesh, elastic) | self._calls()
        self.artefacts |= supercells.write_files(
            self.folder, phonons, crystal.fc2, third.scattering,
            scale=third.scale, large=self.forces.context.keep_large,
        )  # fmt: skip
        self._write_plots(plots | {"cumulative_kappa": cumulative(solved, settings.temperatures)})
        warm = settings.temperatures
        more = convergence.beyond_the_mesh(solution, warm), room.doubt(warm)
        doubts = self._cautions(crystal.stability, unexplained, error, *more, parts=parts)
        return Result(
            "bte",
            lambda **r: Measured(
                temperature=settings.temperatures, properties=properties, **doubts, **r
            ),
        )

    def _mechanical(
        self,
        small: Phono3py,
        crystal: Harmonic,
        third: ThirdOrder,
        mesh: reciprocal.Mesh,
        elastic: CrystalElasticity,
    ) -> dict[str, Quantity]:
        """Grüneisen parameters, elasticity and mean square displacements."""
        temperatures = self.settings.temperatures
        modes = gruneisen.mode_gruneisen(
            small, third.fc2, third.fc3, _GRUNEISEN_MESH, crystal.phonons.nac_params
        )
        self.artefacts["gruneisen"] = modes.write(self.folder)
        room = self.settings.nearest(_ROOM)
        strength = modes.root_mean_square(room)
        coarse = reciprocal.coarsened(mesh, self.settings.sparse)
        msd = harmonic.max_msd(crystal.dynamics, temperatures, coarse)
        properties = {
            "gruneisen_mean": make_quantity("gruneisen_mean", modes.mean(room)),
            "gruneisen_rms": make_quantity("gruneisen_rms", strength),
            "max_msd": make_quantity("max_msd", msd.tolist()),
        }
        return properties | elastic_properties(elastic, strength, temperatures)

    def _solve(self, crystal: Harmonic, mesh: reciprocal.Mesh) -> convergence.Solution:
        """Transport on a mesh, or on ever denser ones until kappa no longer changes."""
        phonons, dynamics, settings = crystal.phonons, crystal.dynamics, self.settings
        if not settings.converge:
            return convergence.solution(phonons, dynamics, settings, mesh)
        history = convergence.converged(phonons, dynamics, settings, mesh, self.forces.context)
        self.provenance["convergence"] = [
            {
                "mesh": list(tried.on_mesh.mesh),
                "kappa": tried.of_all_waves.mean.tolist(),
                "kappa_on_mesh": tried.on_mesh.mean.tolist(),
            }
            for tried in history
        ]
        if not convergence.has_converged(history, settings.tolerance):
            self._doubts.append(
                f"kappa has not converged on {len(history)} meshes: it still changes by more than "
                f"{settings.tolerance:.0%}, raise converge_meshes"
            )
        return history[-1]

    def _third_order(
        self, coarse: reciprocal.Mesh, small: Phono3py, crystal: Harmonic
    ) -> ThirdOrder:
        """Third-order force constants, judged by kappa on a coarse mesh."""
        judge = convergence.Judge(self.settings, coarse)
        reference = self.settings.temperatures.index(self.settings.reference)

        def kappa(fc3: Array) -> Array:
            supercells.set_constants(crystal.phonons, crystal.fc2, fc3)
            conductivities = judge(crystal.phonons)
            if not changes.usable(conductivities)[reference]:
                raise OracleError(
                    "bte", f"kappa is not finite at mesh {coarse}; give a denser mesh"
                )
            return conductivities

        if self.settings.force_constants == "finite-difference":
            return finite_differences(small, self.settings, self.forces, kappa)
        warm = self.settings.finite_temperature
        draw = None if warm is None else thermal_pairs(small, crystal.dynamics, warm, self._seed)
        return adaptive(small, self.settings, self.forces, kappa, reference, self._seed, draw)

    def _calls(self) -> dict[str, Quantity]:
        return {"force_calls": make_quantity("force_calls", self.forces.calls)}

    def _cautions(
        self,
        stability: Stability,
        unexplained: Array,
        error: Array,
        *more: Doubt,
        parts: Mapping[str, Array] | None = None,
    ) -> dict[str, Any]:
        """Why the conductivity should not be trusted; see `oracle.phonons.doubts.cautions`."""
        return cautions(
            self.settings,
            self._doubts,
            anharmonicity=unexplained,
            softest=stability.softest,
            error=error,
            parts=parts,
            more=more,
        )

    @functools.cached_property
    def _seed(self) -> str:
        weights = weights_digest(self.settings.potential)
        return digest_of([self.crystal.digest, weights, self.settings.snapshot_seed])

    def _write_cif(self, relaxed: Relaxed) -> None:
        atoms = Atoms(
            list(relaxed.symbols), cell=relaxed.cell, scaled_positions=relaxed.positions, pbc=True
        )
        write(self.folder / "relaxed.cif", atoms)
        self.artefacts["structure"] = "relaxed.cif"

    def _write_plots(self, plots: dict[str, Any]) -> None:
        (self.folder / "phonons.json").write_text(json.dumps(plots))
        self.artefacts["phonons"] = "phonons.json"

    def _timed(self, stage: str, work: Callable[[], _T]) -> _T:
        return Clock(self.forces.context, self.provenance.setdefault("seconds", {}))(stage, work)
