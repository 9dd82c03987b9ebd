"""What runs in a worker to heal a potential: functions from JSON to JSON, as in `calls`."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from agents.holes.hole_assessment import assess
from agents.holes.supercell_pool import PoolEntry, SupercellPoolSettings, supercell_pool
from oracle.materials.crystal import Crystal
from oracle.potentials.dft_settings import Potential
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError
from oracle.runtime.stages import StageStore
from orchestrator.executors.protocol import CallContext
from surrogate.healing.fine_tuning import heal, held_out
from surrogate.healing.fine_tuning_settings import FineTuningSettings
from surrogate.healing.force_labels import ForceLabel, label

_ENGINE: TypeAdapter[Any] = TypeAdapter(Potential)
_ARRAYS = ("cell", "positions", "forces", "stress")


def hunt(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    """Judge a potential on supercells of some crystals, and say which are worth a label.

    The payload names ``materials``, the ``potential``, its ``committee``, ``labels`` so far, if
    it was ``trained`` on them, with which ``seed``, the ``budget``, the ``threshold`` (eV/Å), a
    ``suffix`` of the labels' names, what the ``supercells`` are like, and ``audits``, materials of
    which one supercell each is to be labelled whatever is expected of it.
    """
    began = time.perf_counter()
    store, within = _workplace(payload, context)
    suffix = payload["suffix"]
    labels = [_label(document) for document in payload["labels"]]
    known = {one.id for one in labels}
    everything = _pool(payload, payload["potential"], store, within)
    pool = [entry for entry in everything if entry.id + suffix not in known]
    if not pool:
        return {"labels": [], "pool": 0, "expected": 0.0, "remaining": 0.0, "cost_s": _since(began)}
    audits = _pool(payload | {"materials": payload["audits"]}, payload["potential"], store, within)
    first = {entry.material.digest: entry for entry in reversed(audits)}
    drawn = [entry for entry in first.values() if entry.id + suffix not in known]
    if payload["trained"]:  # on what it learned from it says too little of its error
        kept = held_out(labels, FineTuningSettings().held_out, payload["seed"])
        labels = [one for one, unseen in zip(labels, kept, strict=True) if unseen]
    found = assess(
        [*pool, *drawn],
        [payload["potential"], *payload["committee"]],
        store,
        within,
        labels=labels,
    )
    judged = found.first(len(pool))
    hunted = judged.hunt(payload["budget"], least=payload["threshold"])
    holes = [
        _plan(pool[wanted.index], suffix, "hole", wanted.force_error, wanted.kappa_error)
        | {"reason": wanted.reason}
        for wanted in hunted.wanted
    ]
    sizes = found.sizes
    audited = [
        _plan(entry, suffix, "audit", sizes.force_error[k], sizes.kappa_error[k])
        | {"reason": "drawn at random, to see whether others get worse"}
        for k, entry in enumerate(drawn, start=len(pool))
    ]
    return {
        # Nothing to heal needs no audit.
        "labels": [*holes, *audited] if holes else [],
        "pool": len(pool),
        "expected": hunted.before,
        "remaining": hunted.after,
        "cost_s": _since(began),
    }


def _plan(
    entry: PoolEntry, suffix: str, purpose: str, force_error: float, kappa_error: float
) -> dict[str, Any]:
    return {
        "id": entry.id + suffix,
        "material": entry.material.digest,
        "number": int(entry.id.rsplit("-", 1)[1]),
        "purpose": purpose,
        "force_error": float(force_error),
        "kappa_error": float(kappa_error),
    }


def label_one(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    """Reference forces of one supercell of one crystal, or why there are none."""
    began = time.perf_counter()
    store, within = _workplace(payload, context)
    engine = _ENGINE.validate_python(payload["engine"])
    try:
        pool = _pool(payload, payload["potential"], store, within, strict=True)
        entry = pool[payload["number"]]
        made = label([(payload["id"], entry.atoms)], engine, ForceField(engine, store, within))[0]
    except OracleError as error:
        return {"error": f"{error.stage}: {error.message}", "cost_s": _since(began)}
    document = {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in vars(made).items()
    }
    return {
        "document": document,
        "digest": made.digest,
        "settings": made.settings,
        "engine": made.engine,
        "formula": made.formula,
        "cost_s": _since(began),
    }


def fine_tune(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    """Fine-tune on all labels so far and say whether the new weights take over."""
    began = time.perf_counter()
    store, within = _workplace(payload, context)
    labels = [_label(document) for document in payload["labels"]]
    # One supercell each: variety of materials is what guards against forgetting.
    once = payload | {"supercells": payload["supercells"] | {"copies": 1}}
    replay = [entry.atoms for entry in _pool(once, payload["original"], store, within)]
    settings = replace(FineTuningSettings(), epochs=payload["epochs"], seed=payload["seed"])
    try:
        healed = heal(
            payload["original"],
            labels,
            replay,
            Path(payload["folder"]),
            current=payload["current"],
            elsewhere=[_label(document) for document in payload["elsewhere"]],
            settings=settings,
            done=lambda share: within.progress("fine-tuning", share),
        )
    except ValueError as error:
        return {"accepted": False, "reason": str(error), "cost_s": _since(began)}
    errors = {
        f"{name}_{when}": value
        for when, part in (("before", healed.before), ("after", healed.after))
        for name, value in asdict(part).items()
        if math.isfinite(value)
    }
    return {
        "accepted": healed.accepted,
        "reason": healed.reason,
        "family": healed.potential.partition(":")[0] if healed.weights else "",
        "weights": None if healed.weights is None else healed.weights.name,
        "digest": healed.digest if healed.accepted else None,
        "labels": sum(healed.labels),
        "errors": errors,
        "cost_s": _since(began),
    }


def _workplace(payload: dict[str, Any], context: CallContext) -> tuple[StageStore, Context]:
    workdir = Path(payload["workdir"])
    within = Context(
        workdir=workdir,
        deadline=context.deadline,
        progress=context.progress,
        threads=context.threads,
    )
    return StageStore(workdir / "stages"), within


def _pool(
    payload: dict[str, Any],
    potential: str,
    store: StageStore,
    within: Context,
    *,
    strict: bool = False,
) -> list[PoolEntry]:
    """Supercells of the payload's crystals; one that cannot be relaxed is left out.

    Raises:
        OracleError: with `strict`, that of the first that cannot.
    """
    settings = SupercellPoolSettings(**payload["supercells"])
    found: list[PoolEntry] = []
    for document in payload["materials"]:
        crystal = Crystal.model_validate(document)
        try:
            found += supercell_pool([crystal], ForceField(potential, store, within), settings)
        except OracleError as error:
            if strict or error.transient:
                raise
    return found


def _label(document: dict[str, Any]) -> ForceLabel:
    arrays = {
        key: np.array(document[key], dtype=np.float64)
        for key in _ARRAYS
        if document.get(key) is not None
    }
    numbers = np.array(document["numbers"], dtype=np.int64)
    return ForceLabel(**(document | arrays | {"numbers": numbers}))


def _since(began: float) -> float:
    return time.perf_counter() - began
