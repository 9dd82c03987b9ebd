"""What runs in a worker: each function takes a request and gives an answer, both plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.contract.settings import ObjectiveSettings
from oracle.contract.evaluation import Failed, Measured, Unstable
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from oracle.potentials.dft_settings import Potential
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError
from orchestrator.assembly.oracles import build_oracle
from orchestrator.config.oracle_settings import AnyOracleSettings
from orchestrator.executors.protocol import CallContext


@dataclass(frozen=True)
class EvaluationRequest:
    """One oracle call.

    Args:
        oracle: settings of the oracle, with the potential in use.
        fidelity: that is asked.
        objective: of the campaign.
        level: 0 for the campaign's own settings, 1 and 2 for the tighter ones that confirm.
        material: to be evaluated.
        label: id of the row that answers, for an oracle that reads a table.
        workdir: folder of the stages that are finished and of artefacts.
        keep_large: whether third-order force constants and mode-resolved conductivities are kept.
    """

    oracle: AnyOracleSettings
    fidelity: str
    objective: ObjectiveSettings
    level: int
    material: Material
    label: str | None
    workdir: Path
    keep_large: bool


@dataclass(frozen=True)
class EnergyRequest:
    """The energies that tell whether a crystal can exist.

    Args:
        material: the crystal.
        competitors: the same composition in other structures, by name.
        potential: that gives energies.
        cache: folder where energies are kept.
    """

    material: Crystal
    competitors: Mapping[str, Crystal]
    potential: str
    cache: Path


@dataclass(frozen=True)
class EnergyAnswer:
    """Energies by name (eV/atom), or in ``error`` why they could not be computed."""

    energies: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class TrialRequest:
    """Potentials that are tried before a campaign.

    Args:
        potential: that measures, or None where nothing is computed.
        crystals: small ones, of which `potential` is asked for forces.
        features: potentials that the surrogate learns from; they are only loaded.
    """

    potential: Potential | None
    crystals: tuple[Crystal, ...]
    features: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """A potential that does not work: the setting that names it, and why, in one line."""

    key: str
    message: str


@dataclass(frozen=True)
class TrialAnswer:
    """What came of a trial: the first potential that does not work, if any."""

    refusal: Refusal | None = None


def evaluate(request: EvaluationRequest, context: CallContext) -> Measured | Unstable | Failed:
    """Ask an oracle about a material."""
    ids = {} if request.label is None else {request.material.digest: request.label}
    oracle = build_oracle(request.oracle, request.fidelity, ids, request.objective)
    tight = oracle.tightened(request.level)
    assert tight is not None  # only levels that exist are planned
    return tight.evaluate(
        request.material,
        context=Context(
            workdir=request.workdir,
            deadline=context.deadline,
            progress=context.progress,
            keep_large=request.keep_large,
            threads=context.threads,
        ),
    )


def energies(request: EnergyRequest, context: CallContext) -> EnergyAnswer:
    """Energies above the best polymorph and of formation, as far as they are finite."""
    from oracle.energetics.polymorphs import thermochemistry

    try:
        found = thermochemistry(
            request.material, request.competitors, request.potential, request.cache
        )
    except OracleError as error:
        if error.transient:
            raise  # no fault of the crystal's
        return EnergyAnswer(error=f"{error.stage}: {error.message}")
    numbers = {
        "energy_above_best_polymorph": found.energy_above_best_polymorph,
        "formation_energy": found.formation_energy,
    }
    known = {k: float(v) for k, v in numbers.items() if v is not None and math.isfinite(v)}
    return EnergyAnswer(known)


def try_potentials(request: TrialRequest, context: CallContext) -> TrialAnswer:
    """Load potentials in this worker, and ask the one that measures for forces."""
    from oracle.potentials.preflight import try_potential

    named: list[tuple[str, Potential, tuple[Crystal, ...]]] = [
        ("surrogate.features", name, ()) for name in request.features
    ]
    if request.potential is not None:
        named.insert(0, ("oracle.calculator", request.potential, request.crystals))
    for key, potential, crystals in named:
        try:
            try_potential(potential, crystals)
        except OracleError as error:
            return TrialAnswer(Refusal(key, error.message))
    return TrialAnswer()
