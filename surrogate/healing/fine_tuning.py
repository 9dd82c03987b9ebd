"""Fine-tuning of a universal potential on a few reference labels, without forgetting the rest.

The loss is the relative error of forces and stress on the labels, plus the same on *replayed*
structures that the weights before had labelled themselves (rehearsal against catastrophic
forgetting: Robins, Connection Science 7, 123 (1995)), so that what was right stays as it was. What
is kept are exponential averages of the weights over the steps (Polyak and Juditsky, SIAM J. Control
Optim. 30, 838 (1992)), at the epoch that is best on held-out labels. Where these forget too much,
the farthest point on the straight way back to the original weights that does not is taken.

Fine-tuning begins at the original weights with all labels there are, not at those of the last
round: the result then depends on the labels alone and does not drift from round to round.
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
    """What came of a fine-tuning.

    Args:
        accepted: whether the new weights take the place of the old ones.
        reason: why, in one sentence with figures.
        potential: what to use from now on, as for `oracle.potentials.table.calculator`.
        weights: file of the new weights where accepted.
        digest: SHA-256 of the weights of `potential`.
        before: of the weights that were in use.
        after: of the new ones, accepted or not.
        labels: trained on, and held out.
        settings: digest of the labels' settings.
        epochs: run, and the one that was best.
        seconds: of training.
        share: of the way from the original weights to the trained ones that was taken.
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
    """Fine-tune a potential and decide whether the new weights take over.

    Args:
        original: a potential of SevenNet or CHGNet whose weights training begins with.
        labels: all there are, of one engine with one set of settings. Which are held out follows
            from each label and the seed, so that a label once held out stays so.
        replay: structures from elsewhere, at least two, that the original weights label.
        folder: where accepted weights are written, named by their digest.
        current: the potential in use that has to be beaten, of the same architecture; `original`
            unless given.
        elsewhere: reference labels of other materials that are not trained on; with them the
            error elsewhere is one against the reference, else against the original weights.
        settings: of the training.
        done: told the finished share, 0 to 1.

    Raises:
        ValueError: fewer than two labels or replayed structures, labels of mixed settings, a
            potential that cannot be trained, or a `current` of another library.
    """
    from surrogate.healing.fine_tuning_loop import Loop  # torch takes seconds to import

    settings = settings or FineTuningSettings()
    consistent(labels)
    digest = consistent([*labels, *elsewhere])
    _enough(labels, replay)
    started = time.perf_counter()
    held = held_out(labels, settings.held_out, settings.seed)
    with one_thread():
        loop = Loop.prepared(original, labels, held, replay, elsewhere, settings)
        same = current is None or current == original
        before = loop.errors() if same else loop.errors_of(str(current))
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
        labels=(int((~held).sum()), int(held.sum())),
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
        limit = most_elsewhere(before, elsewhere, settings.tolerance)
        share = loop.draw_back(limit, settings.way_back)
    if share < 1.0:
        after = loop.errors()
        accepted, reason = verdict(before, after, elsewhere, settings.tolerance)
        reason = f"{reason}; {share:.0%} of the way from the original weights"
    return _Judged(accepted, reason, after, share)


def _enough(labels: Sequence[ForceLabel], replay: Sequence[Atoms]) -> None:
    """Refuse what nothing could be held out of."""
    if len(labels) < 2:
        raise ValueError("got 1 label; expected at least 2, one to train on and one held out")
    if len(replay) < 2:
        raise ValueError(
            f"got {len(replay)} structures to replay; expected at least 2, without which nothing "
            "tells what the potential forgets"
        )


def held_out(labels: Sequence[ForceLabel], share: float, seed: int) -> NDArray[np.bool_]:
    """Which labels (n,) are not trained on: at least one, and never all.

    Drawn from a hash of each structure, so that more labels move none to the other side.
    """
    hashes = [
        hashlib.sha256(f"{seed} {structure_digest(one.atoms)}".encode()).hexdigest()
        for one in labels
    ]
    drawn = np.array([int(text[:12], 16) / 16**12 for text in hashes])
    held = drawn < share
    if not held.any():
        held[drawn.argmin()] = True
    if held.all():
        held[drawn.argmax()] = False
    return held


def most_elsewhere(before: Errors, reference: bool, tolerance: float) -> float:
    """The largest error elsewhere that is accepted; arguments as for `verdict`."""
    return before.elsewhere * (1 + tolerance) if reference else tolerance


def verdict(before: Errors, after: Errors, reference: bool, tolerance: float) -> tuple[bool, str]:
    """Whether new weights are better where they were to learn and no worse elsewhere, and why.

    Against a reference, elsewhere may be worse by `tolerance`. Without one, the new forces may
    deviate from the original ones by `tolerance` of their size. This is the stricter: a deviation
    d unrelated to an error e makes it √(e² + d²), and with e at 15 % of the forces, which is
    good for a universal potential, 5 % of deviation make it 1.05 e.
    """
    limit = most_elsewhere(before, reference, tolerance)
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
