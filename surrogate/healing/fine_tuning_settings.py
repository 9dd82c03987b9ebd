"""Settings of a fine-tuning, and its errors before and after."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FineTuningSettings:
    """How weights are moved, and when they are accepted.

    Args:
        epochs: most passes over the labels, where those make at least `least_steps`.
        least_steps: what few labels are passed over more often for; patience grows alike.
        rate: largest step of Adam; it falls to zero with a cosine.
        batch: labels of one step.
        replay: replayed structures of one step.
        replay_weight: of the replayed structures' loss beside the labels'.
        stress_weight: of the stresses' loss beside the forces'; labels without stress have none.
        averaging: share of the averaged weights that one step keeps.
        patience: epochs without improvement on held-out labels after which training ends.
        held_out: share of the labels that are not trained on.
        tolerance: relative growth of the error elsewhere that is still accepted.
        way_back: parts of the way back to the original weights that are tried where the new ones
            are better but forget too much; 1 tries none.
        seed: of order and held-out choice.
    """

    epochs: int = 15
    least_steps: int = 80
    rate: float = 2e-3
    batch: int = 4
    replay: int = 4
    replay_weight: float = 1.0
    stress_weight: float = 0.1
    averaging: float = 0.9
    patience: int = 8
    held_out: float = 0.2
    tolerance: float = 0.05
    way_back: int = 20
    seed: int = 0


@dataclass(frozen=True)
class Errors:
    """Root-mean-square errors of forces.

    Args:
        held_out: on labels that were not trained on, eV/Å.
        elsewhere: on replayed structures that were not trained on, relative to the forces there:
            how far the new weights are from the original ones. With reference labels elsewhere,
            the error there in eV/Å.
    """

    held_out: float
    elsewhere: float
