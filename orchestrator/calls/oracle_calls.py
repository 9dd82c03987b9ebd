"""Oracle calls as functions that run in a worker; each turns a request into an answer.

Both are plain data.
"""

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
        fidelity: of the evaluation.
        objective: of the campaign.
        level: 0 for the campaign's own settings, 1 and 2 for the tighter settings that confirm a
            leader.
        material: to be evaluated.
        label: id of the row that answers, for an oracle that reads a table.
        workdir: folder of finished stages and of artefacts.
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
    """The energies that tell whether a crystal is likely to exist.

    Args:
        material: the crystal.
        competitors: other polymorphs of the same composition, by name.
        potential: computes the energies.
        cache: folder where energies are stored.
        phases: other compounds of its elements, by name; None where the hull is not asked for.
    """

    material: Crystal
    competitors: Mapping[str, Crystal]
    potential: str
    cache: Path
    phases: Mapping[str, Crystal] | None = None


@dataclass(frozen=True)
class EnergyAnswer:
    """Energies by name (eV/atom), or in `error` one line why they could not be computed."""

    energies: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class PreflightRequest:
    """Potentials to be tried before a campaign is recorded.

    Args:
        potential: the oracle's, or None where the oracle computes nothing with a potential.
        crystals: small crystals for which `potential` computes forces.
        features: potentials from which the surrogate's features are computed; only loaded.
        second: the one that gives second opinions, for which forces are computed as well, or None.
    """

    potential: Potential | None
    crystals: tuple[Crystal, ...]
    features: tuple[str, ...]
    second: str | None = None


@dataclass(frozen=True)
class Refusal:
    """A potential that does not work: the setting that names it, and why, in one line."""

    key: str
    message: str


@dataclass(frozen=True)
class PreflightAnswer:
    """The first potential that does not work, if any."""

    refusal: Refusal | None = None


def evaluate(request: EvaluationRequest, context: CallContext) -> Measured | Unstable | Failed:
    """Evaluate a material with an oracle."""
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
    """Energies of formation, above the best polymorph and the hull, if known and finite."""
    from oracle.energetics.polymorphs import thermochemistry

    try:
        stability = thermochemistry(
            request.material,
            request.competitors,
            request.potential,
            request.cache,
            request.phases,
        )
    except OracleError as error:
        if error.transient:
            raise  # says nothing about the crystal
        return EnergyAnswer(error=f"{error.stage}: {error.message}")
    energies_by_name = {
        "energy_above_best_polymorph": stability.energy_above_best_polymorph,
        "energy_above_hull": stability.energy_above_hull,
        "formation_energy": stability.formation_energy,
    }
    return EnergyAnswer(
        {k: float(v) for k, v in energies_by_name.items() if v is not None and math.isfinite(v)}
    )


def try_potentials(request: PreflightRequest, context: CallContext) -> PreflightAnswer:
    """Load potentials in this worker, and compute forces with those that evaluate."""
    from oracle.potentials.preflight import try_potential

    named: list[tuple[str, Potential, tuple[Crystal, ...]]] = [
        ("surrogate.features", name, ()) for name in request.features
    ]
    if request.potential is not None:
        named.insert(0, ("oracle.calculator", request.potential, request.crystals))
    if request.second is not None:
        named.append(("confirmation.second_opinion", request.second, request.crystals))
    for key, potential, crystals in named:
        try:
            try_potential(potential, crystals)
        except OracleError as error:
            return PreflightAnswer(Refusal(key, error.message))
    return PreflightAnswer()
