"""Screens a space that is too large to be held with its features in one process.

Shards go to the workers as they become free. Each worker fits the surrogate once, which gives the
same bits everywhere because a fit is a pure function of labels and seed, so that no kind of
surrogate has to know how to be sent. Four numbers per material come back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.acquisition.shortlist import Marginals, shortlist
from agents.contract.objective import Objective
from agents.contract.protocol import Space
from agents.selection.settings import SelectionSettings
from agents.spaces.narrowed import Narrowed
from oracle.materials.material import Material
from orchestrator.calls.pool_scan_calls import ScreenRequest, screen
from orchestrator.calls.recipe import Recipe
from orchestrator.executors.protocol import Executor

SHARD = 128
"""Materials per call: seconds of work. Part of what decides the last digits of quick features."""


def streamed(
    executor: Executor,
    materials: Sequence[Material],
    recipe: Recipe,
    cache: Path,
) -> Marginals:
    """What a surrogate believes of each of many materials, in their order.

    The same whatever executor computes it: shards are cut by position. Of crystals quick
    features are used, see `surrogate.features.quick_features`.

    Args:
        executor: its workers see `cache`.
        materials: of one kind, in a fixed order.
        recipe: the surrogate.
        cache: folder of features and recipes.

    Raises:
        CallFailed: a shard could not be computed.
    """
    path = recipe.written(cache / "recipes")
    table = np.empty((4, len(materials)))
    start = 0
    for found in executor.map(screen, _Shards(materials, path, cache)):
        stop = start + len(found.mean)
        table[:, start:stop] = found.mean, found.epistemic, found.aleatoric, found.p_stable
        start = stop
    return Marginals(*table)


def narrowed(
    space: Space,
    executor: Executor,
    recipe: Recipe,
    objective: Objective,
    *,
    settings: SelectionSettings,
    cache: Path,
    rng: np.random.Generator,
) -> Space:
    """A large space with a shortlist that all later decisions look at; a small one as it is.

    Args:
        space: any; one without bounds, or whose members are not listed, is left as it is.
        executor: screens it.
        recipe: the surrogate; what it has measured is not listed again.
        objective: what is sought.
        settings: say what is large, and how long the list is.
        cache: folder of features and recipes.
        rng: draws the random part of the list.
    """
    if space.size is None or space.size <= settings.pool_limit or settings.shortlist == 0:
        return space
    materials = space.materials
    if materials is None:  # it may have more members than there are atoms in the machine
        return space
    labels = [e for e in recipe.evaluations if e.fidelity == recipe.fidelity]
    beliefs = streamed(executor, materials, recipe, cache)
    known = {evaluation.material.digest for evaluation in labels}
    free = np.array([material.digest not in known for material in materials])
    scores = [s for s in map(objective.score_of, labels) if s is not None]
    kept = shortlist(
        beliefs,
        objective,
        count=settings.shortlist,
        best=max(scores, default=None),
        free=free,
        rng=rng,
    )
    return Narrowed(space, [materials[i] for i in kept])


@dataclass(frozen=True)
class _Shards:
    """Requests made one by one, so that only those under way are in memory."""

    materials: Sequence[Material]
    recipe: Path
    cache: Path

    def __len__(self) -> int:
        return -(-len(self.materials) // SHARD)

    def __iter__(self) -> Iterator[ScreenRequest]:
        for start in range(0, len(self.materials), SHARD):
            shard = tuple(self.materials[start : start + SHARD])
            yield ScreenRequest(shard, self.recipe, self.cache)
