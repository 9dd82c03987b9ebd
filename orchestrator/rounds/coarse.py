"""Chooses the crystals of a large space for which a potential's features are worth computing.

Such features take some tenths of a second each, so that ten thousand crystals would take an hour
before the first evaluation. A random forest on descriptors of elements and geometry, which take
milliseconds, learns from the same labels and says which crystals may be good.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agents.acquisition.shortlist import Marginals, shortlisted
from agents.chemistry.rough_estimates import rough_order
from agents.contract.objective import Objective
from agents.contract.protocol import Space
from agents.selection.settings import SelectionSettings
from agents.spaces.narrowed import Narrowed
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from orchestrator.calls.recipe import Recipe
from surrogate.contract.settings import OwnSurrogateSettings, SurrogateSettings
from surrogate.features.plain_descriptors import PlainStore
from surrogate.models.forests import PlainForest

_OF_QUICK = 20
"""Crystals that get quick features for each that then gets exact ones, see `pool_scan`."""


def needs_choice(space: Space, surrogate: SurrogateSettings, settings: SelectionSettings) -> bool:
    """Whether a listed space has more crystals than can have features of the potential."""
    materials = space.materials
    return (
        materials is not None
        and len(materials) > settings.exact_limit
        and isinstance(materials[0], Crystal)
        and not isinstance(surrogate, OwnSurrogateSettings)
        and surrogate.features != "none"
    )


def number_chosen(size: int, settings: SelectionSettings) -> int:
    """How many crystals of a space are chosen by plain descriptors.

    All that can have features at once; of a space beyond `pool_limit`, those that get quick
    features first.
    """
    if size <= settings.pool_limit:
        return settings.exact_limit
    return max(settings.exact_limit, _OF_QUICK * settings.shortlist)


def drawn(
    space: Space, objective: Objective, settings: SelectionSettings, rng: np.random.Generator
) -> Space:
    """The space with a shortlist before the first label.

    Half of it is best by a rough estimate of the objective, where there is one; the rest is random.
    """
    materials = _listed(space)
    crystals = [material for material in materials if isinstance(material, Crystal)]
    rough = None
    if objective.goal != "target":
        rough = rough_order(objective.output.property, crystals)
    order = rng.permutation(len(materials))
    if rough is not None:
        best = np.argsort(rough if objective.goal == "minimize" else -rough, kind="stable")
        best = best[: settings.exact_limit // 2]
        order = np.concatenate([best, order[~np.isin(order, best)]])
    return Narrowed(space, [materials[i] for i in np.sort(order[: settings.exact_limit])])


def chosen(
    space: Space,
    recipe: Recipe,
    objective: Objective,
    *,
    count: int,
    cache: Path,
    rng: np.random.Generator,
) -> list[Material]:
    """The crystals of a space that get features, in its order; those with a label left out.

    Half have the largest expected improvement according to the forest, a quarter are those about
    which it knows least, and a quarter is random.

    Args:
        space: listed, of crystals.
        recipe: labels and seed.
        objective: what is sought.
        count: number of crystals to choose.
        cache: folder of the descriptors.
        rng: draws the random part; the same in all rounds, so that these crystals remain.
    """
    materials = _listed(space)
    forest = PlainForest(
        (recipe.output,), recipe.fidelity, seed=recipe.seed, store=PlainStore(cache)
    )
    forest.fit(recipe.evaluations, calibration=recipe.calibration)
    posterior = forest.posterior(materials, outputs=[recipe.output], fidelity=recipe.fidelity)
    beliefs = Marginals(
        posterior.mean[:, 0],
        posterior.epistemic[:, 0],
        posterior.aleatoric[:, 0],
        posterior.p_stable,
    )
    return shortlisted(
        materials,
        beliefs,
        objective,
        recipe.evaluations,
        fidelity=recipe.fidelity,
        count=count,
        rng=rng,
    )


def _listed(space: Space) -> Sequence[Material]:
    materials = space.materials
    assert materials is not None  # see `needs_choice`
    return materials
