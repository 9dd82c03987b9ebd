"""Functions that run in a worker to heal a potential; each turns a request into an answer."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.holes.hole_assessment import Assessment, assess
from agents.holes.supercell_pool import PoolEntry, SupercellPoolSettings, supercell_pool
from oracle.materials.crystal import Crystal
from oracle.potentials.dft_magnetism import check_magnetism
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError
from oracle.runtime.stages import StageStore
from orchestrator.calls.healing_requests import (
    FineTuneAnswer,
    FineTuneRequest,
    HuntAnswer,
    HuntRequest,
    LabelAnswer,
    LabelRequest,
    Surroundings,
    WantedLabel,
)
from orchestrator.executors.protocol import CallContext
from surrogate.healing.fine_tuning import Healed, heal, held_out
from surrogate.healing.fine_tuning_settings import FineTuningSettings
from surrogate.healing.force_labels import ForceLabel, label

Array = NDArray[np.float64]


def hunt(request: HuntRequest, context: CallContext) -> HuntAnswer:
    """Assess a potential on supercells of some crystals, and choose those worth a label."""
    began = time.perf_counter()
    store, within = _workplace(request.surroundings, context)
    settings = request.surroundings.supercells
    force_field = ForceField(request.potential, store, within)
    labelled = {label.id for label in request.labels}

    def unlabelled(entries: Sequence[PoolEntry]) -> list[PoolEntry]:
        return [entry for entry in entries if entry.id + request.suffix not in labelled]

    pool = unlabelled(_pool(request.materials, force_field, settings))
    if not pool:
        return HuntAnswer(_since(began))
    audit_pool = _pool(request.audits, force_field, settings)
    first_of_each = {entry.material.digest: entry for entry in reversed(audit_pool)}
    audits = unlabelled(list(first_of_each.values()))
    assessment = assess(
        [*pool, *audits],
        [request.potential, *request.committee],
        store,
        within,
        labels=_unseen(request),
        trusted=[entry.atoms for entry in _pool(request.trusted, force_field, _one_each(settings))],
    )
    ranks = {digest: rank for rank, digest in enumerate(request.first)}
    groups = [ranks.get(entry.material.digest, -1) for entry in pool]
    hole_hunt = assessment.first(len(pool)).hunt(
        request.budget,
        importance=_importance(request, pool),
        least=request.threshold,
        groups=groups,
    )
    holes = [
        _wanted(
            pool[hole.index],
            request.suffix,
            "hole",
            errors=(hole.force_error, hole.kappa_error),
            reason=hole.reason,
        )
        for hole in hole_hunt.wanted
    ]
    # Without holes there is nothing to audit.
    audit_labels = _audit_labels(request, assessment, audits) if holes else []
    return HuntAnswer(
        cost_s=_since(began),
        labels=(*holes, *audit_labels),
        pool=len(pool),
        expected=hole_hunt.before,
        remaining=hole_hunt.after,
    )


def _audit_labels(
    request: HuntRequest, assessment: Assessment, audits: Sequence[PoolEntry]
) -> list[WantedLabel]:
    """Labels of the audit supercells, which stand last in the assessment."""
    sizes, before = assessment.sizes, len(assessment.entries) - len(audits)
    return [
        _wanted(
            entry,
            request.suffix,
            "audit",
            errors=(sizes.force_error[k], sizes.kappa_error[k]),
            reason="drawn at random, to check that new weights are no worse elsewhere",
        )
        for k, entry in enumerate(audits, start=before)
    ]


def label_one(request: LabelRequest, context: CallContext) -> LabelAnswer:
    """The force label of one supercell of one crystal, or why it could not be computed."""
    began = time.perf_counter()
    store, within = _workplace(request.surroundings, context)
    relaxing = ForceField(request.potential, store, within)
    try:
        if not isinstance(request.engine, str):
            check_magnetism(request.engine, request.material.species)
    except OracleError as error:
        return LabelAnswer(_since(began), error=f"{error.stage}: {error.message}", refused=True)
    try:
        pool = supercell_pool([request.material], relaxing, request.surroundings.supercells)
        atoms = pool[request.number].atoms
        engine = ForceField(request.engine, store, within)
        force_label = label([(request.id, atoms)], request.engine, engine)[0]
    except OracleError as error:
        return LabelAnswer(_since(began), error=f"{error.stage}: {error.message}")
    return LabelAnswer(_since(began), force_label)


def fine_tune(request: FineTuneRequest, context: CallContext) -> FineTuneAnswer:
    """Fine-tune a potential on all force labels, and decide whether the new weights take over."""
    began = time.perf_counter()
    store, within = _workplace(request.surroundings, context)
    # One supercell of each crystal: a variety of materials is what guards against forgetting.
    one_each = _one_each(request.surroundings.supercells)
    original = ForceField(request.original, store, within)
    replay = [entry.atoms for entry in _pool(request.replayed, original, one_each)]
    settings = replace(FineTuningSettings(), epochs=request.epochs, seed=request.seed)
    try:
        healed = heal(
            request.original,
            request.labels,
            replay,
            request.folder,
            current=request.current,
            elsewhere=request.elsewhere,
            settings=settings,
            done=lambda share: within.progress("fine-tuning", share),
        )
    except ValueError as error:
        return FineTuneAnswer(accepted=False, reason=str(error), cost_s=_since(began))
    return FineTuneAnswer(
        accepted=healed.accepted,
        reason=healed.reason,
        cost_s=_since(began),
        family=healed.potential.partition(":")[0] if healed.weights else "",
        weights=None if healed.weights is None else healed.weights.name,
        digest=healed.digest if healed.accepted else None,
        labels=sum(healed.labels),
        errors=_errors(healed),
    )


def _one_each(settings: SupercellPoolSettings) -> SupercellPoolSettings:
    return replace(settings, copies=1)


def _importance(request: HuntRequest, pool: Sequence[PoolEntry]) -> Array | None:
    """Weights (n,) of the squared errors in a pool, or None where all count alike."""
    if not request.importance:
        return None
    digests = (crystal.digest for crystal in request.materials)
    weights = dict(zip(digests, request.importance, strict=True))
    return np.array([weights[entry.material.digest] for entry in pool])


def _unseen(request: HuntRequest) -> list[ForceLabel]:
    """Labels on which the potential was not fine-tuned; only these tell its true error."""
    labels = list(request.labels)
    if not request.trained:
        return labels
    is_held_out = held_out(labels, FineTuningSettings().held_out, request.seed)
    return [label for label, unseen in zip(labels, is_held_out, strict=True) if unseen]


def _wanted(
    entry: PoolEntry,
    suffix: str,
    purpose: Literal["hole", "audit"],
    *,
    errors: tuple[float, float],
    reason: str,
) -> WantedLabel:
    return WantedLabel(
        id=entry.id + suffix,
        material=entry.material.digest,
        number=int(entry.id.rsplit("-", 1)[1]),
        purpose=purpose,
        force_error=float(errors[0]),
        kappa_error=float(errors[1]),
        reason=reason,
    )


def _errors(healed: Healed) -> dict[str, float]:
    """Errors of the old and the new weights, as far as they are known."""
    return {
        f"{name}_{when}": value
        for when, part in (("before", healed.before), ("after", healed.after))
        for name, value in asdict(part).items()
        if math.isfinite(value)
    }


def _workplace(surroundings: Surroundings, context: CallContext) -> tuple[StageStore, Context]:
    within = Context(
        workdir=surroundings.workdir,
        deadline=context.deadline,
        progress=context.progress,
        threads=context.threads,
    )
    return StageStore(surroundings.workdir / "stages"), within


def _pool(
    crystals: Sequence[Crystal], field: ForceField, settings: SupercellPoolSettings
) -> list[PoolEntry]:
    """Supercells of crystals; a crystal that cannot be relaxed is left out."""
    entries: list[PoolEntry] = []
    for crystal in crystals:
        try:
            entries += supercell_pool([crystal], field, settings)
        except OracleError as error:
            if error.transient:
                raise
    return entries


def _since(began: float) -> float:
    return time.perf_counter() - began
