"""What runs in a worker to heal a potential: each function takes a request and gives an answer."""

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
    """What all calls of a healing share.

    Args:
        supercells: what displaced supercells are like.
        workdir: folder of the stages that are finished, as for an evaluation.
    """

    supercells: SupercellPoolSettings
    workdir: Path


@dataclass(frozen=True)
class HuntRequest:
    """Where a potential may be wrong.

    Args:
        surroundings: shared by all calls.
        materials: crystals of whose supercells the worst are sought.
        potential: that is judged, and relaxes the crystals.
        committee: potentials of other families, whose disagreement with it counts.
        labels: reference forces so far.
        trained: whether the potential was fine-tuned on `labels`.
        seed: of the labels that its fine-tuning held out.
        budget: most supercells to be chosen.
        threshold: least expected force error of one that is worth a label, eV/Å.
        audits: crystals of which one supercell each is labelled whatever is expected of it.
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
    suffix: str = ""


@dataclass(frozen=True)
class WantedLabel:
    """One supercell that is worth reference forces.

    Args:
        id: of the supercell.
        material: digest of its crystal.
        number: of the supercell among those of its crystal.
        purpose: whether it is to be learned from, or tells whether others got worse.
        force_error: expected of the potential there, eV/Å.
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
    """What a hunt found.

    Args:
        cost_s: seconds it took.
        labels: supercells to be labelled; none where the potential can be trusted for now.
        pool: how many supercells were looked at.
        expected: root mean square of their expected force errors, eV/Å.
        remaining: what the labels are expected to leave of it, eV/Å.
    """

    cost_s: float
    labels: tuple[WantedLabel, ...] = ()
    pool: int = 0
    expected: float = 0.0
    remaining: float = 0.0


@dataclass(frozen=True)
class LabelRequest:
    """Reference forces of one supercell.

    Args:
        surroundings: shared by all calls.
        material: the crystal.
        id: of the supercell.
        number: of the supercell among those of its crystal.
        potential: that relaxes the crystal, as in the hunt.
        engine: what computes the forces.
    """

    surroundings: Surroundings
    material: Crystal
    id: str
    number: int
    potential: str
    engine: Potential


@dataclass(frozen=True)
class LabelAnswer:
    """The forces, or why there are none.

    Args:
        cost_s: seconds it took.
        label: with the forces.
        error: one line, where there is no label.
    """

    cost_s: float
    label: ForceLabel | None = None
    error: str | None = None


@dataclass(frozen=True)
class FineTuneRequest:
    """Weights that agree with all labels.

    Args:
        surroundings: shared by all calls.
        replayed: crystals on which the new weights are held to the original ones.
        original: the potential that the campaign began with.
        current: the potential in use.
        labels: to learn from.
        elsewhere: labels of audits, on which the new weights may be no worse.
        folder: for the new weights.
        epochs: most passes over the labels.
        seed: of the training's randomness.
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
        accepted: whether they do.
        reason: in words.
        cost_s: seconds it took.
        family: of the potential, where there are new weights.
        weights: name of their file, where they take over.
        digest: SHA-256 of the weights, where they take over.
        labels: how many were used.
        errors: before and after, on held-out labels (eV/Å) and elsewhere.
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
    """Judge a potential on supercells of some crystals, and say which are worth a label."""
    began = time.perf_counter()
    store, within = _workplace(request.surroundings, context)
    settings = request.surroundings.supercells
    field_ = ForceField(request.potential, store, within)
    known = {one.id for one in request.labels}

    def unlabelled(entries: Sequence[PoolEntry]) -> list[PoolEntry]:
        return [entry for entry in entries if entry.id + request.suffix not in known]

    pool = unlabelled(_pool(request.materials, field_, settings))
    if not pool:
        return HuntAnswer(_since(began))
    audits = _pool(request.audits, field_, settings)
    first = {entry.material.digest: entry for entry in reversed(audits)}
    drawn = unlabelled(list(first.values()))
    found = assess(
        [*pool, *drawn],
        [request.potential, *request.committee],
        store,
        within,
        labels=_unseen(request),
    )
    hunted = found.first(len(pool)).hunt(request.budget, least=request.threshold)
    holes = [
        _wanted(
            pool[hole.index],
            request.suffix,
            "hole",
            errors=(hole.force_error, hole.kappa_error),
            reason=hole.reason,
        )
        for hole in hunted.wanted
    ]
    sizes = found.sizes
    audited = [
        _wanted(
            entry,
            request.suffix,
            "audit",
            errors=(sizes.force_error[k], sizes.kappa_error[k]),
            reason="drawn at random, to see whether others get worse",
        )
        for k, entry in enumerate(drawn, start=len(pool))
    ]
    return HuntAnswer(
        cost_s=_since(began),
        labels=(*holes, *audited) if holes else (),  # nothing to heal needs no audit
        pool=len(pool),
        expected=hunted.before,
        remaining=hunted.after,
    )


def label_one(request: LabelRequest, context: CallContext) -> LabelAnswer:
    """Reference forces of one supercell of one crystal, or why there are none."""
    began = time.perf_counter()
    store, within = _workplace(request.surroundings, context)
    relaxing = ForceField(request.potential, store, within)
    try:
        pool = supercell_pool([request.material], relaxing, request.surroundings.supercells)
        atoms = pool[request.number].atoms
        engine = ForceField(request.engine, store, within)
        made = label([(request.id, atoms)], request.engine, engine)[0]
    except OracleError as error:
        return LabelAnswer(_since(began), error=f"{error.stage}: {error.message}")
    return LabelAnswer(_since(began), made)


def fine_tune(request: FineTuneRequest, context: CallContext) -> FineTuneAnswer:
    """Fine-tune on all labels so far and say whether the new weights take over."""
    began = time.perf_counter()
    store, within = _workplace(request.surroundings, context)
    # One supercell each: variety of materials is what guards against forgetting.
    once = replace(request.surroundings.supercells, copies=1)
    original = ForceField(request.original, store, within)
    replay = [entry.atoms for entry in _pool(request.replayed, original, once)]
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
    """Labels that say what the potential's error is: not those on which it was fine-tuned."""
    labels = list(request.labels)
    if not request.trained:
        return labels
    kept = held_out(labels, FineTuningSettings().held_out, request.seed)
    return [one for one, unseen in zip(labels, kept, strict=True) if unseen]


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
    found: list[PoolEntry] = []
    for crystal in crystals:
        try:
            found += supercell_pool([crystal], field, settings)
        except OracleError as error:
            if error.transient:
                raise
    return found


def _since(began: float) -> float:
    return time.perf_counter() - began
