"""Fine-tuning of a universal potential on a few reference labels, without forgetting the rest.

The loss is the relative error of forces and stress on the labels, plus the same error on *replayed*
structures, whose targets are the original potential's own forces (rehearsal against catastrophic
forgetting: Robins, Connection Science 7, 123 (1995)). The result is the exponential moving average
of the weights (Polyak and Juditsky, SIAM J. Control Optim. 30, 838 (1992)) at the epoch with the
smallest error on held-out labels. Where that changes the potential too much elsewhere, the weights
are interpolated linearly back towards the original ones until the change is acceptable.

Every fine-tuning starts from the original weights and uses all labels so far, instead of continuing
from the last fine-tuning: the result then depends only on the labels and does not drift.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from oracle.potentials.table import weights_digest
from oracle.runtime.files import digest_of_path
from oracle.runtime.threads import one_thread
from surrogate.healing.fine_tuning_settings import Errors, FineTuningSettings
from surrogate.healing.force_labels import ForceLabel, consistent, structure_digest

if TYPE_CHECKING:
    from surrogate.healing.fine_tuning_loop import Loop


@dataclass(frozen=True)
class Healed:
    """Result of a fine-tuning.

    Args:
        accepted: whether the new weights replace the old ones.
        reason: why, in one sentence with numbers.
        potential: the potential to use from now on, as for `oracle.potentials.table.calculator`.
        weights: file of the new weights; None if they were not accepted.
        digest: SHA-256 of the weights of `potential`.
        before: errors of the weights in use before.
        after: errors of the new weights, accepted or not.
        labels: numbers of labels trained on and held out.
        settings: digest of the reference method's settings, which all labels share.
        epochs: number of epochs run, and the best epoch.
        seconds: duration of the training.
        share: 1 for the trained weights; less where they were interpolated towards the original
            ones (0).
    """

    accepted: bool
    reason: str
    potential: str
    weights: Path | None
    digest: str
    before: Errors
    after: Errors
    labels: tuple[int, int]
    settings: str
    epochs: tuple[int, int]
    seconds: float
    share: float = 1.0


def heal(
    original: str,
    labels: Sequence[ForceLabel],
    replay: Sequence[Atoms],
    folder: Path,
    *,
    current: str | None = None,
    elsewhere: Sequence[ForceLabel] = (),
    settings: FineTuningSettings | None = None,
    done: Callable[[float], None] | None = None,
) -> Healed:
    """Fine-tune a potential and decide whether its new weights replace those in use.

    Args:
        original: a SevenNet or CHGNet potential, from whose weights the training starts.
        labels: all reference labels so far, from one engine with one set of settings. Whether a
            label is held out depends only on its structure and the seed, so a label that was held
            out once is never trained on later.
        replay: at least two structures of other materials, labelled by the original weights.
        folder: where accepted weights are written, under a name made of their digest.
        current: the potential in use, which the new weights must surpass; it must have the same
            architecture. The default is `original`.
        elsewhere: reference labels of other materials, never trained on. With them, the error
            elsewhere is measured against the reference; without, against the original weights.
        settings: of the training.
        done: called with the finished fraction, 0 to 1.

    Raises:
        ValueError: fewer than two labels or replayed structures, labels with different settings,
            a potential that cannot be trained, or a `current` of another library.
    """
    from surrogate.healing.fine_tuning_loop import Loop  # torch takes seconds to import

    settings = settings or FineTuningSettings()
    consistent(labels)
    digest = consistent([*labels, *elsewhere])
    _check_counts(labels, replay)
    started = time.perf_counter()
    is_held_out = held_out(labels, settings.held_out, settings.seed)
    with one_thread():
        loop = Loop.prepared(original, labels, is_held_out, replay, elsewhere, settings)
        before = loop.errors() if current in (None, original) else loop.errors_of(str(current))
        epochs = loop.run(done)
        outcome = _judged(loop, before, bool(elsewhere), settings)
        weights = loop.written(folder) if outcome.accepted else None
    potential = f"{loop.family}:{weights}" if weights is not None else (current or original)
    return Healed(
        accepted=outcome.accepted,
        reason=outcome.reason,
        potential=potential,
        weights=weights,
        digest=weights_digest(potential) if weights is None else digest_of_path(weights),
        before=before,
        after=outcome.after,
        labels=(int((~is_held_out).sum()), int(is_held_out.sum())),
        settings=digest,
        epochs=epochs,
        seconds=time.perf_counter() - started,
        share=outcome.share,
    )


@dataclass(frozen=True)
class _Judged:
    """The errors of trained weights, how far they are from the original ones, and the verdict."""

    accepted: bool
    reason: str
    after: Errors
    share: float


def _judged(loop: Loop, before: Errors, elsewhere: bool, settings: FineTuningSettings) -> _Judged:
    """Judge the trained weights; those that got worse elsewhere are drawn back on the way."""
    after, share = loop.errors(), 1.0
    accepted, reason = verdict(before, after, elsewhere, settings.tolerance)
    if not accepted and after.held_out < before.held_out:
        limit = largest_error_elsewhere(before, elsewhere, settings.tolerance)
        share = loop.draw_back(limit, settings.way_back)
    if share < 1.0:
        after = loop.errors()
        accepted, reason = verdict(before, after, elsewhere, settings.tolerance)
        reason = f"{reason}; {share:.0%} of the way from the original weights"
    return _Judged(accepted, reason, after, share)


def _check_counts(labels: Sequence[ForceLabel], replay: Sequence[Atoms]) -> None:
    """Check that at least one label and one replayed structure can be held out."""
    if len(labels) < 2:
        raise ValueError("got 1 label; expected at least 2, one to train on and one held out")
    if len(replay) < 2:
        raise ValueError(
            f"got {len(replay)} structures to replay; expected at least 2, one of them to measure "
            "what the potential forgets"
        )


def held_out(labels: Sequence[ForceLabel], share: float, seed: int) -> NDArray[np.bool_]:
    """Mask (n,) of the labels that are held out from training: at least one, and never all.

    Each label is assigned by a hash of its structure, so that adding labels later does not move
    earlier ones between the training and the held-out set.

    Args:
        labels: n labels.
        share: expected fraction of held-out labels.
        seed: changes the assignment.
    """
    hashes = [
        hashlib.sha256(f"{seed} {structure_digest(one.atoms)}".encode()).hexdigest()
        for one in labels
    ]
    uniform = np.array([int(text[:12], 16) / 16**12 for text in hashes])
    is_held_out = uniform < share
    if not is_held_out.any():
        is_held_out[uniform.argmin()] = True
    if is_held_out.all():
        is_held_out[uniform.argmax()] = False
    return is_held_out


def largest_error_elsewhere(before: Errors, reference: bool, tolerance: float) -> float:
    """The largest acceptable error on other materials; for the arguments see `verdict`."""
    return before.elsewhere * (1 + tolerance) if reference else tolerance


def verdict(before: Errors, after: Errors, reference: bool, tolerance: float) -> tuple[bool, str]:
    """Whether new weights improve on held-out labels and are no worse elsewhere, and why.

    With reference labels elsewhere, the error there may grow by the relative `tolerance`. Without,
    the new forces may deviate from the original ones by `tolerance` of their size. The latter is
    stricter: a deviation d that is uncorrelated with the error e increases it to √(e² + d²). With
    e at 15 % of the forces, which is good for a universal potential, a deviation of 5 % increases
    it to only 1.05 e.

    Args:
        before: errors of the weights in use.
        after: errors of the new weights.
        reference: whether the errors elsewhere are measured against reference labels.
        tolerance: see above.
    """
    limit = largest_error_elsewhere(before, reference, tolerance)
    unit = "eV/Å" if reference else "of the forces"
    figures = (
        f"held-out error {before.held_out:.4f} to {after.held_out:.4f} eV/Å, elsewhere "
        f"{before.elsewhere:.4f} to {after.elsewhere:.4f} {unit} (limit {limit:.4f})"
    )
    if not after.held_out < before.held_out:
        return False, f"no better on held-out labels: {figures}"
    if not after.elsewhere <= limit:
        return False, f"worse elsewhere: {figures}"
    return True, f"better and no worse elsewhere: {figures}"
