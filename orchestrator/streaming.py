"""Screens a space that is too large to be held with its features in one process.

Shards go to the workers as they become free. Each worker fits the surrogate once, which gives the
same bits everywhere because a fit is a pure function of labels and seed, so that no kind of
surrogate has to know how to be sent. Four numbers per material come back.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.objective import Objective
from agents.protocol import Outcome, Space
from agents.settings import SelectionSettings
from agents.shortlist import Marginals, Narrowed, shortlist
from oracle.evaluation import Measured
from oracle.files import write_whole
from oracle.material import Material
from orchestrator.executor import Executor, Payload
from orchestrator.state import CampaignState
from surrogate.protocol import Calibration, Output

SHARD = 128
"""Materials per call: seconds of work. Part of what decides the last digits of quick features."""
_NAMES = ("mean", "epistemic", "aleatoric", "p_stable")


@dataclass(frozen=True)
class Recipe:
    """All that a fitted surrogate follows from.

    Args:
        surrogate: its settings.
        output: what it predicts.
        fidelity: at which.
        seed: of its randomness.
        evaluations: labels, of all fidelities, oldest first.
        calibration: of its spreads.
    """

    surrogate: Any
    output: Output
    fidelity: str
    seed: int
    evaluations: Sequence[Outcome]
    calibration: Calibration

    @classmethod
    def of(
        cls,
        state: CampaignState,
        settings: Any,
        objective: Objective,
        seed: int,
        calibration: Calibration,
    ) -> Recipe:
        """The surrogate of a campaign in a state, without what is no label for the objective."""
        found = [*state.evaluations(), *state.cheap_evaluations()]
        labels = [e for e in found if not isinstance(e, Measured) or objective.problem(e) is None]
        fidelity = state.objective_fidelity
        return cls(settings, objective.output, fidelity, seed, labels, calibration)

    def written(self, folder: Path) -> Path:
        """The path of this recipe as JSON, named by its content."""
        document = {
            "surrogate": self.surrogate.model_dump(mode="json"),
            "output": dataclasses.asdict(self.output),
            "fidelity": self.fidelity,
            "seed": self.seed,
            "evaluations": [e.model_dump(mode="json") for e in self.evaluations],
            "calibration": dataclasses.asdict(self.calibration),
        }
        content = json.dumps(document, sort_keys=True).encode()
        path = folder / f"{hashlib.sha256(content).hexdigest()}.json"
        if not path.is_file():
            write_whole(path, content)
        return path


def streamed(
    executor: Executor,
    materials: Sequence[Material],
    recipe: Recipe,
    cache: Path,
) -> Marginals:
    """What a surrogate believes of each of many materials, in their order.

    The same whatever executor computes it: shards are cut by position. Of crystals quick
    features are used, see `surrogate.quick_features`.

    Args:
        executor: its workers see `cache`.
        materials: of one kind, in a fixed order.
        recipe: the surrogate.
        cache: folder of features and recipes.

    Raises:
        RuntimeError: a shard could not be computed.
    """
    path = recipe.written(cache / "recipes")
    table = np.empty((len(_NAMES), len(materials)))
    start = 0
    for found in executor.map(
        "orchestrator.screening_calls:screen", _Shards(materials, path, cache)
    ):
        stop = start + len(found["mean"])
        for row, name in zip(table, _NAMES, strict=True):
            row[start:stop] = found[name]
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
    materials = getattr(space, "materials", None)
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
    """Payloads made one by one, so that only those under way are in memory."""

    materials: Sequence[Material]
    recipe: Path
    cache: Path

    def __len__(self) -> int:
        return -(-len(self.materials) // SHARD)

    def __iter__(self) -> Iterator[Payload]:
        for start in range(0, len(self.materials), SHARD):
            yield {
                "materials": [
                    m.model_dump(mode="json") for m in self.materials[start : start + SHARD]
                ],
                "recipe": str(self.recipe),
                "cache": str(self.cache),
            }
