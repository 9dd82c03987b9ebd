"""Settings of a fine-tuning, and its errors before and after."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FineTuningSettings:
    """How a potential is fine-tuned, and when new weights are accepted.

    Args:
        epochs: largest number of passes over the labels. With few labels it is multiplied, and
            `patience` likewise, until at least `least_steps` steps are made.
        least_steps: smallest number of optimiser steps of a complete training.
        rate: largest learning rate of Adam; it decays to zero along a cosine.
        batch: labels per step.
        replay: replayed structures per step.
        replay_weight: weight of the loss on replayed structures relative to that on labels.
        stress_weight: weight of the stress loss relative to the force loss; labels without stress
            contribute forces only.
        averaging: decay of the moving average of the weights, per step.
        patience: epochs without improvement on held-out labels after which training stops.
        held_out: fraction of the labels that are not trained on.
        tolerance: relative growth of the error on other materials that is still accepted.
        way_back: number of interpolation steps back towards the original weights that are tried
            where the new weights are better but forget too much; 1 tries none.
        seed: of the batches and of the choice of held-out labels.
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
        elsewhere: on structures of other materials that were not trained on. With reference labels
            of those, their error in eV/Å; without, the deviation from the forces of the original
            weights, relative to the size of those forces.
    """

    held_out: float
    elsewhere: float
