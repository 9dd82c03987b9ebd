"""Functions that run in a worker to heal a potential; each turns a request into an answer."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from agents.holes.hole_assessment import assess
from agents.holes.supercell_pool import PoolEntry, SupercellPoolSettings, supercell_pool
from oracle.materials.crystal import Crystal
from oracle.potentials.dft_magnetism import check_magnetism
from oracle.potentials.dft_settings import Potential
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError
from oracle.runtime.stages import StageStore
from orchestrator.executors.protocol import CallContext
from surrogate.healing.fine_tuning import Healed, heal, held_out
from surrogate.healing.fine_tuning_settings import FineTuningSettings
from surrogate.healing.force_labels import ForceLabel, label


@dataclass(frozen=True)
class Surroundings:
    """What all calls of a healing have in common.

    Args:
        supercells: size of displaced supercells, and their number per crystal.
        workdir: folder where finished stages are stored, as for an evaluation.
    """

    supercells: SupercellPoolSettings
    workdir: Path


@dataclass(frozen=True)
class HuntRequest:
    """A hunt for supercells on which a potential's forces are wrong.

    Args:
        surroundings: common to all calls.
        materials: crystals whose displaced supercells are assessed.
        potential: the potential that is assessed; it also relaxes the crystals.
        committee: potentials of other families; their disagreement with `potential` tells where it
            may be wrong.
        labels: all force labels so far.
        trained: whether `potential` was fine-tuned on `labels`.
        seed: of that fine-tuning; decides which labels it held out.
        budget: most supercells to be chosen.
        threshold: least expected force error, eV/Å, of a supercell that is worth a label.
        audits: randomly drawn crystals; one supercell of each is labelled, whatever its expected
            error.
        first: digests of crystals of which one supercell each is chosen before all others, where
            their expected errors reach the threshold.
        suffix: ends the names of the supercells.
    """

    surroundings: Surroundings
    materials: tuple[Crystal, ...]
    potential: str
    committee: tuple[str, ...]
    labels: tuple[ForceLabel, ...]
    trained: bool
    seed: int
    budget: int
    threshold: float
    audits: tuple[Crystal, ...] = ()
    first: tuple[str, ...] = ()
    suffix: str = ""


@dataclass(frozen=True)
class WantedLabel:
    """One supercell that is to get a force label.

    Args:
        id: of the supercell.
        material: digest of its crystal.
        number: of the supercell among those of its crystal, from 0.
        purpose: ``hole`` where the potential is to learn from it; ``audit`` where it only tells
            whether new weights got worse elsewhere.
        force_error: expected error of the potential's forces in this supercell, eV/Å.
        kappa_error: expected error of the natural logarithm of kappa.
        reason: why it was chosen, in words.
    """

    id: str
    material: str
    number: int
    purpose: Literal["hole", "audit"]
    force_error: float
    kappa_error: float
    reason: str


@dataclass(frozen=True)
class HuntAnswer:
    """Result of a hole hunt.

    Args:
        cost_s: seconds it took.
        labels: supercells to be labelled; none where the potential can be trusted for now.
        pool: number of supercells that were assessed.
        expected: root mean square of their expected force errors, eV/Å.
        remaining: the same as it is expected to be with the labels, eV/Å.
    """

    cost_s: float
    labels: tuple[WantedLabel, ...] = ()
    pool: int = 0
    expected: float = 0.0
    remaining: float = 0.0


@dataclass(frozen=True)
class LabelRequest:
    """A force label to be computed for one supercell.

    Args:
        surroundings: common to all calls.
        material: the crystal.
        id: of the supercell.
        number: of the supercell among those of its crystal, from 0.
        potential: relaxes the crystal, as in the hunt.
        engine: computes the reference forces.
    """

    surroundings: Surroundings
    material: Crystal
    id: str
    number: int
    potential: str
    engine: Potential


@dataclass(frozen=True)
class LabelAnswer:
    """A force label, or why it could not be computed.

    Args:
        cost_s: seconds it took.
        label: the force label, or None.
        error: one line, where there is no label.
        refused: whether the engine refused the material before it computed anything.
    """

    cost_s: float
    label: ForceLabel | None = None
    error: str | None = None
    refused: bool = False


@dataclass(frozen=True)
class FineTuneRequest:
    """Fine-tuning of a potential on all force labels.

    Args:
        surroundings: common to all calls.
        replayed: crystals on which the new weights must stay close to the original ones.
        original: the potential with which the campaign began.
        current: the potential in use.
        labels: force labels to learn from.
        elsewhere: audit force labels; new weights must not do worse on these.
        folder: for the new weights.
        epochs: most passes over the labels.
        seed: of the random numbers of the training, and of the labels that are held out.
    """

    surroundings: Surroundings
    replayed: tuple[Crystal, ...]
    original: str
    current: str
    labels: tuple[ForceLabel, ...]
    elsewhere: tuple[ForceLabel, ...]
    folder: Path
    epochs: int
    seed: int


@dataclass(frozen=True)
class FineTuneAnswer:
    """Whether new weights take over, and why.

    Args:
        accepted: whether they take over.
        reason: why, in words.
        cost_s: seconds it took.
        family: of the potential, where there are new weights.
        weights: name of their file, where they take over.
        digest: SHA-256 of the weights, where they take over.
        labels: number of force labels that were used.
        errors: errors of the old weights (``_before``) and of the new ones (``_after``), on
            held-out force labels (eV/Å) and on audit force labels.
    """

    accepted: bool
    reason: str
    cost_s: float
    family: str = ""
    weights: str | None = None
    digest: str | None = None
    labels: int = 0
    errors: Mapping[str, float] = field(default_factory=dict)


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
    )
    ranks = {digest: rank for rank, digest in enumerate(request.first)}
    groups = [ranks.get(entry.material.digest, -1) for entry in pool]
    hole_hunt = assessment.first(len(pool)).hunt(
        request.budget, least=request.threshold, groups=groups
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
    sizes = assessment.sizes
    audit_labels = [
        _wanted(
            entry,
            request.suffix,
            "audit",
            errors=(sizes.force_error[k], sizes.kappa_error[k]),
            reason="drawn at random, to check that new weights are no worse elsewhere",
        )
        for k, entry in enumerate(audits, start=len(pool))
    ]
    return HuntAnswer(
        cost_s=_since(began),
        labels=(*holes, *audit_labels) if holes else (),  # without holes there is nothing to audit
        pool=len(pool),
        expected=hole_hunt.before,
        remaining=hole_hunt.after,
    )


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
    one_each = replace(request.surroundings.supercells, copies=1)
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
