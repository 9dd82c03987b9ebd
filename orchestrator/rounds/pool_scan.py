"""Screens a space that is too large for one process to hold with its features.

Shards are sent to the workers as these become free. Each worker fits the surrogate once. A fit is a
pure function of labels and seed, so that it is the same to the last bit everywhere, and no kind of
surrogate needs a way to be sent to a worker. Four numbers per material are returned.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.acquisition.shortlist import Marginals, shortlisted
from agents.contract.objective import Objective
from agents.contract.protocol import Space
from agents.selection.settings import SelectionSettings
from agents.spaces.narrowed import Narrowed
from oracle.materials.material import Material
from orchestrator.calls.pool_scan_calls import ScreenRequest, screen
from orchestrator.calls.recipe import Recipe
from orchestrator.executors.protocol import Executor
from orchestrator.rounds import coarse

SHARD = 128
"""Materials per call: some seconds of work. Influences the last digits of quick features."""


def streamed(
    executor: Executor,
    materials: Sequence[Material],
    recipe: Recipe,
    cache: Path,
) -> Marginals:
    """Predictions of a surrogate for each of many materials, in their order.

    They do not depend on the executor, because shards are cut by position. For crystals, quick
    features are used, see `surrogate.features.quick_features`.

    Args:
        executor: its workers must be able to read `cache`.
        materials: of one kind, in a fixed order.
        recipe: determines the surrogate.
        cache: folder of features and recipes.

    Raises:
        CallFailed: a shard could not be computed.
    """
    path = recipe.written(cache / "recipes")
    table = np.empty((4, len(materials)))
    start = 0
    for shard in executor.map(screen, _Shards(materials, path, cache)):
        stop = start + len(shard.mean)
        table[:, start:stop] = shard.mean, shard.epistemic, shard.aleatoric, shard.p_stable
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
    fixed_rng: np.random.Generator,
    rejected: Container[str] = (),
) -> Space:
    """A space with a shortlist, on which all later decisions are based; or a small space.

    Args:
        space: any; a small one, or one that has a size but no list of its members, is returned as
            it is. Of an unbounded one, the shortlist is a sample, so that all stages of a round
            predict the same members.
        executor: screens the space.
        recipe: determines the surrogate; materials with a label are not put on the shortlist.
        objective: what is sought.
        settings: set the sizes above which a space is large, and the length of the shortlist.
        cache: folder of features and recipes.
        rng: draws the random part of the shortlist.
        fixed_rng: draws that of the crystals that get features; the same in all rounds.
        rejected: ids of candidates that the constraints excluded.
    """
    if space.size is None:
        return Narrowed(space, space.listed(settings.pool_limit, rng))
    beyond = space.size > settings.pool_limit
    materials = space.materials
    if materials is None:  # it may have far too many members to be listed
        return space
    if coarse.needs_choice(space, recipe.surrogate, settings):
        count = coarse.number_chosen(len(materials), settings)
        materials = coarse.chosen(
            space,
            recipe,
            objective,
            count=count,
            cache=cache / "plain",
            rng=fixed_rng,
            rejected=rejected,
        )
        if materials and (not beyond or settings.shortlist == 0):
            return Narrowed(space, materials)
    if not beyond or not materials or settings.shortlist == 0:  # or everything has a label
        return space
    beliefs = streamed(executor, materials, recipe, cache)
    listed = shortlisted(
        materials,
        beliefs,
        objective,
        recipe.evaluations,
        fidelity=recipe.fidelity,
        count=settings.shortlist,
        rng=rng,
        rejected=rejected,
    )
    return Narrowed(space, listed)


@dataclass(frozen=True)
class _Shards:
    """Requests that are created one by one, so that only those in progress are in memory."""

    materials: Sequence[Material]
    recipe: Path
    cache: Path

    def __len__(self) -> int:
        return -(-len(self.materials) // SHARD)

    def __iter__(self) -> Iterator[ScreenRequest]:
        for start in range(0, len(self.materials), SHARD):
            shard = tuple(self.materials[start : start + SHARD])
            yield ScreenRequest(shard, self.recipe, self.cache)
