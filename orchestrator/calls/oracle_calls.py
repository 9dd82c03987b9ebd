"""What runs in a worker: functions from JSON to JSON, so that any executor can run them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from agents.contract.settings import ObjectiveSettings
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from oracle.potentials.dft_settings import Potential
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError
from orchestrator.assembly.oracles import build_oracle
from orchestrator.config.oracle_settings import AnyOracleSettings
from orchestrator.executors.protocol import CallContext

_SETTINGS: TypeAdapter[Any] = TypeAdapter(AnyOracleSettings)
_POTENTIAL: TypeAdapter[Any] = TypeAdapter(Potential)
_MATERIAL: TypeAdapter[Any] = TypeAdapter(Material)


def evaluate(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    """One oracle call; the outcome as JSON."""
    material = _MATERIAL.validate_python(payload["material"])
    oracle = build_oracle(
        _SETTINGS.validate_python(payload["oracle"]),
        payload["fidelity"],
        {material.digest: payload["label"]},
        ObjectiveSettings.model_validate(payload["objective"]),
    )
    tight = oracle.tightened(payload["level"])
    assert tight is not None  # only levels that exist are planned
    found = tight.evaluate(
        material,
        context=Context(
            workdir=Path(payload["workdir"]),
            deadline=context.deadline,
            progress=context.progress,
            keep_large=payload["keep_large"],
            threads=context.threads,
        ),
    )
    return dict(found.model_dump(mode="json"))


def energies(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    """Energies that tell a phantom: above the best polymorph, and of formation (eV/atom).

    A calculation that fails gives its cause under ``error`` instead.
    """
    from oracle.energetics.polymorphs import thermochemistry

    try:
        found = thermochemistry(
            Crystal.model_validate(payload["material"]),
            {k: Crystal.model_validate(v) for k, v in payload["competitors"].items()},
            payload["potential"],
            Path(payload["cache"]),
        )
    except OracleError as error:
        if error.transient:
            raise  # no fault of the crystal's
        return {"error": f"{error.stage}: {error.message}"}
    numbers = {
        "energy_above_best_polymorph": found.energy_above_best_polymorph,
        "formation_energy": found.formation_energy,
    }
    return {k: float(v) for k, v in numbers.items() if v is not None and math.isfinite(v)}


def try_potentials(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    """Load the potentials of a campaign in this worker, and ask them for forces.

    One that does not work is told under ``error``, with the setting that names it under ``key``.
    """
    from oracle.potentials.preflight import try_potential

    crystals = [Crystal.model_validate(document) for document in payload["crystals"]]
    named: list[tuple[str, Any, list[Crystal]]] = [
        ("surrogate.features", name, []) for name in payload["features"]
    ]
    if payload["potential"] is not None:
        potential = _POTENTIAL.validate_python(payload["potential"])
        named.insert(0, ("oracle.calculator", potential, crystals))
    for key, potential, tried in named:
        try:
            try_potential(potential, tried)
        except OracleError as error:
            return {"key": key, "error": error.message}
    return {}


def features(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    """Compute and store the surrogate's features of some crystals; says how many."""
    from surrogate.features.crystal_features import features_of

    for document in payload["crystals"]:
        crystal = Crystal.model_validate(document)
        cache = Path(payload["cache"])
        features_of(payload["potential"], crystal, cache, phonons=payload["phonons"])
    return {"count": len(payload["crystals"])}
